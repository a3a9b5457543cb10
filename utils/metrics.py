"""Accuracy per instance and per class, and how far it can be trusted."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

TOP_K = (1, 5, 10)
DRAWS = 1000  # of the bootstrap
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Coverage:
    """What an evaluation lacks of its split, by name.

    left_out: clips that could not be read. damaged: those of which some frames or keypoints could not, so that others
    stand in for them.
    """

    left_out: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    def __str__(self) -> str:
        """To stand beside every figure; empty if it lacks nothing."""
        left_out, damaged = len(self.left_out), len(self.damaged)
        parts = [f"{left_out} could not be read and left out"] * (left_out > 0) + [f"{damaged} damaged"] * (
            damaged > 0
        )
        return ", ".join(parts)

    def content(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """From the file of an evaluation; those of before 2026-11-28 lack nothing."""
        return cls(**{name: tuple(names) for name, names in content.get("coverage", {}).items()})


COMPLETE = Coverage()


def noted(coverage: Coverage) -> str:
    """To put after other words; empty if nothing is lacking."""
    return f"; {coverage}" if coverage != COMPLETE else ""


@dataclass(frozen=True)
class Accuracy:
    """Shares in [0, 1], by k of top-k.

    per_instance: of all clips. per_class: mean over the classes that have a clip of the share within the class.
    """

    per_instance: dict[int, float]
    per_class: dict[int, float]


def true_ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The place of the true class, 0 = best: int [clips], from scores float [clips, classes], labels int [clips]."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.argmax(order == labels[:, None], axis=1)


def accuracy(ranks: np.ndarray, labels: np.ndarray) -> Accuracy:
    """Top-1, 5 and 10 from the `true_ranks` of clips, int [clips], and their labels, int [clips]."""
    classes = np.unique(labels)
    per_instance, per_class = {}, {}
    for k in TOP_K:
        hit = ranks < k
        per_instance[k] = float(hit.mean())
        per_class[k] = float(np.mean([hit[labels == c].mean() for c in classes]))
    return Accuracy(per_instance, per_class)


def bootstrap_intervals(
    values: np.ndarray, labels: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile intervals of the means of `values`, from clips drawn anew with replacement.

    They answer for the choice of test clips alone: not for the seed of the training, and not for signers who are all
    alike within a set.

    Args:
        values: [clips, M], such as whether a clip was recognised, or how two runs differ on it.
        labels: int [clips].
        draws, seed: of the resampling; the same for every run, so that equal clips are drawn for all.

    Returns:
        The means over clips, [M, 2] (low, high), and the means over the classes drawn of the means within, [M, 2].
    """
    order = np.argsort(labels, kind="stable")
    values = values[order].astype(np.float64)  # [clips, M]
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))  # of each class
    clips = len(labels)
    rng = np.random.default_rng(seed)
    means, class_means = [], []
    for _ in range(draws):
        drawn = np.bincount(rng.integers(0, clips, clips), minlength=clips)[
            :, None
        ]  # how often each clip: [clips, 1]
        weighted = drawn * values
        means.append(weighted.sum(axis=0) / clips)
        sizes = np.add.reduceat(drawn, starts)  # [classes, 1]
        shares = np.add.reduceat(weighted, starts)[sizes[:, 0] > 0] / sizes[sizes[:, 0] > 0]
        class_means.append(shares.mean(axis=0))
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    return np.quantile(means, tails, axis=0).T, np.quantile(class_means, tails, axis=0).T
