"""Accuracy per instance and per class."""

from dataclasses import dataclass

import numpy as np

TOP_K = (1, 5, 10)


@dataclass(frozen=True)
class Accuracy:
    """Shares in [0, 1], by k of top-k.

    per_instance: of all clips. per_class: mean over the classes that have a clip of the share within the class.
    """

    per_instance: dict[int, float]
    per_class: dict[int, float]


def accuracy(scores: np.ndarray, labels: np.ndarray) -> Accuracy:
    """Top-1, 5 and 10 of scores float [clips, classes] against labels int [clips]."""
    order = np.argsort(-scores, axis=1, kind="stable")
    rank = np.argmax(order == labels[:, None], axis=1)  # place of the true class, 0 = best
    classes = np.unique(labels)
    per_instance, per_class = {}, {}
    for k in TOP_K:
        hit = rank < k
        per_instance[k] = float(hit.mean())
        per_class[k] = float(np.mean([hit[labels == c].mean() for c in classes]))
    return Accuracy(per_instance, per_class)
