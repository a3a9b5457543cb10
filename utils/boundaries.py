"""How far the times at which glosses were read are from those at which they were signed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from utils.word_errors import align_words

Span = tuple[str, int, int]  # a gloss, its first frame, and the one behind its last


class BoundaryDistances(NamedTuple):
    """Mean absolute distances, in frames, of the starts and of the ends of so many glosses."""

    starts: float
    ends: float
    glosses: int


def boundary_distances(
    read: Sequence[Sequence[Span]], signed: Sequence[Sequence[Span]]
) -> BoundaryDistances | None:
    """The mean over all glosses that were read right.

    Which those are says the alignment of the word error rate (`align_words`).

    Args:
        read, signed: the glosses of each sentence in order.

    Returns:
        None if no gloss was read right.
    """
    distances = [
        (abs(found[1] - true[1]), abs(found[2] - true[2]))
        for of_sentence in zip(read, signed, strict=True)
        for found, true in _matched(*of_sentence)
    ]
    if not distances:
        return None
    starts, ends = np.mean(distances, axis=0).tolist()
    return BoundaryDistances(starts, ends, len(distances))


def _matched(read: Sequence[Span], signed: Sequence[Span]) -> list[tuple[Span, Span]]:
    """The glosses of a sentence that were read right, each as read and as signed."""
    remaining_read, remaining_signed = iter(read), iter(signed)
    pairs = []
    for operation, reference, hypothesis in align_words([s[0] for s in signed], [s[0] for s in read]):
        true = next(remaining_signed) if reference is not None else None
        found = next(remaining_read) if hypothesis is not None else None
        if operation == "correct" and found is not None and true is not None:
            pairs.append((found, true))
    return pairs
