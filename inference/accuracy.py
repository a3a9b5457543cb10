"""What an evaluation of isolated recognition finds: the place of every clip's true gloss, and the best glosses."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from torch import nn

from configs.schema import IsolatedConfig
from dataset.annotations import Clip
from dataset.clips import ClipBatch, ClipDataset, ClipReader
from dataset.sampling import CROPS, Crop
from inference.evaluation import Evaluator
from modeling.recognition import Predictor
from modeling.recognizer import Recognizer, reported_prediction
from report.analysis import confusion_counts
from report.pictures import MATRIX_GLOSSES, confusion_picture, on_white
from utils.distributed import Processes
from utils.files import write_json
from utils.metrics import (
    COMPLETE,
    TOP_K,
    Accuracy,
    Coverage,
    accuracy,
    bootstrap_intervals,
    noted,
    true_ranks,
)

EVAL_SETTINGS: dict[str, list[Crop]] = {"origin": ["central"], "3x_pad": ["start", "central", "end"]}
BEST_KEPT = 5  # glosses written of each clip


class Outcome(NamedTuple):
    """What is kept of the prediction of a clip under one setting.

    ranks: {head or ensemble: place of the true gloss, 0 = best}. best: the likeliest glosses of the reported
    prediction, int [at most 5]. probabilities: theirs, float32.
    """

    ranks: dict[str, int]
    best: np.ndarray
    probabilities: np.ndarray


@dataclass
class AccuracyResults:
    """The outcome of every clip of a split that could be read, under one setting.

    names, labels (int [clips]): in annotation order. ranks: {head or ensemble: int [clips]}. best: int [clips, 5],
    probabilities: float32 [clips, 5], of the reported prediction; fewer of a smaller vocabulary.
    """

    names: list[str]
    labels: np.ndarray
    vocabulary: Sequence[str]
    ranks: dict[str, np.ndarray]
    best: np.ndarray
    probabilities: np.ndarray
    reported_name: str
    coverage: Coverage = COMPLETE

    def accuracy(self, name: str) -> Accuracy:
        return accuracy(self.ranks[name], self.labels)

    @cached_property
    def reported(self) -> Accuracy:
        return self.accuracy(self.reported_name)

    @property
    def score(self) -> float:
        """Top-1 per instance."""
        return self.reported.per_instance[1]

    @cached_property
    def intervals(self) -> dict[str, dict[str, dict[str, list[float]]]]:
        """95 % intervals of the accuracies: {head or ensemble: {per_instance, per_class: {k: [low, high]}}}."""
        hits = np.stack([ranks < k for ranks in self.ranks.values() for k in TOP_K], axis=1)
        found: dict[str, dict[str, dict[str, list[float]]]] = {name: {} for name in self.ranks}
        kinds = zip(("per_instance", "per_class"), bootstrap_intervals(hits, self.labels), strict=True)
        for kind, rows in kinds:
            bounds = rows.reshape(len(found), len(TOP_K), 2).tolist()
            for name, of_head in zip(found, bounds, strict=True):
                found[name][kind] = {str(k): pair for k, pair in zip(TOP_K, of_head, strict=True)}
        return found

    def entry(self) -> dict[str, Any]:
        """The reported accuracy."""
        return {"per_instance": self.reported.per_instance, "per_class": self.reported.per_class}

    def summary(self) -> str:
        top, per_class = self.reported.per_instance, self.reported.per_class
        return f"top-1 {top[1]:.4f}, top-5 {top[5]:.4f} (per class {per_class[1]:.4f}){noted(self.coverage)}"

    def scalars(self) -> dict[str, float]:
        """Accuracies of every head."""
        values: dict[str, float] = {}
        for head in self.ranks:
            found = self.accuracy(head)
            values |= {f"top{k}/{head}": found.per_instance[k] for k in (1, 5)}
            values[f"top1_per_class/{head}"] = found.per_class[1]
        return values

    def pictures(self) -> dict[str, np.ndarray]:
        """What the reported prediction confuses."""
        predicted = self.best[:, 0]
        outcomes = [
            (self.vocabulary[i], self.vocabulary[j]) for i, j in zip(self.labels, predicted, strict=True)
        ]
        matrix, shown = confusion_counts(outcomes, self.vocabulary, MATRIX_GLOSSES)
        return {"confusions": on_white(confusion_picture(matrix, shown))} if shown else {}

    def table(self) -> str:
        """Accuracies of all heads and ensembles in per cent; the reported one is marked, its top-1 has an interval."""
        lines = [
            f"{'':18}{'per instance':^24}{'per class':^24}",
            f"{'':18}" + f"{'top-1':>8}{'top-5':>8}{'top-10':>8}" * 2,
        ]
        for name in self.ranks:
            found = self.accuracy(name)
            values = [*found.per_instance.values(), *found.per_class.values()]
            mark = "*" if name == self.reported_name else " "
            lines.append(f"{mark} {name:16}" + "".join(f"{100 * value:8.2f}" for value in values))
        low, high = self.intervals[self.reported_name]["per_instance"]["1"]
        lines.append(
            f"* {len(self.names)} clips: top-1 per instance between {100 * low:.2f} and {100 * high:.2f} (95 %)"
            f"{noted(self.coverage)}"
        )
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """JSON that everything else is made from: the report, the analysis, the tables.

        `coverage` of the split, then
        `accuracy` by head and ensemble (shares, with their 95 % bootstrap intervals), `reported`, the `vocabulary`, and
        `clips` with the label, its `rank` in the reported prediction (0 = best) and the five best glosses.
        """
        found = {name: self.accuracy(name) for name in self.ranks}
        content = {
            "coverage": self.coverage.content(),
            "reported": self.reported_name,
            "accuracy": {
                name: {
                    "per_instance": of_head.per_instance,
                    "per_class": of_head.per_class,
                    "intervals": self.intervals[name],
                }
                for name, of_head in found.items()
            },
            "vocabulary": list(self.vocabulary),
            "clips": [
                {
                    "name": name,
                    "label": self.vocabulary[self.labels[row]],
                    "rank": int(self.ranks[self.reported_name][row]),
                    "top_5": [
                        {"gloss": self.vocabulary[i], "probability": float(p)}
                        for i, p in zip(self.best[row], self.probabilities[row], strict=True)
                    ],
                }
                for row, name in enumerate(self.names)
            ],
        }
        write_json(path, content)


def clip_outcomes(predicted: dict[str, np.ndarray], labels: np.ndarray, reported: str) -> list[Outcome]:
    """Of probabilities {head or ensemble: float32 [clips, crops, glosses]}: what is kept, averaged over the crops."""
    averaged = {name: values.mean(axis=1) for name, values in predicted.items()}
    ranks = {name: true_ranks(values, labels) for name, values in averaged.items()}
    best = np.argsort(-averaged[reported], axis=1, kind="stable")[:, :BEST_KEPT]
    probabilities = np.take_along_axis(averaged[reported], best, axis=1)
    return [
        Outcome({name: int(of_head[row]) for name, of_head in ranks.items()}, best[row], probabilities[row])
        for row in range(len(labels))
    ]


class AccuracyEvaluator(Evaluator[dict[str, Outcome], AccuracyResults]):
    """Predicts a split under some of `EVAL_SETTINGS` at once; a crop of several of them is computed once.

    Args:
        config: of the experiment; its model is what is evaluated.
        clips: of the split.
        vocabulary: glosses in class order.
        reader: of the clips.
        settings: evaluation settings.
    """

    dataset: ClipDataset

    def __init__(
        self,
        config: IsolatedConfig,
        clips: list[Clip],
        vocabulary: list[str],
        reader: ClipReader,
        settings: Sequence[str],
        processes: Processes,
    ):
        wanted = {crop for setting in settings for crop in EVAL_SETTINGS[setting]}
        self.crops = [crop for crop in CROPS if crop in wanted]
        self.places = {
            setting: [self.crops.index(crop) for crop in EVAL_SETTINGS[setting]] for setting in settings
        }
        self.vocabulary, self.runtime = vocabulary, config.runtime
        self.reported = reported_prediction(config.model)
        super().__init__(
            ClipDataset(clips, vocabulary, reader, self.crops, check=not config.evaluation.allow_missing),
            config.evaluation,
            config.data.workers,
            config.data.max_damaged_share,
            processes,
        )

    def take(self, network: nn.Module) -> str:
        self.predict = Predictor(cast(Recognizer, network), self.runtime)
        return self.predict.replaced

    def outcomes(self, batch: ClipBatch) -> list[dict[str, Outcome]]:
        """By evaluation setting."""
        found = self.predict(batch.frames, batch.keypoints, batch.windows, len(self.crops))
        predicted = {name: values.float().cpu().numpy() for name, values in found.items()}
        labels = batch.labels.cpu().numpy()
        by_setting = [
            clip_outcomes(
                {name: values[:, seen] for name, values in predicted.items()}, labels, self.reported
            )
            for seen in self.places.values()
        ]
        return [dict(zip(self.places, of_clip, strict=True)) for of_clip in zip(*by_setting, strict=True)]

    def results(
        self, outcomes: dict[int, dict[str, Outcome]], coverage: Coverage
    ) -> dict[str, AccuracyResults]:
        return {
            setting: self._results(list(outcomes), [x[setting] for x in outcomes.values()], coverage)
            for setting in self.places
        }

    def _results(self, clips: list[int], outcomes: list[Outcome], coverage: Coverage) -> AccuracyResults:
        return AccuracyResults(
            [self.dataset.clips[clip].name for clip in clips],
            np.array([self.dataset.labels[clip] for clip in clips]),
            self.vocabulary,
            {name: np.array([outcome.ranks[name] for outcome in outcomes]) for name in outcomes[0].ranks},
            np.stack([outcome.best for outcome in outcomes]),
            np.stack([outcome.probabilities for outcome in outcomes]),
            self.reported,
            coverage,
        )
