"""On a GPU, where there is one: training and evaluation give what they give on the CPU."""

import json
from pathlib import Path

import pytest
import torch

from tests.end_to_end.conftest import Project

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
FULL = {
    "model__frames": [16, 8],
    "loss__label_smoothing__kind": "language",
    "loss__inter_modality_mixup__enabled": True,
    "loss__intra_modality_mixup__probability": 0.5,
}


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "step"]


def trained(project: Project, name: str, rate: float = 1e-3, **runtime: object) -> Path:
    config = project.config(name, **FULL, runtime=runtime, training__learning_rate=rate)
    result = project.run("training.py", "--config", config)
    assert result.returncode == 0, result.stderr
    return project.folder / name


@pytest.mark.parametrize(
    "options", [{"fast": "off"}, {"fast": "on"}, {"memory_format": "contiguous"}], ids=str
)
def test_training_loses_what_it_loses_on_the_cpu(project: Project, options: dict[str, str]) -> None:
    rate = 1e-6  # Adam's first steps go by the signs of gradients, which rounding turns over where they are small
    on_cpu = losses(trained(project, "cpu", rate, device="cpu", precision="fp32"))
    on_gpu = losses(trained(project, "cuda", rate, device="cuda", precision="fp32", **options))
    assert on_gpu == pytest.approx(on_cpu, rel=1e-2)


def test_bf16_trains_and_predicts(project: Project) -> None:
    run = trained(project, "bf16", device="cuda", precision="bf16")
    assert losses(run)[-1] < losses(run)[0]
    result = project.run("prediction.py", "--config", run / "config.yaml")
    assert result.returncode == 0, result.stderr


def test_predictions_are_those_of_the_cpu(project: Project) -> None:
    run = trained(project, "run", device="cuda", precision="fp32")
    tables = []
    for device in ("cuda", "cpu"):
        result = project.run(
            "prediction.py",
            "--config",
            run / "config.yaml",
            f"runtime.device={device}",
            "runtime.precision=fp32",
        )
        assert result.returncode == 0, result.stderr
        tables.append([line for line in result.stdout.splitlines() if "top" in line or "joint" in line])
    assert tables[0] == tables[1] and tables[0]
