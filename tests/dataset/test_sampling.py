"""Which frames are read (specification section 2)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.sampling import CROPS, Crop, evaluation_indices, training_indices

LENGTHS, TARGETS = st.integers(1, 90), st.integers(1, 70)


def padding(indices: np.ndarray) -> tuple[int, int]:
    """Repeats of the first frame on the left and of the last frame on the right."""
    values = indices.tolist()
    return values.count(values[0]) - 1, values.count(values[-1]) - 1


@given(LENGTHS, TARGETS, st.integers(0, 10**6))
def test_training_frames_are_consecutive_inside_and_padded_at_the_ends(
    length: int, target: int, seed: int
) -> None:
    indices = training_indices(length, target, np.random.default_rng(seed))
    assert indices.shape == (target,) and indices.dtype == np.int64
    assert indices.min() >= 0 and indices.max() < length
    steps = np.diff(indices)
    assert set(steps.tolist()) <= {0, 1}
    if length > target:
        assert (steps == 1).all() and 0 <= indices[0] <= length - target - 1
    else:
        assert set(indices.tolist()) == set(range(length))
        if 1 < length < target:
            left, right = padding(indices)
            assert left + right == target - length and right >= 1


@pytest.mark.parametrize(
    ("length", "target", "starts"), [(70, 64, range(6)), (65, 64, range(1)), (64, 64, range(1))]
)
def test_every_window_but_the_last_is_drawn(length: int, target: int, starts: range) -> None:
    rng = np.random.default_rng(0)
    assert {int(training_indices(length, target, rng)[0]) for _ in range(300)} == set(starts)


def test_every_left_padding_but_the_whole_is_drawn() -> None:
    rng = np.random.default_rng(0)
    assert {padding(training_indices(5, 9, rng)) for _ in range(300)} == {(0, 4), (1, 3), (2, 2), (3, 1)}


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("target", [8, 9, 64])
def test_evaluation_frames_are_the_window_of_their_crop(target: int, crop: Crop) -> None:
    for length in range(1, 2 * target + 3):
        indices = evaluation_indices(length, target, crop).tolist()
        if length >= target:
            start = {"start": 0, "central": (length - target) // 2, "end": length - target}[crop]
            assert indices == list(range(start, start + target))
        else:
            missing = target - length
            left = {"start": 0, "central": missing // 2, "end": missing}[crop]
            assert indices == [0] * left + list(range(length)) + [length - 1] * (missing - left)


def test_draws_depend_on_the_generator_alone() -> None:
    draws = [training_indices(200, 64, np.random.default_rng(seed))[0] for seed in (1, 1, 2, 3)]
    assert draws[0] == draws[1] and len(set(draws)) == 3
