"""Frames on their way from a loading process to the training process, in shared memory that is used again and again.

Fresh shared memory would cost more time than decoding into it, for the system clears every page of it first, and what
containers set aside for it (/dev/shm) is small. Needs processes that are forked.
"""

import itertools
import math
import mmap
import os
import weakref
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PIECES = 4  # of each process: two batches that wait, one in work, one in use


class FramePool:
    """Pieces of memory, each with room for the frames of a batch.

    Args:
        workers: loading processes, to be forked after this.
        shape: of the frames of a batch, at most.

    Memory that is never written to takes no room.
    """

    def __init__(self, workers: int, shape: tuple[int, ...]):
        pieces = workers * PIECES
        self._taken = np.frombuffer(mmap.mmap(-1, pieces), np.uint8)
        self._frames = np.frombuffer(mmap.mmap(-1, pieces * math.prod(shape)), np.uint8)
        self._frames = self._frames.reshape(pieces, *shape)
        self._owner = os.getpid()
        self.key = next(_keys)
        _pools[self.key] = self

    def take(self, worker: int) -> int | None:
        """A free piece of this worker, from now on taken; None if there is none."""
        for piece in range(worker * PIECES, (worker + 1) * PIECES):
            if not self._taken[piece]:
                self._taken[piece] = True
                return piece
        return None

    def room(self, piece: int) -> np.ndarray:
        """Where to write frames: uint8, of the shape of the pool."""
        return self._frames[piece]

    def free(self, piece: int) -> None:
        self._taken[piece] = False

    def lend(self, piece: int, frames: int) -> Tensor:
        """The first frames of a piece, to be sent to the process that the pool was made in, and free again when nothing
        there refers to them any more."""
        return _Loan(self.key, piece, frames)  # type: ignore[return-value]  # it arrives as a tensor

    def receive(self, piece: int, frames: int) -> Tensor:
        view = self._frames[piece, :frames]
        weakref.finalize(view, self._free_here, piece).atexit = False
        return torch.from_numpy(view)

    def _free_here(self, piece: int) -> None:
        # What a forked process does with its copy of the tensor does not count.
        if os.getpid() == self._owner:
            self.free(piece)


_keys = itertools.count()
_pools: "weakref.WeakValueDictionary[int, FramePool]" = weakref.WeakValueDictionary()


@dataclass
class _Loan:
    pool: int
    piece: int
    frames: int

    def __reduce__(self) -> tuple[object, ...]:
        return _receive, (self.pool, self.piece, self.frames)


def _receive(pool: int, piece: int, frames: int) -> Tensor:
    return _pools[pool].receive(piece, frames)
