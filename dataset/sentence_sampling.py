"""Which frames of a sentence the network sees (specification section 3).

Counts are multiples of 4, as the encoders make one step of four frames.
"""

import numpy as np

MOST_FRAMES = 400
MULTIPLE = 4
SPEED = (0.5, 1.5)  # training: so many frames are drawn, as a share of the sentence's

Speed = tuple[float, float]


def evaluation_frames(length: int, most: int = MOST_FRAMES) -> np.ndarray:
    """Frame indices int64 [count]: all, or the middle `most` of a longer sentence, without the last `count` % 4.

    Raises:
        ValueError: fewer than 4 frames.
    """
    _refuse_short(length)
    count = min(length, most)
    start = (length - count) // 2
    return np.arange(start, start + count - count % MULTIPLE)


def training_frames(
    length: int, rng: np.random.Generator, most: int = MOST_FRAMES, speed: Speed = SPEED
) -> np.ndarray:
    """Frame indices int64 [count], sorted, of a sentence played at another speed.

    The count is drawn between the two shares `speed` of the frames, at most `most`, and rounded up. Frames are left out
    at random places or, where there are too few, repeated.

    Raises:
        ValueError: fewer than 4 frames.
    """
    count = _rounded_up(int(rng.integers(*_drawn(length, most, speed), endpoint=True)))
    if count <= length:
        return np.sort(rng.choice(length, count, replace=False))
    return np.sort(np.concatenate([np.arange(length), rng.integers(0, length, count - length)]))


def training_counts(length: int, most: int = MOST_FRAMES, speed: Speed = SPEED) -> tuple[int, int]:
    """The lowest and the highest count of frames that `training_frames` gives.

    Raises:
        ValueError: fewer than 4 frames.
    """
    low, high = _drawn(length, most, speed)
    return _rounded_up(low), _rounded_up(high)


def _drawn(length: int, most: int, speed: Speed) -> tuple[int, int]:
    """What the count is drawn between, both included, before it is rounded up."""
    _refuse_short(length)
    return min(int(speed[0] * length), most), min(int(speed[1] * length), most)


def _rounded_up(count: int) -> int:
    return -(-count // MULTIPLE) * MULTIPLE


def _refuse_short(length: int) -> None:
    if length < MULTIPLE:
        raise ValueError(f"a sentence of {length} frames is too short: it takes at least {MULTIPLE}")
