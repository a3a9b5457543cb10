"""What a training reads after it was resumed is what it would have read anyway."""

import dataclasses
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from threading import Barrier
from typing import Any

import pytest
import torch
from torch import Tensor

from configs.schema import Config, load_experiment
from dataset.loader import TrainingSchedule, training_loader
from tasks import build_task
from tests.end_to_end.conftest import Project
from tests.faults.conftest import Report, many
from utils.distributed import Processes

MIXED = {"loss__intra_modality_mixup__probability": 0.75, "loss__intra_modality_mixup__group_size": 2}


def take_in(digest: "hashlib._Hash", value: Any) -> None:
    """Every name, number and tensor of a batch or of a part of it, whatever it is made of."""
    if isinstance(value, Tensor):
        digest.update(value.contiguous().view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    elif isinstance(value, dict):
        take_in(digest, list(value.items()))
    elif isinstance(value, list | tuple):
        for part in value:
            take_in(digest, part)
    elif dataclasses.is_dataclass(value) or hasattr(value, "__dict__"):
        take_in(digest, vars(value))
    else:
        digest.update(repr(value).encode())


def batches(config: Config, first: int, processes: Processes) -> Iterator[str]:
    """Fingerprints of batches, from a step on: of samples, frames, keypoints, and what augmentation makes of them."""
    task = build_task(config, processes)
    dataset = task.training_data()
    training = config.training
    schedule = TrainingSchedule(
        dataset, training.batch_size, training.epochs, config.seed, first, processes.rank, processes.count
    )
    with closing(iter(training_loader(dataset, schedule, config.data.workers, pin=False))) as read:
        for step, batch in enumerate(read, first):
            digest = hashlib.sha256()
            take_in(digest, [dataset.names[sample] for sample in batch.samples])
            take_in(digest, batch)
            for part in task.parts(batch, step):
                take_in(digest, part)
            yield digest.hexdigest()


class Thread(Processes):
    """One of several threads that stand for processes."""

    def __init__(self, rank: int, values: list[Any], meeting: Barrier):
        super().__init__(rank, len(values), torch.device("cpu"))
        self.values, self.meeting = values, meeting

    def gather(self, value: Any) -> list[Any]:
        self.values[self.rank] = value
        self.meeting.wait()
        values = list(self.values)
        self.meeting.wait()
        return values


def of_all_processes(config: Config, first: int, count: int, processes: int) -> list[list[str]]:
    """The fingerprints of `count` batches from a step on, of each process."""
    values, meeting = [None] * processes, Barrier(processes)
    threads = [Thread(rank, values, meeting) for rank in range(processes)]
    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(lambda thread: list(islice(batches(config, first, thread), count)), threads))


@pytest.mark.parametrize("processes", [1, 2])
def test_resumed_twice_the_next_batches_are_those_of_the_undisturbed_run(
    of_task: Project, task: str, processes: int, report: Report
) -> None:
    of_isolated = MIXED if task == "isolated" else {}
    count, first, second = many(4, 50), many(2, 13), many(5, 41)
    # Threads must not start processes at the same time, so those that stand for processes load by themselves.
    workers = 1 if processes == 1 else 0
    config = load_experiment(of_task.config("run", training__epochs=50, data__workers=workers, **of_isolated))
    undisturbed = of_all_processes(config, 0, second + count, processes)
    for fingerprints in undisturbed:
        assert len(set(fingerprints)) > 3
    for start in (first, second):
        resumed = of_all_processes(config, start, count, processes)
        assert resumed == [fingerprints[start : start + count] for fingerprints in undisturbed]
    report(
        f"Resumed twice in a row within an epoch, {task}, {processes} process(es): names, frames, keypoints and "
        f"augmentation of the next {count} batches, each time",
        "those of the undisturbed training, bit for bit",
    )
