"""The recorded numbers of the published code, case by case, and that the comparison notices a difference."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.parity import GOLDEN, GoldenSet

CASES = GoldenSet(GOLDEN).cases()


@pytest.fixture(autouse=True)
def all_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


def test_every_recorded_file_is_compared() -> None:
    recorded = {f"{path.parent.name}/{path.stem}" for path in GOLDEN.glob("fp*/*.npz")}
    recorded |= {path.stem for path in GOLDEN.glob("*.json")}
    assert set(CASES) == recorded and len(recorded) == 41


# Full-size clips take minutes; `make parity` compares them.
FULL_SIZE = [name for name in CASES if name.endswith(("nla_full", "nla_e2e"))]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in FULL_SIZE else []) for name in CASES]
)
def test_our_numbers_are_the_recorded_ones(name: str) -> None:
    comparison = CASES[name]()
    assert comparison.rows
    assert not [row for row in comparison.rows if not row.passed]


def test_other_weights_fail_the_comparison(tmp_path: Path) -> None:
    """The same recordings against weights and inputs of another salt; files beside the folder are found."""
    folder = tmp_path / "other"
    (folder / "fp32").mkdir(parents=True)
    for name in ("eval_rgb_frame64.npz", "unit_soft_labels.npz"):
        shutil.copy(GOLDEN / "fp32" / name, folder / "fp32")
    for path in GOLDEN.parent.glob("*.*"):
        shutil.copy(path, tmp_path)
    command = [sys.executable, "-m", "tests.parity", str(folder)]
    root = Path(__file__).parents[1]
    assert subprocess.run(command, cwd=root, capture_output=True).returncode == 0
    (folder / "SALT").write_text("other/")
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert result.returncode == 1 and "FAILED" in result.stdout
