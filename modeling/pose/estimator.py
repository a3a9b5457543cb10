"""What every keypoint estimator does: frames in, 133 COCO-WholeBody keypoints a frame out."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np

NUM_KEYPOINTS = 133
READ_AHEAD = 16  # frames decoded before they are needed

T = TypeVar("T")


class Estimator(Protocol):
    """A whole-body keypoint estimator.

    name, version: what is recorded with the keypoints; the version covers everything that changes them.
    """

    name: str
    version: str

    def estimate(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Keypoints of the one person in consecutive frames of a clip.

        Args:
            frames: uint8 RGB [H, W, 3], read as they are needed.

        Yields:
            float32 [133, 3] a frame, in order: x, y in pixels of the frame and the confidence in [0, 1]. A part that
            was not found is all zero, and so is a frame without a person.
        """
        ...


def estimate_clip(
    estimator: Estimator, frames: Iterable[np.ndarray], count: Callable[[int], object]
) -> tuple[np.ndarray, tuple[int, int]]:
    """The keypoints of a whole clip, float32 [frames, 133, 3], and the (width, height) of its frames.

    Frames are produced, that is decoded, in a thread while earlier ones are estimated. `count(1)` is called after
    each frame.
    """
    size = (0, 0)

    def noting_size() -> Iterator[np.ndarray]:
        nonlocal size
        for frame in frames:
            size = (frame.shape[1], frame.shape[0])
            yield frame

    found = []
    for keypoints in estimator.estimate(read_ahead(noting_size(), READ_AHEAD)):
        found.append(keypoints)
        count(1)
    return np.array(found, np.float32).reshape(-1, NUM_KEYPOINTS, 3), size


def read_ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """The items in order, up to `count` of them produced in advance by a thread."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, iterator, end) for _ in range(count))
        while (item := coming.popleft().result()) is not end:
            coming.append(thread.submit(next, iterator, end))
            yield item  # type: ignore[misc]
