"""Timing of turns on a device, in this process: CUDA runs them one after another whatever else the machine does."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.alternation import Measured, Turn

Figures = dict[str, float | str]


@dataclass(frozen=True)
class Setting:
    """small: sizes for trying it out on a machine without a GPU; seconds: how long a figure is measured, about."""

    device: torch.device
    small: bool
    seconds: float = 1.5


def free() -> None:
    gc.collect()
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(build: Callable[[], Turn], setting: Setting, warm_up: int = 3) -> Measured:
    """At least three turns after those to warm up; the memory that tensors take at most, from the first turn on, MiB.

    Raises:
        torch.OutOfMemoryError: it does not fit.
    """
    free()
    turn = build()
    started = time.perf_counter()
    for _ in range(warm_up):
        turn()
        wait()
        if setting.small:
            break
    found = Measured()
    started = time.perf_counter()
    while len(found.seconds) < 3 or time.perf_counter() - started < setting.seconds:
        before = time.perf_counter()
        turn()
        wait()
        found.seconds.append(time.perf_counter() - before)
        if setting.small:
            break
    if torch.cuda.is_available():
        found.peak = torch.cuda.max_memory_allocated() / 2**20
    return found
