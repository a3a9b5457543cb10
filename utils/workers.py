"""Work on several processes, apart from the training processes: preparing and checking data."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeVar

from utils.errors import UserError

Job = TypeVar("Job")
Result = TypeVar("Result")

_work: Callable[[Any], Any]  # what this worker process does


def on_processes(work: Callable[[Job], Result], jobs: list[Job], processes: int) -> Iterator[Result]:
    """The results of `work` for all jobs, as they come.

    `work` is copied to each process once, jobs and results are copied; all must pickle. Whoever stops iterating, or is
    interrupted, waits for the jobs that have begun; a main process that is killed takes its workers along.

    Raises:
        UserError: a process died.
    """
    if not jobs:
        return
    # Fresh processes rather than copies of this one, whose threads and libraries may be in any state.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(jobs)), context, initializer=_start, initargs=(work,))
    try:
        for future in as_completed([pool.submit(_do, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool:
        raise UserError(
            "a process died, most likely for lack of memory; try fewer with --processes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's affair
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _do(job: Any) -> Any:
    return _work(job)
