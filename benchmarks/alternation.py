"""Cases side by side: each in a process of its own, taking turns, so that a noisy machine disturbs all alike."""

import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Turn = Callable[[], object]
Entry = tuple[Callable[..., Turn], dict[str, Any]]  # what builds a case, and its arguments


@dataclass
class Measured:
    """seconds: of each counted turn. start, peak: memory in MiB before the first turn and at most."""

    seconds: list[float] = field(default_factory=list)
    start: float = 0.0
    peak: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.seconds), max(self.seconds)

    @property
    def extra(self) -> float:
        """Memory that a turn takes above what was there, MiB."""
        return self.peak - self.start


def alternate(entries: Sequence[Entry], rounds: int) -> list[Measured]:
    """Build all cases, give each a turn to warm up, then `rounds` counted turns in alternation."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        for entry in entries:
            ours, theirs = context.Pipe()
            processes.append(context.Process(target=_serve, args=(theirs, entry)))
            processes[-1].start()
            theirs.close()
            ours.recv()  # built
            pipes.append(ours)
        results = [Measured() for _ in entries]
        for turn in range(rounds + 1):
            for pipe, result in zip(pipes, results, strict=True):
                pipe.send(True)
                seconds, result.start, result.peak = pipe.recv()
                if turn > 0:
                    result.seconds.append(seconds)
        for pipe in pipes:
            pipe.send(False)
        return results
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.join()


def _serve(pipe: Connection, entry: Entry) -> None:
    build, arguments = entry
    turn = build(**arguments)
    import torch

    gc.collect()
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated() / 2**20
    else:
        start = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    pipe.send(True)
    while pipe.recv():
        started = time.perf_counter()
        turn()
        if cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        peak = torch.cuda.max_memory_allocated() / 2**20 if cuda else _status("VmHWM")
        pipe.send((seconds, start, peak))


def _status(name: str) -> float:
    """A line of /proc/self/status, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
