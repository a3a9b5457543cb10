"""When each gloss of a sentence is signed: the best path of CTC through a gloss sequence, and spans made of it.

Times are in steps of the logits. Step s covers the frames 4 s to 4 s + 3 of the sentence.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from torch import Tensor

from modeling.continuous.decoding import BLANK, NEVER

REACH = 3  # steps; CTC names a gloss within a step or two, a sign takes some more before and after


class AlignedGloss(NamedTuple):
    """A gloss of a sentence, from step `start` up to, without, step `end`.

    probability: the mean probability of the gloss over the steps at which the best path names it.
    """

    gloss: int
    start: int
    end: int
    probability: float


def best_path_alignment(logits: Tensor, glosses: list[int]) -> list[AlignedGloss]:
    """The steps at which the most probable path through a gloss sequence names each gloss.

    Args:
        logits: float [T, V], the valid steps of one sentence; class 0 is the blank.
        glosses: ids, such as those that `beam_search` found.

    Raises:
        ValueError: no path gives these glosses. They take a step each, and one more between equal neighbours.
    """
    log_p = logits.detach().double().log_softmax(dim=1).cpu().numpy()
    steps = len(log_p)
    labels = np.full(2 * len(glosses) + 1, BLANK)  # blank, gloss, blank, gloss, ..., blank
    labels[1::2] = glosses
    emitted = log_p[:, labels]
    may_skip = np.zeros(len(labels), dtype=bool)  # the blank between two different glosses may be left out
    may_skip[2:] = (labels[2:] != BLANK) & (labels[2:] != labels[:-2])

    score = np.full(len(labels), NEVER)
    score[0] = 0.0
    moves = np.empty((steps, len(labels)), dtype=np.int64)  # labels passed since the step before: 0, 1 or 2
    for step in range(steps):
        behind = np.concatenate([[NEVER, NEVER], score])
        reached = np.stack([score, behind[1:-1], np.where(may_skip, behind[:-2], NEVER)])
        moves[step] = reached.argmax(axis=0)
        score = reached.max(axis=0) + emitted[step]
    place = len(labels) - 1 - int(score[-2:][::-1].argmax())  # ends in the last blank or the last gloss
    if score[place] == NEVER:
        raise ValueError(f"no path of {steps} steps gives these {len(glosses)} glosses")

    path = np.empty(steps, dtype=np.int64)
    for step in reversed(range(steps)):
        path[step] = place
        place -= moves[step, place]
    aligned = []
    for number, gloss in enumerate(glosses):
        named = np.flatnonzero(path == 2 * number + 1)
        probability = float(np.exp(log_p[named, gloss]).mean())
        aligned.append(AlignedGloss(gloss, int(named[0]), int(named[-1]) + 1, probability))
    return aligned


def sign_spans(aligned: list[AlignedGloss], steps: int, reach: int = REACH) -> list[AlignedGloss]:
    """Spans of whole signs: what lies between two glosses is halved, but no sign grows by more than `reach` a side.

    Args:
        aligned: from `best_path_alignment`.
        steps: of the sentence.
        reach: steps.

    Returns:
        The same glosses with wider spans, which do not overlap. Of an odd gap the later sign gets the greater part, as
        networks name a gloss when they have seen the sign.
    """
    bounds = [0, *((before.end + after.start) // 2 for before, after in pairwise(aligned)), steps]
    return [
        sign._replace(start=max(low, sign.start - reach), end=min(high, sign.end + reach))
        for sign, (low, high) in zip(aligned, pairwise(bounds), strict=False)
    ]
