"""A full disk leaves the checkpoint that was there, and the same command continues once there is room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Project
from tests.end_to_end.test_training import same_weights
from tests.faults.conftest import FULL, Report
from utils.checkpoint import load_checkpoint


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """3 MiB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a disk can be mounted by root only: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(not FULL, reason="tests/utils/test_checkpoint.py has the short form; make faults runs it")
def test_a_full_disk_leaves_the_earlier_checkpoint(
    project: Project, small_disk: Path, report: Report
) -> None:
    changes = {"training__epochs": 3, "evaluation__validation_split": None}
    straight = project.config("straight", **changes)
    assert project.run("training.py", "--config", straight).returncode == 0
    size = (project.folder / "straight" / "last.pt").stat().st_size
    config, run = project.config("broken", **changes, run=str(small_disk / "run")), small_disk / "run"
    subprocess.run(["mount", "-o", f"remount,size={3 * size}", small_disk], check=True)
    full = project.run("training.py", "--config", config)
    assert full.returncode == 2
    last = full.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and "cannot be written" in last and "MiB are free" in last, full.stderr
    kept = load_checkpoint(run / "last.pt")["state"]["step"]
    assert kept > 0
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert project.run("training.py", "--config", config).returncode == 0
    assert same_weights(project.folder / "straight", run)
    report(
        f"The disk (a tmpfs) full while a checkpoint of {size / 2**20:.1f} MiB is written",
        f"one line that says what is needed and what is free; the earlier checkpoint (step {kept}) loads, and with "
        "room again the same command ends with the undisturbed weights",
    )
