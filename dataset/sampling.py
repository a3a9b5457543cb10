"""Which frames of a clip the network sees: random windows in training, fixed crops in evaluation.

Specification section 2. A clip shorter than the target is padded by repeating its first and last frame.
"""

from typing import Literal

import numpy as np

Crop = Literal["start", "central", "end"]
CROPS: tuple[Crop, ...] = ("start", "central", "end")


def training_indices(length: int, target: int, rng: np.random.Generator) -> np.ndarray:
    """Frame indices int64 [target] of a random window of a clip of `length` frames.

    Longer clips: `target` consecutive frames, starting at 0 .. length - target - 1 (the last window is never
    drawn, as in the published runs). Shorter: all frames, with 0 .. missing - 1 repeats of the first on the left
    and the other repeats, of the last, on the right.
    """
    if length > target:
        return _window(length, target, int(rng.integers(0, length - target)), 0)
    missing = target - length
    return _window(length, target, 0, int(rng.integers(0, missing)) if missing else 0)


def evaluation_indices(length: int, target: int, crop: Crop) -> np.ndarray:
    """Frame indices int64 [target] of a fixed crop.

    `start`: the first window, padding on the right; `end`: the last window, padding on the left; `central`: the
    middle one, floor(missing / 2) repeats on the left.
    """
    surplus, missing = max(0, length - target), max(0, target - length)
    share = {"start": (0, 0), "central": (surplus // 2, missing // 2), "end": (surplus, missing)}
    return _window(length, target, *share[crop])


def _window(length: int, target: int, start: int, left: int) -> np.ndarray:
    """`target` frames from `start`, after `left` repeats of the first, repeating the last at the end."""
    return np.clip(np.arange(target) - left + start, start, length - 1)
