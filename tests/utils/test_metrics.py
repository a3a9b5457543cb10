"""Accuracies against hand-computed examples (specification section 10)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.metrics import accuracy


def test_hand_computed_example() -> None:
    scores = np.array(
        [
            [0.7, 0.2, 0.1],  # class 0, right
            [0.1, 0.8, 0.1],  # class 0, wrong
            [0.5, 0.3, 0.2],  # class 0, right
            [0.6, 0.1, 0.3],  # class 2, wrong
        ]
    )
    found = accuracy(scores, np.array([0, 0, 0, 2]))
    assert found.per_instance[1] == pytest.approx(2 / 4)
    assert found.per_class[1] == pytest.approx((2 / 3 + 0) / 2)  # class 1 has no clip
    assert found.per_instance[5] == found.per_class[10] == 1.0


def test_top_five_and_ten() -> None:
    scores = -np.arange(12.0)[None].repeat(12, axis=0)  # class c has rank c
    found = accuracy(scores, np.arange(12))
    assert found.per_instance == pytest.approx({1: 1 / 12, 5: 5 / 12, 10: 10 / 12})
    assert found.per_class == pytest.approx({1: 1 / 12, 5: 5 / 12, 10: 10 / 12})


def test_ties_count_once_in_class_order() -> None:
    """Equal scores must not make everything right: of twelve equal ones, one is first."""
    found = accuracy(np.zeros((12, 12)), np.arange(12))
    assert found.per_instance == pytest.approx({1: 1 / 12, 5: 5 / 12, 10: 10 / 12})


@given(st.integers(1, 20), st.integers(1, 15), st.integers(0, 10**6))
def test_against_counting(clips: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.random((clips, classes)), rng.integers(0, classes, clips)
    found = accuracy(scores, labels)
    for k in (1, 5, 10):
        hits: dict[int, list[bool]] = {}
        for row, label in zip(scores, labels, strict=True):
            hits.setdefault(int(label), []).append(int((row > row[label]).sum()) < k)
        assert found.per_instance[k] == pytest.approx(sum(map(sum, hits.values())) / clips)
        assert found.per_class[k] == pytest.approx(np.mean([np.mean(h) for h in hits.values()]))
