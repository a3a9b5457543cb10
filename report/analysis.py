"""What an evaluation says beyond its accuracy: which signs are confused, and what became of look-alikes.

Look-alike signs (the paper's VISigns) are found from the confusions of a baseline run: a pair of glosses is a pair of
look-alikes if the baseline took at least `min_clips` clips, and at least the share `min_share` of all clips of the two,
for the other of them. It is of similar meaning if the cosine similarity of the two gloss embeddings is at least
`min_similarity`, else of distinct meaning; a gloss of several pairs belongs where its most confused pair does.

A baseline is worse on what it confuses than elsewhere by definition, and whatever run comes next will look better there
by chance alone. To be free of that, find the pairs on another split (`--look_alikes_from dev`).
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset.glosses.embeddings import GlossSimilarity
from report.runs import RunRecord, evaluation_content, evaluation_path
from utils.errors import UserError
from utils.metrics import COMPLETE, TOP_K, Coverage, bootstrap_intervals

SIMILAR, DISTINCT, LOOK_ALIKE, OTHER, ALL = (
    "similar meaning",
    "distinct meaning",
    "look-alikes",  # where no similarity is known
    "other",
    "all",
)


@dataclass(frozen=True)
class Evaluation:
    """What `inference.accuracy` wrote of one run, split and setting.

    accuracy: by head and ensemble, as in the file; `reported` is the one that counts. labels, predicted: gloss of each
    clip, and the likeliest by the reported prediction. ranks: int [clips], place of the true gloss.
    """

    path: Path
    reported: str
    accuracy: dict[str, Any]
    vocabulary: list[str]
    names: list[str]
    labels: list[str]
    predicted: list[str]
    ranks: np.ndarray
    coverage: Coverage = COMPLETE

    def classes(self) -> np.ndarray:
        """The label of each clip as a number: int [clips]."""
        numbers = {gloss: i for i, gloss in enumerate(self.vocabulary)}
        return np.array([numbers[label] for label in self.labels])


@dataclass(frozen=True)
class EvaluatedRun(RunRecord):
    """A run with its evaluation."""

    evaluation: Evaluation


def read_evaluation(run: str | Path, split: str, setting: str) -> Evaluation:
    """The evaluation of a run folder.

    Raises:
        UserError: it was not made, or by an earlier version.
    """
    content = evaluation_content(run, split, setting, "clips")
    clips = content["clips"]
    return Evaluation(
        evaluation_path(run, split, setting),
        content["reported"],
        content["accuracy"],
        content["vocabulary"],
        [clip["name"] for clip in clips],
        [clip["label"] for clip in clips],
        [clip["top_5"][0]["gloss"] for clip in clips],
        np.array([clip["rank"] for clip in clips]),
        Coverage.of(content),
    )


@dataclass(frozen=True)
class GlossAccuracy:
    """Of the clips of one gloss: how many, how many right, and what the wrong ones were taken for (gloss -> clips)."""

    gloss: str
    clips: int
    correct: int
    taken_for: dict[str, int]


def gloss_accuracies(evaluation: Evaluation) -> list[GlossAccuracy]:
    """Per-class accuracy, class by class, worst first."""
    counts = Counter(evaluation.labels)
    confusions = Counter(zip(evaluation.labels, evaluation.predicted, strict=True))
    found = []
    for gloss, clips in counts.items():
        wrong = {p: n for (label, p), n in confusions.most_common() if label == gloss and p != gloss}
        found.append(GlossAccuracy(gloss, clips, confusions[gloss, gloss], wrong))
    return sorted(found, key=lambda item: (item.correct / item.clips, -item.clips, item.gloss))


@dataclass(frozen=True)
class ConfusedPair:
    """Two glosses, at least one clip of either was taken for the other.

    clips: of both. confused: taken for the other. similarity: of the glosses, None if not known.
    """

    first: str
    second: str
    clips: int
    confused: int
    similarity: float | None

    @property
    def share(self) -> float:
        return self.confused / self.clips


def confused_pairs(evaluation: Evaluation, similarity: GlossSimilarity | None) -> list[ConfusedPair]:
    """Every confused pair, most confused first."""
    counts = Counter(evaluation.labels)
    confused: Counter[tuple[str, str]] = Counter()
    for label, predicted in zip(evaluation.labels, evaluation.predicted, strict=True):
        if label != predicted:
            confused[min(label, predicted), max(label, predicted)] += 1
    pairs = [
        ConfusedPair(a, b, counts[a] + counts[b], n, similarity(a, b) if similarity else None)
        for (a, b), n in confused.items()
    ]
    return sorted(pairs, key=lambda pair: (-pair.confused, -pair.share, pair.first, pair.second))


def confusion_counts(
    outcomes: Sequence[tuple[str, str]], glosses: Sequence[str], most: int
) -> tuple[np.ndarray, list[str]]:
    """Confusion matrix of (true, predicted) glosses: int [n, n], and the n glosses of its rows and columns.

    Of more than `most` glosses, those that were confused most often stay; their order is kept.
    """
    count = Counter(outcomes)
    shown = list(glosses)
    if len(shown) > most:
        wrong: Counter[str] = Counter()
        for (true, predicted), clips in count.items():
            if true != predicted:
                wrong.update({true: clips, predicted: clips})
        kept = {gloss for gloss, _ in wrong.most_common(most)}
        shown = [gloss for gloss in glosses if gloss in kept]
    matrix = [[count[true, predicted] for predicted in shown] for true in shown]
    return np.array(matrix, int).reshape(len(shown), len(shown)), shown


@dataclass(frozen=True)
class LookAlikeDefinition:
    """See the head of this module."""

    min_share: float = 0.2
    min_clips: int = 2
    min_similarity: float = 0.5


@dataclass(frozen=True)
class LookAlikes:
    """groups: the group of each look-alike gloss. baseline: the evaluation they were found in."""

    groups: dict[str, str]
    definition: LookAlikeDefinition
    baseline: Path

    @classmethod
    def find(
        cls, baseline: Evaluation, similarity: GlossSimilarity | None, definition: LookAlikeDefinition
    ) -> "LookAlikes":
        """The look-alikes among the glosses of a baseline; of one group only where no similarity is known."""
        groups: dict[str, str] = {}
        for pair in sorted(
            confused_pairs(baseline, similarity), key=lambda pair: (-pair.share, -pair.confused)
        ):
            if pair.share >= definition.min_share and pair.confused >= definition.min_clips:
                if pair.similarity is None:
                    group = LOOK_ALIKE
                else:
                    group = SIMILAR if pair.similarity >= definition.min_similarity else DISTINCT
                for gloss in (pair.first, pair.second):
                    groups.setdefault(gloss, group)
        return cls(groups, definition, baseline.path)

    @property
    def names(self) -> list[str]:
        """Of all groups that accuracy is reported on, in order."""
        looking_alike = [LOOK_ALIKE] if LOOK_ALIKE in self.groups.values() else [SIMILAR, DISTINCT]
        return [*looking_alike, OTHER, ALL]


@dataclass(frozen=True)
class GroupAccuracy:
    """Top-1 of the clips of some glosses, with its 95 % interval; shares in [0, 1], None without clips."""

    clips: int
    top_1: float | None
    interval: tuple[float, float] | None

    def text(self) -> str:
        if self.top_1 is None or self.interval is None:
            return "-"
        low, high = self.interval
        return f"{100 * self.top_1:.1f} ({100 * low:.1f}-{100 * high:.1f}), {self.clips}"


def group_accuracies(evaluation: Evaluation, look_alikes: LookAlikes) -> dict[str, GroupAccuracy]:
    """Accuracy on each group of look-alikes, on the other glosses, and on all."""
    of_clip = np.array([look_alikes.groups.get(label, OTHER) for label in evaluation.labels])
    hit, classes = evaluation.ranks < TOP_K[0], evaluation.classes()
    found = {}
    for name in look_alikes.names:
        chosen = np.full(len(hit), True) if name == ALL else of_clip == name
        if chosen.any():
            ((low, high),) = bootstrap_intervals(hit[chosen, None], classes[chosen])[0]
            found[name] = GroupAccuracy(
                int(chosen.sum()), float(hit[chosen].mean()), (float(low), float(high))
            )
        else:
            found[name] = GroupAccuracy(0, None, None)
    return found


SHOWN = 10  # glosses and pairs in the text


@dataclass(frozen=True)
class Analysis:
    """Everything said about an evaluation, and the look-alikes in it and in other runs.

    runs: what the table of look-alikes compares, by name.
    """

    evaluation: Evaluation
    similarity: GlossSimilarity | None
    look_alikes: LookAlikes
    runs: dict[str, Evaluation]

    def content(self) -> dict[str, Any]:
        """As plain values for JSON; shares are in [0, 1]."""
        by_run = {
            run: group_accuracies(evaluation, self.look_alikes) for run, evaluation in self.runs.items()
        }
        return {
            "glosses": [asdict(item) for item in gloss_accuracies(self.evaluation)],
            "confused_pairs": [asdict(pair) for pair in confused_pairs(self.evaluation, self.similarity)],
            "look_alikes": {
                "definition": asdict(self.look_alikes.definition),
                "baseline": str(self.look_alikes.baseline),
                "glosses": self.look_alikes.groups,
                "accuracy": {
                    run: {name: asdict(found) for name, found in groups.items()}
                    for run, groups in by_run.items()
                },
            },
        }

    def text(self) -> str:
        """For a terminal; shares in per cent."""
        lines = [f"{'hardest glosses':24}{'right':>9}   taken for"]
        for item in gloss_accuracies(self.evaluation)[:SHOWN]:
            wrong = ", ".join(f"{gloss} {clips}" for gloss, clips in item.taken_for.items())
            lines.append(f"{item.gloss:24}{f'{item.correct}/{item.clips}':>9}   {wrong}")
        lines.append(f"\n{'most confused pairs':40}{'confused':>9}   similarity of meaning")
        for pair in confused_pairs(self.evaluation, self.similarity)[:SHOWN]:
            meaning = "" if pair.similarity is None else f"   {pair.similarity:.2f}"
            both = f"{pair.first} / {pair.second}"
            lines.append(f"{both:40}{f'{pair.confused}/{pair.clips}':>9}{meaning}")
        names = self.look_alikes.names
        lines.append(
            f"\nlook-alike signs, found in {self.look_alikes.baseline}; top-1 (95 % interval), clips"
        )
        lines.append(f"{'':28}" + "".join(f"{name:>26}" for name in names))
        for run, evaluation in self.runs.items():
            groups = group_accuracies(evaluation, self.look_alikes)
            lines.append(f"{run:28}" + "".join(f"{groups[name].text():>26}" for name in names))
        if self.similarity is None:
            lines.append("without word embeddings (data.word_embeddings) their meanings cannot be compared")
        return "\n".join(lines)


def add_look_alike_options(parser: argparse.ArgumentParser) -> None:
    """The options that `look_alike_definition` reads."""
    default = LookAlikeDefinition()
    group = parser.add_argument_group("look-alike signs, found from the confusions of the baseline")
    group.add_argument(
        "--min_share",
        type=float,
        default=default.min_share,
        help="share of the clips of two glosses that were taken for the other; default: %(default)s",
    )
    group.add_argument(
        "--min_clips", type=int, default=default.min_clips, help="and how many clips; default: %(default)s"
    )
    group.add_argument(
        "--min_similarity",
        type=float,
        default=default.min_similarity,
        help="cosine similarity from which two glosses are of similar meaning; default: %(default)s",
    )
    group.add_argument(
        "--look_alikes_from",
        choices=["train", "dev", "test"],
        help="split to find them on; default: the one that is analysed",
    )


def look_alike_definition(arguments: argparse.Namespace) -> LookAlikeDefinition:
    if not 0 < arguments.min_share <= 1:
        raise UserError("--min_share: must be above 0 and at most 1")
    if arguments.min_clips < 1:
        raise UserError("--min_clips: must be at least 1")
    if not -1 <= arguments.min_similarity <= 1:
        raise UserError("--min_similarity: must be between -1 and 1")
    return LookAlikeDefinition(arguments.min_share, arguments.min_clips, arguments.min_similarity)
