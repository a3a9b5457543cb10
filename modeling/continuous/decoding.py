"""Beam search: from logits over time to the gloss sequence of a sentence (specification section 8).

The search goes over prefixes: gloss sequences after repeats and blanks are taken out. All sentences of a batch take
each step together, in numpy and in double precision.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BLANK = 0
NEVER = -np.inf  # the logarithm of probability 0
NO_PREFIX, NO_PARENT = -1, -2  # never equal, so that an empty place has no children


class _Beam(NamedTuple):
    """The N best prefixes of each sentence, the best first: arrays [B, N]. Places that are still empty have NEVER.

    blank, gloss: log-probability of the prefix by all paths that end in a blank, and in its last gloss; but for a
        constant, as logits are not normalised.
    prefix, parent: the number of the prefix in `_Prefixes`, and of the prefix without its last gloss.
    last: the last gloss; BLANK for the empty prefix.
    """

    blank: np.ndarray
    gloss: np.ndarray
    prefix: np.ndarray
    parent: np.ndarray
    last: np.ndarray


class _Prefixes:
    """Every prefix that was ever in a beam as one number, so that equal prefixes of a sentence have equal numbers."""

    def __init__(self, sentences: int, classes: int):
        self.sentences, self.classes = sentences, classes  # the empty prefixes are 0 .. sentences - 1
        self.numbers: dict[int, int] = {}  # parent * classes + gloss -> number

    def extended(self, parents: np.ndarray, glosses: np.ndarray) -> list[int]:
        """The numbers of the prefixes `parents` with one gloss more: int [P], int [P] -> P numbers."""
        codes = (parents * self.classes + glosses).tolist()
        return [self.numbers.setdefault(code, self.sentences + len(self.numbers)) for code in codes]

    def glosses(self, prefixes: list[int]) -> list[list[int]]:
        """The gloss sequences of prefixes."""
        codes = list(self.numbers)
        found = []
        for prefix in prefixes:
            glosses = []
            while prefix >= self.sentences:
                prefix, gloss = divmod(codes[prefix - self.sentences], self.classes)
                glosses.append(gloss)
            found.append(glosses[::-1])
        return found


def merge_repeats(glosses: list[int]) -> list[int]:
    """Neighbouring equal glosses as one."""
    return [gloss for before, gloss in zip([None, *glosses], glosses, strict=False) if gloss != before]


def beam_search(logits: Tensor, lengths: Tensor, beam: int) -> list[list[int]]:
    """The most probable gloss sequence of each sentence that a prefix beam search finds, repeats merged.

    After every step the `beam` best prefixes are kept, as in the decoder of TensorFlow (see `_close_pushed_out`). Of
    equal ones those come first that were kept before, then extensions of better prefixes, then lower gloss ids.

    Args:
        logits: float32 or float64 [B, T, V]; class 0 is the blank. Logarithms of sums of probabilities will do: what
            is added to all logits of a step changes nothing.
        lengths: int [B], the valid steps of each sentence, at most T.
        beam: the number of prefixes kept, at least 1.

    Returns:
        For each sentence its gloss ids in order. Neighbours differ, also where a blank stood between them.
    """
    sentences, steps, classes = logits.shape
    # A padded step is surely blank, which leaves every prefix as probable as it was.
    padded = torch.arange(steps) >= lengths.cpu()[:, None]
    logits = logits.detach().cpu().masked_fill(padded[:, :, None], NEVER)
    logits[:, :, BLANK].masked_fill_(padded, 0.0)
    # Of the extensions of a prefix at most `beam` are in the beam already or repeat its last gloss, and are looked at
    # apart. The `beam` best of the others are among those by the 2 * beam most probable glosses of the step.
    count = min(2 * beam, classes - 1)
    highest = logits[:, :, 1:].topk(min(count + 1, classes - 1), dim=2)
    likely = highest.indices[:, :, :count]
    tied = (highest.values[:, :, count - 1 : count] == highest.values[:, :, count:]).any(dim=2) & ~padded
    by_id = logits[tied, 1:].sort(dim=1, descending=True, stable=True).indices
    likely[tied] = by_id[:, :count]
    likely = likely.sort(dim=2).values + 1

    prefixes = _Prefixes(sentences, classes)
    state = _first(sentences, beam)
    for step in range(steps):
        state = _advance(state, logits[:, step].numpy(), likely[:, step].numpy(), prefixes)
    return [merge_repeats(glosses) for glosses in prefixes.glosses(state.prefix[:, 0].tolist())]


def _first(sentences: int, beam: int) -> _Beam:
    """The empty prefix alone."""
    shape = (sentences, beam)
    blank, prefix = np.full(shape, NEVER), np.full(shape, NO_PREFIX)
    blank[:, 0], prefix[:, 0] = 0.0, np.arange(sentences)
    return _Beam(blank, np.full(shape, NEVER), prefix, np.full(shape, NO_PARENT), np.full(shape, BLANK))


def _advance(state: _Beam, logits: np.ndarray, likely: np.ndarray, prefixes: _Prefixes) -> _Beam:
    """The beam after one step, from the step's logits [B, V] and the glosses to extend prefixes with, [B, K]."""
    sentences, beam = state.blank.shape
    row = np.arange(sentences)[:, None]
    total = np.logaddexp(state.blank, state.gloss)
    again = logits[row, state.last]  # [B, N], the logit of the prefix's last gloss
    family = np.nonzero(state.parent[:, :, None] == state.prefix[:, None, :])
    sentence, child, parent = family  # prefixes in the beam whose parent is, too

    # A prefix in the beam stays: by a blank, by its last gloss once more, or made from its parent anew.
    from_parent = np.full((sentences, beam), NEVER)
    repeats = state.last[sentence, child] == state.last[sentence, parent]  # needs a blank between
    from_parent[sentence, child] = np.where(repeats, state.blank[sentence, parent], total[sentence, parent])
    stay_blank = total + logits[:, [BLANK]]
    stay_gloss = np.logaddexp(state.gloss, from_parent) + again

    # Or it is extended: by the likely glosses and, if that is none of them, by its last gloss, in the last column.
    glosses = np.concatenate([np.repeat(likely[:, None], beam, axis=1), state.last[:, :, None]], axis=2)
    scores = np.empty((sentences, beam + beam * glosses.shape[2]))
    stay, extended = scores[:, :beam], scores[:, beam:].reshape(glosses.shape)  # views
    np.logaddexp(stay_blank, stay_gloss, out=stay)
    is_last, behind_blank = likely[:, None] == state.last[:, :, None], state.blank + again
    extended[:, :, :-1] = total[:, :, None] + logits[row, likely][:, None]
    np.copyto(extended[:, :, :-1], behind_blank[:, :, None], where=is_last)
    extended[:, :, -1] = np.where(is_last.any(axis=2) | (state.last == BLANK), NEVER, behind_blank)
    pair, column = np.nonzero(glosses[sentence, parent] == state.last[sentence, child, None])
    extended[sentence[pair], parent[pair], column] = NEVER  # in the beam already

    order = _best(scores, beam)
    pushed_out = stay < np.take_along_axis(scores, order[:, -1:], axis=1)
    suspects = pushed_out[sentence, child] & (parent < child)
    if suspects.any():
        _close_pushed_out(state, stay, extended, logits, [places[suspects] for places in family])
        order = _best(scores, beam)

    # The new beam: what stays comes from its own place, what is made from that of its parent.
    stays, score = order < beam, scores[row, order]
    source = np.where(stays, order, (order - beam) // glosses.shape[2])
    parent = np.where(stays, state.parent[row, source], state.prefix[row, source])
    last = np.where(stays, state.last[row, source], glosses.reshape(sentences, -1)[row, order - beam])
    prefix = state.prefix[row, source]
    empty = score == NEVER
    prefix[empty], parent[empty], last[empty] = NO_PREFIX, NO_PARENT, BLANK
    made = ~stays & ~empty
    prefix[made] = prefixes.extended(parent[made], last[made])
    blank = np.where(stays, stay_blank[row, source], NEVER)
    return _Beam(blank, np.where(stays, stay_gloss[row, source], score), prefix, parent, last)


def _best(scores: np.ndarray, beam: int) -> np.ndarray:
    """The places of the `beam` highest scores of each row, best first; of equal ones those further left."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :beam]


def _close_pushed_out(
    state: _Beam, stay: np.ndarray, extended: np.ndarray, logits: np.ndarray, suspects: list[np.ndarray]
) -> None:
    """Take from `extended` [B, N, K + 1] what TensorFlow's decoder leaves out.

    That decoder extends the prefixes one by one, the best first, by one gloss after another, and whatever extension is
    better than the worst prefix of a full beam pushes it out at once. When it comes to an extension that was in the
    beam before this step and has been pushed out by now, it forgets that prefix and does not extend it any more, though
    its extensions might be good enough. Of sentences with uncertain logits this changes a few in a hundred.

    Args:
        stay: [B, N], how probable the prefixes of the beam are after this step.
        suspects: sentence, child and parent, int [S] each: prefixes that do not stay, and come after their parents.
    """
    beam = stay.shape[1]
    closed = set()
    by_turn = np.lexsort((state.last[suspects[0], suspects[1]], suspects[2], suspects[0]))
    for b, child, parent in np.stack(suspects, axis=1)[by_turn].tolist():
        if (b, parent) in closed:
            continue
        # The extensions of the parent by every gloss, but those in the beam already.
        own = np.logaddexp(state.blank[b, parent], state.gloss[b, parent]) + logits[b]
        own[state.last[b, parent]] = state.blank[b, parent] + logits[b, state.last[b, parent]]
        own[state.last[b, state.parent[b] == state.prefix[b, parent]]] = NEVER
        earlier = [stay[b], extended[b, :parent].ravel(), own[BLANK + 1 : state.last[b, child]]]
        if sum(np.count_nonzero(scores > stay[b, child]) for scores in earlier) >= beam:
            extended[b, child] = NEVER
            closed.add((b, child))
