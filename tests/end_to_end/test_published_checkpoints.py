"""Checkpoints under the published names: evaluated, exported and trained on as our own are; and what is none.

That such weights give the recorded logits is in test_golden.py, with the published names and shapes at full size.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from configs.schema import IsolatedConfig, load_experiment
from modeling.continuous.weights import published_name as published_sentence_name
from modeling.weights import published_name
from tests.end_to_end.conftest import Project, Refused
from utils.checkpoint import load_checkpoint
from utils.files import read_json


def as_published(run: Path, target: Path) -> Path:
    """The best weights of a run as the authors' code would have saved them."""
    content, config = load_checkpoint(run / "best.pt"), load_experiment(run / "config.yaml")
    weights = {}
    for name, value in content["model"].items():
        if isinstance(config, IsolatedConfig):
            published = published_name(name, config.model) if name != "gloss_embeddings" else None
        else:
            published = published_sentence_name(name, len(config.model.modalities) == 2)
        if published is not None:
            weights[published] = value
    torch.save({"model_state": weights, "epoch": 39, "global_step": 1}, target)
    return target


def same_figures(project: Project, config: Path, checkpoint: Path, evaluation: str) -> None:
    figures = []
    for more in ([], ["--checkpoint", checkpoint, f"run={project.folder / 'other'}"]):
        result = project.run("prediction.py", "--config", config, *more)
        assert result.returncode == 0, result.stderr
        written = next(
            line.split()[-1] for line in result.stdout.splitlines() if line.startswith("written to")
        )
        figures.append(read_json(Path(written), dict))
    assert evaluation in figures[0] and figures[0] == figures[1]


def exported(project: Project, config: Path, checkpoint: Path) -> Path:
    out = project.folder / "export"
    result = project.run("inference/export.py", "--config", config, "--checkpoint", checkpoint, "--out", out)
    assert result.returncode == 0, result.stderr
    assert (out / "model.onnx").is_file() and (out / "model.safetensors").is_file()
    return out


def fine_tuned(project: Project, checkpoint: Path, **changes: object) -> str:
    """What the start of another training from it says about what fits."""
    config = project.config("tuned", init__stages=[str(checkpoint)], training__epochs=1, **changes)
    result = project.run("training.py", "--config", config)
    assert result.returncode == 0, result.stderr
    return next(line for line in result.stderr.splitlines() if str(checkpoint) in line)


SLOW = pytest.mark.slow  # their steps are also those of the last one


@pytest.mark.parametrize(
    "model",
    [
        pytest.param({"modalities": ["rgb"], "frames": [8]}, marks=SLOW, id="rgb"),
        pytest.param({"modalities": ["keypoint"], "frames": [8]}, marks=SLOW, id="keypoint"),
        pytest.param({"frames": [8]}, marks=SLOW, id="two streams"),
        pytest.param({"frames": [16, 8]}, id="full"),
    ],
)
def test_isolated(project: Project, model: dict[str, Any]) -> None:
    changes = {f"model__{key}": value for key, value in model.items()}
    config = project.config("run", training__epochs=1, **changes)
    assert project.run("training.py", "--config", config).returncode == 0
    published = as_published(project.folder / "run", project.folder / "published.ckpt")
    same_figures(project, config, published, "accuracy")
    exported(project, config, published)
    said = fine_tuned(project, published, **changes)
    assert "other shape: 0; not in this model: 0" in said


@pytest.mark.parametrize(
    "modalities",
    [
        pytest.param(["rgb"], marks=SLOW),
        pytest.param(["keypoint"], marks=SLOW),
        ["rgb", "keypoint"],
    ],
)
def test_continuous(sentence_project: Project, modalities: list[str]) -> None:
    config = sentence_project.config("run", training__epochs=1, model__modalities=modalities)
    assert sentence_project.run("training.py", "--config", config).returncode == 0
    published = as_published(sentence_project.folder / "run", sentence_project.folder / "published.ckpt")
    same_figures(sentence_project, config, published, "word_errors")
    exported(sentence_project, config, published)
    said = fine_tuned(sentence_project, published, model__modalities=modalities)
    assert "other shape: 0; not in this model: 0" in said


WRONG: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "empty": (lambda path, run: path.write_bytes(b""), "an empty file; copy or download it again"),
    "a web page": (lambda path, run: path.write_text("<!DOCTYPE html><html>log in"), "a web page; its link has"),
    "a pointer": (
        lambda path, run: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        "`git lfs pull` fetches",
    ),
    "safetensors": (
        lambda path, run: save_file({"x": torch.ones(9)}, path),
        "a safetensors file; name the folder of the export",
    ),
    "half of it": (
        lambda path, run: path.write_bytes((run / "best.pt").read_bytes()[:50_000]),
        "damaged; its bytes are not those that were written",
    ),
    "a zip of something": (
        lambda path, run: shutil.make_archive(str(path.with_suffix("")), "zip", run, "config.yaml")
        and path.with_suffix(".zip").rename(path),
        "not a checkpoint",
    ),
    "an array": (lambda path, run: np.save(path.open("wb"), np.ones(3)), "not a checkpoint"),
    "weights alone": (
        lambda path, run: torch.save(load_checkpoint(run / "best.pt")["model"], path),
        "a checkpoint without `model` or `model_state`",
    ),
    "Kinetics": (
        lambda path, run: torch.save({"module.base.0.conv_s.weight": torch.ones(4, 3, 1, 7, 7)}, path),
        "init.encoder",
    ),
    "another width": (
        lambda path, run: torch.save(
            {"model": {name: x.repeat(2, *[1] * (x.dim() - 1)) if x.dim() else x
                       for name, x in load_checkpoint(run / "best.pt")["model"].items()}}, path,
        ),
        "hardly anything fits this model (another width?)",
    ),
    "of sentences": (
        lambda path, run: torch.save(
            {"model_state": {"recognition_network.visual_head.fc1.weight": torch.ones(4, 4)}}, path
        ),
        "hardly anything fits this model",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_such_checkpoint_is_named(
    kind: str, project: Project, trained: Path, refused: Refused
) -> None:
    make, diagnosis = WRONG[kind]
    path = project.folder / "file.ckpt"
    make(path, trained)
    config = project.config("run", init__stages=[str(path)])
    said = refused("training", "--config", config)
    assert str(path) in said and diagnosis in said
