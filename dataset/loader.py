"""Batches of a whole training run or evaluation, in their order, read ahead by loading processes.

A seed and a position determine every batch, on any number of workers and processes.
"""

import atexit
import ctypes
import multiprocessing
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from dataset.batch import Batch, Request, SampleSet
from dataset.footage import FootageBatch, FootageDataset
from dataset.frame_pool import FramePool
from utils.errors import UserError
from utils.progress import STOPPING
from utils.seeding import generator


class TrainingSchedule(Sampler[list[Request]]):
    """All batches of a training run, epoch after epoch, from any point on.

    Each epoch goes through the samples in a new order; the last batch is filled up from the epoch's beginning. The
    global batch is cut into equal consecutive parts, one a process.
    """

    def __init__(
        self,
        dataset: SampleSet,
        batch_size: int,
        epochs: int,
        seed: int,
        first_step: int = 0,
        rank: int = 0,
        processes: int = 1,
    ):
        self.dataset, self.batch_size, self.epochs, self.seed = dataset, batch_size, epochs, seed
        self.first_step, self.rank, self.processes = first_step, rank, processes
        self.steps_per_epoch = -(-len(dataset) // batch_size)

    def __len__(self) -> int:
        return self.epochs * self.steps_per_epoch - self.first_step

    def __iter__(self) -> Iterator[list[Request]]:
        local = self.batch_size // self.processes
        for epoch in range(self.first_step // self.steps_per_epoch, self.epochs):
            order = generator(self.seed, "order", epoch).permutation(len(self.dataset))
            filled = np.resize(order, self.steps_per_epoch * self.batch_size)
            filled = self.dataset.arrange(filled, self.batch_size, generator(self.seed, "arrange", epoch))
            skipped = max(0, self.first_step - epoch * self.steps_per_epoch)
            for step in range(skipped, self.steps_per_epoch):
                first = step * self.batch_size + self.rank * local
                yield [Request(int(filled[p]), (self.seed, epoch, p)) for p in range(first, first + local)]


class _HandedOver(Dataset[FootageBatch]):
    """The batches of clips as loading processes hand them over: their frames through a pool."""

    def __init__(self, dataset: FootageDataset, workers: int, clips: int):
        self.dataset, self.pool = dataset, FramePool(workers, dataset.room(clips))

    def __getitem__(self, requests: list[Request]) -> FootageBatch:
        worker = get_worker_info()
        assert worker is not None
        piece = self.pool.take(worker.id)
        if piece is None:  # whoever receives the batches keeps many of them
            return self.dataset[requests]
        batch = self.dataset.read(requests, self.pool.room(piece))
        if batch.frames is None:  # an error
            self.pool.free(piece)
        else:
            batch.frames = self.pool.lend(piece, len(batch.frames))
        return batch


class _Loader(DataLoader[Batch]):
    """Says in one line that a loading process is gone."""

    def __iter__(self) -> Any:
        return self._told(super().__iter__())  # which starts the processes now

    def _told(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        try:
            yield from batches
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise UserError(
                f"{str(error).splitlines()[0]} One that is killed mostly ran out of memory: lower data.workers or the "
                "batch size; the same command continues"
            ) from None


def _loader(
    dataset: SampleSet, batches: Iterable[list[Request]], size: int, workers: int, pin: bool
) -> _Loader:
    """size: samples of a batch, at most."""
    forked = workers > 0 and sys.platform == "linux"
    read: Dataset[Any] = dataset
    if forked and isinstance(dataset, FootageDataset) and dataset.reads_frames:
        read = _HandedOver(dataset, workers, size)
    return _Loader(
        read,
        sampler=batches,
        batch_size=None,  # a request is one for a whole batch
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=_follow,
        multiprocessing_context="fork" if forked else None,
    )


def _follow(worker: int) -> None:
    """Leave signals alone: terminals and clusters send theirs to every process, and only the training process decides
    what to do about them. And die with it, at once, or the lock of its run would stay taken for seconds."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError, AttributeError):  # not Linux
        die_with_parent = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(die_with_parent, signal.SIGKILL)


@atexit.register
def _end_loading() -> None:
    """As Python would, were the signal that it sends not one of those."""
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


def training_loader(dataset: SampleSet, schedule: TrainingSchedule, workers: int, pin: bool) -> _Loader:
    """Batches of the whole run; its workers live as long as it is iterated."""
    return _loader(dataset, schedule, schedule.batch_size // schedule.processes, workers, pin)


def evaluation_loader(
    dataset: SampleSet, batch_size: int, workers: int, pin: bool, rank: int = 0, processes: int = 1
) -> _Loader:
    """Every sample once, in batches whose make-up does not depend on the number of processes that share them."""
    batches = [
        [Request(i, None) for i in range(start, min(start + batch_size, len(dataset)))]
        for start in range(0, len(dataset), batch_size)
    ]
    return _loader(dataset, batches[rank::processes], batch_size, workers, pin)
