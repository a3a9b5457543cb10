"""Which frames of a sentence are read (specification section 3)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.sentence_sampling import evaluation_frames, training_counts, training_frames


@pytest.mark.parametrize(
    ("length", "first", "count"),
    [
        (4, 0, 4),
        (7, 0, 4),
        (33, 0, 32),
        (399, 0, 396),
        (400, 0, 400),
        (401, 0, 400),
        (402, 1, 400),
        (801, 200, 400),
    ],
)
def test_evaluation_takes_all_or_the_middle(length: int, first: int, count: int) -> None:
    frames = evaluation_frames(length)
    assert frames.dtype == np.int64
    assert frames.tolist() == list(range(first, first + count))


@given(st.integers(4, 1000), st.integers(0, 10**6))
def test_training_frames_are_sorted_and_all_different_or_all_there(length: int, seed: int) -> None:
    frames = training_frames(length, np.random.default_rng(seed))
    low, high = training_counts(length)
    assert frames.dtype == np.int64 and len(frames) % 4 == 0 and low <= len(frames) <= high
    assert (np.diff(frames) >= 0).all() and frames[0] >= 0 and frames[-1] < length
    assert len(set(frames.tolist())) == min(len(frames), length)


@pytest.mark.parametrize(
    ("length", "low", "high"),
    [(4, 4, 8), (8, 4, 12), (9, 4, 16), (30, 16, 48), (399, 200, 400), (800, 400, 400), (900, 400, 400)],
)
def test_the_counts_drawn(length: int, low: int, high: int) -> None:
    assert training_counts(length) == (low, high)
    rng = np.random.default_rng(0)
    counts = {len(training_frames(length, rng)) for _ in range(1000)}
    assert counts == set(range(low, high + 1, 4))


def test_frames_left_out_and_repeated_are_anywhere() -> None:
    rng = np.random.default_rng(0)
    draws = [training_frames(8, rng) for _ in range(300)]
    left_out = {frame for frames in draws for frame in set(range(8)) - set(frames.tolist())}
    repeated = {frame for frames in draws for frame in frames[1:][np.diff(frames) == 0].tolist()}
    assert left_out == repeated == set(range(8))


def test_another_limit() -> None:
    assert evaluation_frames(50, most=20).tolist() == list(range(15, 35))
    assert training_counts(50, most=20) == (20, 20)


def test_too_short_a_sentence_is_refused() -> None:
    for call in (evaluation_frames, training_counts, lambda n: training_frames(n, np.random.default_rng(0))):
        with pytest.raises(ValueError, match="3 frames is too short: it takes at least 4"):
            call(3)


def test_draws_depend_on_the_generator_alone() -> None:
    draws = [training_frames(200, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
