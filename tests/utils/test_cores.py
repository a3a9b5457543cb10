"""How many cores there are, and when to say that they are taken."""

import os
from pathlib import Path

import pytest

from utils.cores import CoreWatch, usable_cores


@pytest.fixture
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 16),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 16),
        ({"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 16),
        ({"proc/self/cgroup": "0::/jobs/7\n", "sys/fs/cgroup/jobs/cpu.max": "400000 100000\n"}, 4),
        (
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            3,
        ),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 16),
    ],
)
def test_cores_are_those_that_affinity_and_container_leave(
    tmp_path: Path, sixteen: None, files: dict[str, str], cores: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == cores


def test_taken_cores_are_told_once() -> None:
    watch = CoreWatch()
    assert watch.warning() is None
    watch.note(10.0, 9.0)
    assert watch.warning() is None
    watch.note(5.0, 2.5)
    assert watch.warning() is None  # not enough
    watch.note(5.0, 2.5)
    assert "for only 50% of the time" in str(watch.warning())
    watch.note(10.0, 5.0)
    assert watch.warning() is None
