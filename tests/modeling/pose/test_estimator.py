"""Frames are produced ahead of their use, in order, and never lost."""

import threading
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from modeling.pose.estimator import estimate_clip, read_ahead


class Counting:
    name, version = "counting", "1"

    def estimate(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for frame in frames:
            yield np.full((133, 3), frame[0, 0, 0], np.float32)


def test_a_clip() -> None:
    counted: list[int] = []
    frames = [np.full((4, 6, 3), number, np.uint8) for number in range(40)]
    keypoints, size = estimate_clip(Counting(), frames, counted.append)
    assert keypoints.dtype == np.float32 and keypoints.shape == (40, 133, 3)
    assert keypoints[:, 7, 1].tolist() == list(range(40)) and size == (6, 4)
    assert counted == [1] * 40


def test_a_clip_without_frames() -> None:
    keypoints, size = estimate_clip(Counting(), [], lambda _: None)
    assert keypoints.shape == (0, 133, 3) and size == (0, 0)


def test_items_are_produced_ahead_and_no_further() -> None:
    produced: list[int] = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            produced.append(number)
            if number == 4:
                enough.set()
            yield number

    reading = read_ahead(items(), 4)
    assert next(reading) == 0
    assert enough.wait(10)  # 0 is out, so 1 to 4 are on their way
    reading.close()  # type: ignore[attr-defined]
    assert produced == [0, 1, 2, 3, 4]


def test_a_failure_while_producing_reaches_the_reader_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no third")

    reading = read_ahead(items(), 5)
    assert next(reading) == 1
    with pytest.raises(ValueError, match="no third"):
        next(reading)
