"""Work on several processes."""

import os
from dataclasses import dataclass

import pytest

from utils.errors import UserError
from utils.workers import on_processes


@dataclass
class Work:
    """Adds what every process was given once; dies of a negative job."""

    offset: int

    def __call__(self, job: int) -> tuple[int, int]:
        if job < 0:
            os._exit(9)
        return job + self.offset, os.getpid()


def test_every_job_is_done_once_and_elsewhere() -> None:
    results = list(on_processes(Work(100), list(range(20)), 2))
    assert sorted(number for number, _ in results) == list(range(100, 120))
    assert os.getpid() not in {process for _, process in results}
    assert list(on_processes(Work(0), [], 2)) == []


def test_a_process_that_dies_is_one_line() -> None:
    with pytest.raises(UserError, match="a process died"):
        list(on_processes(Work(0), [1, -1, 2], 1))
