"""The recorded numbers of the published code, case by case, and that the comparison notices a difference.

To save time, networks are compared plainly in fp32 and with the passes of modeling/fast in fp64; `make parity` compares
both in both.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from modeling.engine import has_bf16_units
from modeling.fast import for_prediction
from modeling.recognizer import predictions
from modeling.weights import published_head
from tests.parity.__main__ import SHIPPED, golden_set
from tests.parity.golden import FAST, GoldenFile, as_windows
from tests.parity.isolated import IsolatedSet, model_inputs

SETS = {directory.parent.name: golden_set(directory) for directory in SHIPPED}
CASES = {f"{name}/{case}": run for name, golden in SETS.items() for case, run in golden.cases().items()}
GOLDEN = SHIPPED[0]  # of isolated recognition


@pytest.fixture(autouse=True)
def all_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


def test_every_recorded_file_is_compared() -> None:
    recorded = {
        f"{name}/{path.relative_to(golden.directory).with_suffix('')}"
        for name, golden in SETS.items()
        for path in golden.directory.rglob("*.*")
        if path.stem != "unit_metrics_logits"  # read by unit_metrics
    }
    assert {name.removesuffix(FAST) for name in CASES} == recorded and len(recorded) == 66


# Full-size clips take minutes; `make parity` compares them.
FULL_SIZE = [
    name for name in CASES if name.removesuffix(FAST).endswith(("nla_full", "nla_e2e", "s2g_two_full"))
]
LEFT_OUT = {name for name in CASES if "/fp32/" in name and name.endswith(FAST)}
LEFT_OUT |= {name for name in CASES if "/fp64/" in name and name + FAST in CASES}
COMPARED = [name for name in CASES if name not in LEFT_OUT]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in FULL_SIZE else []) for name in COMPARED]
)
def test_our_numbers_are_the_recorded_ones(name: str) -> None:
    comparison = CASES[name]()
    assert comparison.rows
    assert not [row for row in comparison.rows if not row.passed]


EVALUATED = sorted(path.stem for path in GOLDEN.glob("fp32/eval_*.npz"))


@pytest.mark.skipif(
    not has_bf16_units(torch.device("cpu")), reason="bf16 takes minutes on a processor without units for it"
)
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(name, marks=[pytest.mark.slow] if f"golden/fp32/{name}" in FULL_SIZE else [])
        for name in EVALUATED
    ],
)
@torch.no_grad()
def test_bf16_predicts_the_recorded_signs(case: str) -> None:
    golden, file = IsolatedSet(GOLDEN), GoldenFile(GOLDEN / "fp32" / f"{case}.npz")
    entry = golden.manifest[case]
    model = golden.model(entry["model"], torch.float32)
    windows = {
        name: x._replace(frames=x.frames.to(torch.bfloat16))
        for name, x in as_windows(model_inputs(golden, entry, model.config, torch.float32)).items()
    }
    network, _ = for_prediction(model, torch.bfloat16)
    network.to(memory_format=torch.channels_last_3d)
    for name, found in predictions(network(windows).logits).items():
        recorded = torch.from_numpy(file[f"logits/{published_head(name, model.config)}"]).softmax(dim=1)
        assert torch.equal(found.argmax(dim=1), recorded.argmax(dim=1))
        torch.testing.assert_close(found, recorded, rtol=0, atol=0.02)


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
