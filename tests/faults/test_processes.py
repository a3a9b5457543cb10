"""Trainings that lose a process, share a folder, or share the cores."""

import os
import signal
import statistics
import subprocess
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Project
from tests.end_to_end.test_training import metrics, same_weights
from tests.faults.conftest import FULL, Report


def kill_rank(project: Project, name: str, restarts: int, **changes: object) -> tuple[int, str, float]:
    """Start two processes and kill the second one after an epoch: exit code, messages, and seconds until the end."""
    run = project.folder / name
    command = project.command("training.py", "--config", project.config(name, **changes), processes=2)
    command.insert(3, f"--max-restarts={restarts}")
    with project.start(command, stderr=subprocess.PIPE, text=True) as launcher:
        while launcher.poll() is None and not (run / "best.pt").is_file():
            time.sleep(0.01)
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str(project.folder) in (process / "cmdline").read_text() and (
                    "\0RANK=1\0" in (process / "environ").read_text()
                ):
                    os.kill(int(process.name), signal.SIGKILL)
        killed = time.monotonic()
        _, messages = launcher.communicate(timeout=200)
        return launcher.returncode, messages, time.monotonic() - killed


@pytest.mark.processes
def test_a_killed_process_ends_the_others_or_all_start_again(project: Project, report: Report) -> None:
    """The figures are bit for bit those of an undisturbed training of two processes."""
    changes = {"training__epochs": 4, "evaluation__validation_split": None}
    straight = project.run("training.py", "--config", project.config("straight", **changes), processes=2)
    assert straight.returncode == 0, straight.stderr
    code, messages, seconds = kill_rank(project, "ended", 0, **changes)
    assert code == 1 and seconds < 60
    assert "error: process 0 of 2: another process has ended, so this one does" in messages
    report(
        "One process of two killed with SIGKILL under torchrun",
        f"the other one ended after {seconds:.1f} s with one line that says so",
    )
    code, messages, _ = kill_rank(project, "restarted", 1, **changes)
    assert code == 0, messages
    assert "continuing after step" in messages
    assert same_weights(project.folder / "straight", project.folder / "restarted")
    report(
        "The same under torchrun --max-restarts=1",
        "the training completes, with weights bit for bit those of two undisturbed processes",
    )


def test_a_second_training_in_a_folder_is_refused(project: Project, report: Report) -> None:
    config, run = project.config("run", training__epochs=30), project.folder / "run"
    first = project.start(
        project.command("training.py", "--config", config),
    )
    try:
        while first.poll() is None and not (run / "last.pt").is_file():
            time.sleep(0.05)
        second = project.run("training.py", "--config", config)
        assert second.returncode == 2
        assert second.stderr.endswith(
            f"error: {run}: another training uses this folder; wait for it, or give another folder as run=...\n"
        )
        first.send_signal(signal.SIGUSR1)
        assert first.wait(timeout=120) == 130
    finally:
        first.kill()
    steps = [line["step"] for line in metrics(run, "step")]
    assert steps == list(range(1, len(steps) + 1))
    report(
        "A second training started in the folder of one that runs",
        "refused in one line, exit code 2; the first went on and its steps have no gap",
    )


def seconds_of_a_step(project: Project, names: list[str]) -> list[float]:
    """Median, of trainings side by side that are stopped when each has done 40 steps; with two threads each."""
    configs = [project.config(name, training__epochs=200, data__workers=0) for name in names]
    running = [
        project.start(
            project.command("training.py", "--config", config),
            threads=2,
        )
        for config in configs
    ]
    noted: dict[str, list[float]] = {name: [] for name in names}
    while min(map(len, noted.values())) < 40:
        assert all(process.poll() is None for process in running)
        for name, times in noted.items():
            path = project.folder / name / "metrics.jsonl"
            times += [time.monotonic()] * (path.is_file() and len(metrics(path.parent, "step")) - len(times))
        time.sleep(0.02)
    for process in running:
        process.kill()
        process.wait()
    return [statistics.median(b - a for a, b in pairwise(times[8:])) for times in noted.values()]


@pytest.mark.skipif(not FULL, reason="measures time; make faults runs it")
@pytest.mark.processes
def test_two_trainings_side_by_side(project: Project, report: Report) -> None:
    (alone,) = seconds_of_a_step(project, ["alone"])
    together = seconds_of_a_step(project, ["one", "other"])
    report(
        f"Two trainings side by side on {os.cpu_count()} cores, two threads each: time of a step",
        f"{' and '.join(f'{seconds / alone:.1f}' for seconds in together)} times that of one alone ({alone:.2f} s)",
    )
