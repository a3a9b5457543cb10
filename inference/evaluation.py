"""The evaluation of a model on a split: every clip predicted once, on any number of processes."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from configs.schema import Config
from dataset.annotations import Clip
from dataset.clips import ClipDataset, ClipReader, DamageLog
from dataset.loader import evaluation_loader
from dataset.sampling import Crop
from modeling.engine import Predictor
from modeling.recognizer import Recognizer, reported_prediction
from utils.distributed import Processes
from utils.files import write_json
from utils.metrics import TOP_K, Accuracy, accuracy, bootstrap_intervals, true_ranks
from utils.progress import progress_bar

if TYPE_CHECKING:
    from utils.progress import StopSignal

EVAL_SETTINGS: dict[str, list[Crop]] = {"origin": ["central"], "3x_pad": ["start", "central", "end"]}
BEST_KEPT = 5  # glosses written of each clip


@dataclass
class Results:
    """Predictions for every clip of a split.

    names, labels (int [clips]): in annotation order. crops: what was predicted of each clip. probabilities:
    {head or ensemble: float32 [clips, crops, glosses]}.
    """

    names: list[str]
    labels: np.ndarray
    crops: list[Crop]
    probabilities: dict[str, np.ndarray]
    reported_name: str

    def averaged(self, name: str) -> np.ndarray:
        """Probabilities over all crops of each clip: float32 [clips, glosses]."""
        return self.probabilities[name].mean(axis=1)

    def of_crop(self, crop: Crop) -> "Results":
        """The same clips, predicted from one of the crops alone."""
        index = self.crops.index(crop)
        alone = {name: values[:, index : index + 1] for name, values in self.probabilities.items()}
        return replace(self, crops=[crop], probabilities=alone)

    def ranks(self, name: str) -> np.ndarray:
        """The place of each clip's true gloss, 0 = best: int [clips]."""
        return true_ranks(self.averaged(name), self.labels)

    def accuracy(self, name: str) -> Accuracy:
        return accuracy(self.averaged(name), self.labels)

    @cached_property
    def intervals(self) -> dict[str, dict[str, dict[str, list[float]]]]:
        """95 % intervals of the accuracies: {head or ensemble: {per_instance, per_class: {k: [low, high]}}}."""
        ranks = [self.ranks(name) for name in self.probabilities]
        hits = np.stack([r < k for r in ranks for k in TOP_K], axis=1)
        found: dict[str, dict[str, dict[str, list[float]]]] = {name: {} for name in self.probabilities}
        kinds = zip(("per_instance", "per_class"), bootstrap_intervals(hits, self.labels), strict=True)
        for kind, rows in kinds:
            bounds = rows.reshape(len(found), len(TOP_K), 2).tolist()
            for name, of_head in zip(found, bounds, strict=True):
                found[name][kind] = {str(k): pair for k, pair in zip(TOP_K, of_head, strict=True)}
        return found

    @property
    def reported(self) -> Accuracy:
        return self.accuracy(self.reported_name)


class Evaluator:
    """Predicts every clip of a split once, whatever the number of processes.

    Attributes:
        network: after a run, one line on how its network computed.
    """

    network: str

    def __init__(
        self,
        config: Config,
        clips: list[Clip],
        vocabulary: list[str],
        reader: ClipReader,
        crops: list[Crop],
        processes: Processes,
    ):
        self.config, self.clips, self.crops, self.processes = config, clips, crops, processes
        self.dataset = ClipDataset(clips, vocabulary, reader, crops)
        self.loader = evaluation_loader(
            self.dataset,
            config.evaluation.batch_size,
            config.data.workers,
            processes.device.type == "cuda",
            processes.rank,
            processes.count,
        )

    def run(self, recognizer: Recognizer, stop: "StopSignal | None" = None) -> Results | None:
        """Predict; None if a stop was requested on the way."""
        damage = DamageLog(self.clips, self.config.data.max_damaged_share)
        found: dict[int, dict[str, np.ndarray]] = {}
        predict = Predictor(recognizer, self.config.runtime)
        self.network = predict.replaced
        with progress_bar(len(self.loader), 0, "batch", self.processes.is_main and stop is None) as progress:
            for batch in self.loader:
                if stop is not None and stop.requested:
                    break
                for line in damage.note(batch):
                    progress.write(line)
                batch = batch.to(self.processes.device)
                predicted = predict(batch.frames, batch.keypoints, batch.windows, len(self.crops))
                arrays = {name: values.float().cpu().numpy() for name, values in predicted.items()}
                for row, clip in enumerate(batch.clips):
                    found[clip] = {name: values[row] for name, values in arrays.items()}
                progress.update()
        if self.processes.any(stop is not None and stop.requested):
            return None
        merged = {clip: values for part in self.processes.gather(found) for clip, values in part.items()}
        ordered = [merged[i] for i in range(len(self.clips))]
        return Results(
            [clip.name for clip in self.clips],
            np.array(self.dataset.labels),
            self.crops,
            {name: np.stack([values[name] for values in ordered]) for name in ordered[0]},
            reported_prediction(recognizer.config),
        )


def table(results: Results) -> str:
    """Accuracies of every head and ensemble, in per cent; the reported one is marked, its top-1 with an interval."""
    lines = [
        f"{'':18}{'per instance':^24}{'per class':^24}",
        f"{'':18}" + f"{'top-1':>8}{'top-5':>8}{'top-10':>8}" * 2,
    ]
    for name in results.probabilities:
        found = results.accuracy(name)
        values = [*found.per_instance.values(), *found.per_class.values()]
        mark = "*" if name == results.reported_name else " "
        lines.append(f"{mark} {name:16}" + "".join(f"{100 * value:8.2f}" for value in values))
    low, high = results.intervals[results.reported_name]["per_instance"]["1"]
    lines.append(
        f"* {len(results.names)} clips: top-1 per instance between {100 * low:.2f} and {100 * high:.2f} (95 %)"
    )
    return "\n".join(lines)


def write_results(path: Path, results: Results, vocabulary: list[str]) -> None:
    """JSON that everything else is made from: the report, the analysis, the tables.

    `accuracy` by head and ensemble (shares, with their 95 % bootstrap intervals), `reported`, the `vocabulary`, and
    `clips` with the label, its `rank` in the reported prediction (0 = best) and the five best glosses.
    """
    best = results.averaged(results.reported_name)
    ranks = results.ranks(results.reported_name)
    order = np.argsort(-best, axis=1, kind="stable")[:, :BEST_KEPT]
    content = {
        "reported": results.reported_name,
        "accuracy": {
            name: {
                "per_instance": found.per_instance,
                "per_class": found.per_class,
                "intervals": results.intervals[name],
            }
            for name in results.probabilities
            if (found := results.accuracy(name))
        },
        "vocabulary": vocabulary,
        "clips": [
            {
                "name": name,
                "label": vocabulary[label],
                "rank": int(ranks[row]),
                "top_5": [{"gloss": vocabulary[i], "probability": float(best[row, i])} for i in order[row]],
            }
            for row, (name, label) in enumerate(zip(results.names, results.labels, strict=True))
        ],
    }
    write_json(path, content)
