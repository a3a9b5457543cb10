"""Accuracies against hand-computed examples (specification section 10)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.metrics import accuracy, bootstrap_intervals, true_ranks


def test_hand_computed_example() -> None:
    scores = np.array(
        [
            [0.7, 0.2, 0.1],  # class 0, right
            [0.1, 0.8, 0.1],  # class 0, wrong
            [0.5, 0.3, 0.2],  # class 0, right
            [0.6, 0.1, 0.3],  # class 2, wrong
        ]
    )
    labels = np.array([0, 0, 0, 2])
    found = accuracy(true_ranks(scores, labels), labels)
    assert found.per_instance[1] == pytest.approx(2 / 4)
    assert found.per_class[1] == pytest.approx((2 / 3 + 0) / 2)  # class 1 has no clip
    assert found.per_instance[5] == found.per_class[10] == 1.0


def test_top_five_and_ten() -> None:
    scores = -np.arange(12.0)[None].repeat(12, axis=0)  # class c has rank c
    found = accuracy(true_ranks(scores, np.arange(12)), np.arange(12))
    assert found.per_instance == pytest.approx({1: 1 / 12, 5: 5 / 12, 10: 10 / 12})
    assert found.per_class == pytest.approx({1: 1 / 12, 5: 5 / 12, 10: 10 / 12})


def test_ties_count_once_in_class_order() -> None:
    """Equal scores must not make everything right: of twelve equal ones, one is first."""
    found = accuracy(true_ranks(np.zeros((12, 12)), np.arange(12)), np.arange(12))
    assert found.per_instance == pytest.approx({1: 1 / 12, 5: 5 / 12, 10: 10 / 12})


@given(st.integers(1, 20), st.integers(1, 15), st.integers(0, 10**6))
def test_against_counting(clips: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.random((clips, classes)), rng.integers(0, classes, clips)
    found = accuracy(true_ranks(scores, labels), labels)
    for k in (1, 5, 10):
        hits: dict[int, list[bool]] = {}
        for row, label in zip(scores, labels, strict=True):
            hits.setdefault(int(label), []).append(int((row > row[label]).sum()) < k)
        assert found.per_instance[k] == pytest.approx(sum(map(sum, hits.values())) / clips)
        assert found.per_class[k] == pytest.approx(np.mean([np.mean(h) for h in hits.values()]))


def test_ranks_count_from_the_best() -> None:
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.4, 0.4, 0.2]])
    assert true_ranks(scores, np.array([1, 1, 1])).tolist() == [0, 2, 1]


def test_intervals_hold_the_share_about_as_often_as_they_say() -> None:
    """Sets of 100 clips of which a known share is recognised: 95 % of their intervals hold it, 200 sets +- 3 %."""
    rng, share = np.random.default_rng(0), 0.7
    labels = np.arange(100) % 10
    held = held_per_class = 0
    for seed in range(200):
        hits = rng.random((100, 1)) < share
        ((low, high),), ((class_low, class_high),) = bootstrap_intervals(hits, labels, draws=300, seed=seed)
        held += low <= share <= high
        held_per_class += class_low <= share <= class_high
    assert 178 <= held <= 199 and 172 <= held_per_class <= 199


def test_per_class_intervals_give_every_class_one_vote() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    hits = (labels == 0)[:, None]
    ((low, high),), ((class_low, class_high),) = bootstrap_intervals(hits, labels)
    assert 0.8 < low < 0.9 < high < 0.98
    assert class_low == class_high == 0.5


def test_certain_results_have_no_spread_and_equal_seeds_agree() -> None:
    labels = np.array([3, 1, 1, 2])
    for values in (np.ones((4, 2)), np.zeros((4, 2))):
        instance, per_class = bootstrap_intervals(values, labels)
        assert (instance == values[0, 0]).all() and (per_class == values[0, 0]).all()
    mixed = np.array([[1], [0], [1], [1]])
    np.testing.assert_array_equal(
        bootstrap_intervals(mixed, labels)[0], bootstrap_intervals(mixed, labels)[0]
    )
