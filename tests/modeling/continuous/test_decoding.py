"""Beam search against a search that goes one extension at a time, and against all paths there are."""

from collections import defaultdict
from itertools import product

import numpy as np
import pytest
import torch

from modeling.continuous.decoding import beam_search, merge_repeats

Prefix = tuple[int, ...]
NEVER = -np.inf


def one_by_one(logits: np.ndarray, beam: int, forgets: bool = True) -> list[int]:
    """What TensorFlow's decoder finds in logits [T, V]; without `forgets`, what a plain prefix beam search finds.

    `old` and `new` hold the log-probabilities of a prefix by paths that end in a blank and in its last gloss.
    """
    order: list[Prefix] = [()]
    old: dict[Prefix, tuple[float, float]] = {(): (0.0, NEVER)}
    for row in logits.astype(np.float64):
        new = {}
        for prefix in order:
            ends_in_gloss = NEVER
            if prefix:
                ends_in_gloss = old[prefix][1] + row[prefix[-1]]
                if prefix[:-1] in old:
                    ends_in_gloss = np.logaddexp(ends_in_gloss, made_from(old, prefix) + row[prefix[-1]])
            new[prefix] = (np.logaddexp(*old[prefix]) + row[0], ends_in_gloss)
        forgotten = set()
        for prefix in order:
            for gloss in range(1, len(row)):
                extended = (*prefix, gloss)
                if prefix in forgotten or extended in new:
                    continue
                if extended in old:
                    forgotten |= {extended} if forgets else set()  # pushed out of the beam, a few lines below
                    continue
                new[extended] = (NEVER, made_from(old, extended) + row[gloss])
                if len(new) > beam:
                    del new[min(reversed(new), key=lambda prefix: np.logaddexp(*new[prefix]))]
        order = sorted(new, key=lambda prefix: -np.logaddexp(*new[prefix]))
        old = new
    return merge_repeats(list(order[0]))


def made_from(old: dict[Prefix, tuple[float, float]], prefix: Prefix) -> float:
    """The log-probability of the prefix without its last gloss, by paths that this gloss may follow at once."""
    blank, gloss = old[prefix[:-1]]
    return blank if prefix[-2:-1] == prefix[-1:] else float(np.logaddexp(blank, gloss))


def random_logits(kind: str, shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal(shape)
    if kind == "flat":
        logits *= 0.5
    elif kind == "peaked":
        logits *= 4.0
    elif kind == "mostly blank":
        logits *= 3.0
        logits[..., 0] += 4.0
    return torch.from_numpy(logits.astype(np.float32))


@pytest.mark.parametrize("kind", ["flat", "normal", "peaked", "mostly blank"])
@pytest.mark.parametrize("shape", [(20, 6, 2), (20, 8, 4), (10, 12, 12), (4, 15, 60)])
def test_finds_what_a_search_one_by_one_finds(kind: str, shape: tuple[int, int, int]) -> None:
    logits = random_logits(kind, shape)
    lengths = torch.from_numpy(np.random.default_rng(1).integers(0, shape[1] + 1, shape[0]))
    for beam in (1, 2, 3, 5, 10):
        found = beam_search(logits, lengths, beam)
        for sentence, length, glosses in zip(logits.numpy(), lengths, found, strict=True):
            assert glosses == one_by_one(sentence[:length], beam)


def test_a_wide_beam_finds_the_most_probable_of_all_sequences() -> None:
    steps, classes = 4, 4
    logits = random_logits("normal", (30, steps, classes)).double()
    found = beam_search(logits, torch.full((30,), steps), 1000)
    for probabilities, glosses in zip(logits.softmax(dim=2).numpy(), found, strict=True):
        sums: defaultdict[Prefix, float] = defaultdict(float)
        for path in product(range(classes), repeat=steps):
            prefix: Prefix = tuple(gloss for gloss in merge_repeats(list(path)) if gloss)
            sums[prefix] += np.prod(probabilities[np.arange(steps), path])
        assert glosses == merge_repeats(list(max(sums, key=sums.__getitem__)))


def test_a_prefix_that_was_pushed_out_is_not_extended() -> None:
    """Recorded from TensorFlow 2.21. At the last step `1 1` pushes `1 3` out before `1` comes to its extension by 3."""
    logits = np.log([[0.15, 0.50, 0.05, 0.30], [0.20, 0.20, 0.25, 0.35], [0.15, 0.70, 0.05, 0.10]])
    assert beam_search(torch.from_numpy(logits)[None], torch.tensor([3]), 2) == [[1]]
    assert one_by_one(logits, 2) == [1]
    assert one_by_one(logits, 2, forgets=False) == [1, 3, 1]


def test_equal_glosses_are_merged_across_a_blank() -> None:
    path = torch.tensor([[3, 0, 3, 3, 1, 0, 3]])
    logits = 20.0 * torch.nn.functional.one_hot(path, 5)
    assert beam_search(logits, torch.tensor([7]), 5) == [[3, 1, 3]]
    assert beam_search(logits, torch.tensor([4]), 5) == [[3]]


@pytest.mark.parametrize("beam", [1, 4])
def test_padded_steps_and_neighbours_in_the_batch_change_nothing(beam: int) -> None:
    logits, lengths = random_logits("normal", (6, 14, 9)), torch.tensor([14, 9, 0, 1, 12, 5])
    before = logits.clone()
    found = beam_search(logits, lengths, beam)
    assert torch.equal(logits, before)
    assert found[2] == []
    for sentence, length, glosses in zip(logits, lengths, found, strict=True):
        assert beam_search(sentence[None, :length], length[None], beam) == [glosses]
    logits[torch.arange(14) >= lengths[:, None]] = 50.0
    assert beam_search(logits, lengths, beam) == found


def test_log_probabilities_give_the_same_as_logits() -> None:
    logits = random_logits("normal", (10, 12, 30)).double()
    lengths = torch.full((10,), 12)
    assert beam_search(logits.log_softmax(dim=2), lengths, 5) == beam_search(logits, lengths, 5)


def test_impossible_classes_are_not_found() -> None:
    logits = torch.full((1, 6, 40), -torch.inf)
    logits[:, :, 0], logits[:, 3, 17] = 0.0, 1.0
    assert beam_search(logits, torch.tensor([6]), 5) == [[17]]


def test_of_equal_glosses_the_lower_id_is_found() -> None:
    logits = torch.zeros(1, 3, 50)
    logits[:, :, 0] = -1.0
    assert beam_search(logits, torch.tensor([3]), 1) == [[1]]
