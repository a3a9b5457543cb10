"""Trainings that are killed again and again end as if nothing had happened."""

import random
import signal
import subprocess
import time
from pathlib import Path

from tests.end_to_end.conftest import Project
from tests.end_to_end.test_training import metrics, same_weights
from tests.faults.conftest import Report, many
from utils.checkpoint import load_checkpoint
from utils.errors import UserError

# Epochs of each task in both forms.
EPOCHS = {"isolated": (3, 40), "continuous": (3, 25), "translation": (20, 300)}
STARTING, TRAINING, SAVING = "starting", "training", "saving"


def changes(task: str) -> dict[str, object]:
    return {
        "training__epochs": many(*EPOCHS[task]),
        "training__checkpoint_minutes": 0.005,
        "evaluation__validate_every": 10,
        "runtime__deterministic": True,
    }


def steps_noted(run: Path) -> int:
    noted = run / "metrics.jsonl"
    return noted.read_text().count('"kind": "step"') if noted.is_file() else 0


def kill(project: Project, config: Path, run: Path, moment: str, steps: int, seconds: float) -> bool:
    """Start the training, and kill it so many seconds after it began, or after so many steps more, or when it saves
    for the first time after them; False if it ended before that."""
    noted = run / "metrics.jsonl"
    before = noted.stat().st_mtime_ns if noted.is_file() else 0
    process = project.start(
        project.command("training.py", "--config", config),
        stderr=subprocess.PIPE,
    )

    def goes_on() -> bool:
        return process.poll() is None

    try:
        if moment != STARTING:
            while goes_on() and (not noted.is_file() or noted.stat().st_mtime_ns == before):
                time.sleep(0.005)
            target = steps_noted(run) + steps
            while goes_on() and steps_noted(run) < target:
                time.sleep(0.005)
        time.sleep(seconds)
        while moment == SAVING and goes_on() and not (run / "new.pt.partial").exists():
            time.sleep(0.0002)
        killed = goes_on()
    finally:
        process.send_signal(signal.SIGKILL)
        _, messages = process.communicate()
    assert killed or process.returncode == 0, messages.decode()[-2000:]
    return killed


def steps_kept(run: Path) -> int:
    """Of the checkpoint that the next start continues from."""
    for name in ("last.pt", "previous.pt"):
        try:
            return int(load_checkpoint(run / name)["state"]["step"])
        except UserError:
            continue
    return 0


def moments(draw: random.Random, starting: int, training: int, saving: int) -> list[str]:
    found = [STARTING] * starting + [TRAINING] * training + [SAVING] * saving
    draw.shuffle(found)
    return found


def test_killed_trainings_end_bit_for_bit(
    of_task: Project, task: str, draw: random.Random, report: Report
) -> None:
    project, folder = of_task, of_task.folder
    started = time.monotonic()
    straight = project.run("training.py", "--config", project.config("straight", **changes(task)))
    assert straight.returncode == 0, straight.stderr
    seconds = time.monotonic() - started
    config, run = project.config("broken", **changes(task)), folder / "broken"
    planned = moments(draw, many(0, 10), many(1, 30), many(1, 10))
    lost, during_saving = [], 0
    all_steps = steps_noted(folder / "straight")
    most = all_steps // len(planned) // 2  # half of the steps are left for what comes after the last kill
    for moment in planned:
        wait = draw.uniform(0, 5 if moment == STARTING else seconds / all_steps)
        steps = draw.randrange(most)
        assert kill(project, config, run, moment, steps, wait), (
            "the training ended too early for so many kills"
        )
        during_saving += (run / "new.pt.partial").exists()
        lost.append(steps_noted(run) - steps_kept(run))
    last = project.run("training.py", "--config", config)
    assert last.returncode == 0, last.stderr
    assert same_weights(folder / "straight", run)
    losses = [[line["loss"] for line in metrics(folder / name, "step")] for name in ("straight", "broken")]
    assert losses[0] == losses[1]
    of_a_step = seconds / len(losses[0])
    report(
        f"Killed with SIGKILL, {task}: {len(planned)} times in one training of {len(losses[0])} steps, "
        f"{during_saving} of them while a checkpoint was being written (one every 0.3 s)",
        f"always continued, weights and losses bit for bit those of the undisturbed training; most lost by one kill: "
        f"{max(lost)} steps, about {max(lost) * of_a_step:.1f} s",
    )
