"""A long training takes no more of anything as time goes by."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.conftest import Project
from tests.faults.conftest import FULL, Report

MINUTES, SAMPLES = 30, 180


def children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children")
    if listed.is_file():
        return [int(number) for number in listed.read_text().split()]
    status = [path / "status" for path in Path("/proc").glob("[0-9]*")]
    return [int(path.parent.name) for path in status if f"PPid:\t{parent}\n" in _text(path)]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""


def megabytes(process: int) -> float:
    words = _text(Path(f"/proc/{process}/statm")).split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if words else 0.0


def files(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


def shared() -> float:
    """Megabytes of files in /dev/shm."""
    return sum(path.stat().st_size for path in Path("/dev/shm").iterdir()) / 1e6


@pytest.mark.skipif(not FULL, reason=f"takes {MINUTES} minutes; make faults runs it")
def test_a_long_training_takes_no_more_as_time_goes_by(project: Project, report: Report) -> None:
    config = project.config(
        "run",
        training__epochs=100_000,
        data__workers=2,
        training__checkpoint_minutes=0.1,
        evaluation__validate_every=20,
    )
    process = project.start(
        project.command("training.py", "--config", config),
    )
    found = []
    for _ in range(SAMPLES):
        time.sleep(60 * MINUTES / SAMPLES)
        assert process.poll() is None
        of_workers = [megabytes(child) for child in children(process.pid)[:2]]
        found.append((megabytes(process.pid), sum(of_workers), files(process.pid), shared()))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 130
    early, late = (
        np.median(found[SAMPLES // 6 : SAMPLES // 3], axis=0),
        np.median(found[-SAMPLES // 6 :], axis=0),
    )
    names = ("MB of the main process", "MB of two loading processes", "open files", "MB of shared memory")
    assert (late <= 1.05 * early + 2).all(), (early, late)
    report(
        f"A training of {MINUTES} minutes with two loading processes: medians of minutes {MINUTES // 6} to "
        f"{MINUTES // 3}, and of the last {MINUTES // 6}",
        "; ".join(f"{name}: {a:.0f}, {b:.0f}" for name, a, b in zip(names, early, late, strict=True)),
    )
