"""The published checkpoints of the Two-Stream network: names and shapes as they were recorded, and what takes them."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch

from configs.build import build_continuous_recognizer, load_initial_weights, stage_weights
from configs.schema import ContinuousConfig
from modeling.config import Modality
from modeling.continuous.config import ContinuousModelConfig
from modeling.continuous.network import ContinuousRecognizer
from modeling.continuous.weights import published_name
from modeling.weights import LoadReport, StateDict, load_matching
from utils.config import from_dict

GOLDEN = Path(__file__).parents[2] / "golden_two_stream"
GLOSSES = 20
MODALITIES: dict[str, list[Modality]] = {
    "rgb": ["rgb"],
    "keypoint": ["keypoint"],
    "two": ["rgb", "keypoint"],
}


@cache
def full_size(kind: str, glosses: int = GLOSSES) -> ContinuousRecognizer:
    """A published model without memory behind its weights."""
    with torch.device("meta"):
        return ContinuousRecognizer(ContinuousModelConfig(modalities=MODALITIES[kind]), 79, glosses)


def published_checkpoint(kind: str) -> StateDict:
    shapes = json.loads((GOLDEN / f"keys_s2g_{kind}_n20.json").read_text())["tensors"]
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def load(checkpoint: StateDict, model: ContinuousRecognizer) -> LoadReport:
    return load_matching(
        model, stage_weights({"model_state": checkpoint, "epoch": 1}, model, "published"), "published"
    )


@pytest.mark.parametrize("kind", MODALITIES)
def test_published_names_and_shapes_are_met_one_to_one(kind: str) -> None:
    """But for the positions, which are computed here."""
    ours = {published_name(name, kind == "two"): x.shape for name, x in full_size(kind).state_dict().items()}
    published = {name: x.shape for name, x in published_checkpoint(kind).items()}
    positions = {name for name in published if name.endswith(".pe.pe")}
    assert positions and ours == {name: published[name] for name in published.keys() - positions}


@pytest.mark.parametrize("kind", MODALITIES)
def test_a_published_checkpoint_fills_its_model(kind: str) -> None:
    model = full_size(kind)
    report = load(published_checkpoint(kind), model)
    assert set(report.loaded) == set(model.state_dict())
    assert not report.left and not report.mismatched and not report.unused


def test_two_streams_start_from_both_published_single_streams() -> None:
    model = full_size("two")
    loaded = {kind: set(load(published_checkpoint(kind), model).loaded) for kind in ("rgb", "keypoint")}
    assert all(f".{kind}." in name for kind, names in loaded.items() for name in names)
    left = set(model.state_dict()) - loaded["rgb"] - loaded["keypoint"]
    assert {".".join(name.split(".")[:2]) for name in left} == {
        "vknet.laterals",
        "vknet.pyramids",
        "heads.joint",
        *(f"heads.{kind}_block{block}" for kind in ("rgb", "keypoint") for block in (2, 3)),
    }


@pytest.mark.parametrize("kind", ["rgb", "keypoint"])
def test_a_single_stream_takes_its_part_of_published_two_streams(kind: str) -> None:
    report = load(published_checkpoint("two"), full_size(kind))
    assert set(report.loaded) == set(full_size(kind).state_dict())
    assert "visual_backbone_twostream" in str(report)  # what has no place here is told


def test_another_vocabulary_leaves_the_classifiers_alone() -> None:
    model = full_size("two", GLOSSES + 1)
    report = load(published_checkpoint("two"), model)
    assert report.left == report.mismatched
    assert set(report.left) == {
        f"heads.{h}.classifier.{leaf}" for h in model.heads for leaf in ("weight", "bias")
    }


def small(modalities: list[Modality], seed: int, stages: list[Path]) -> ContinuousConfig:
    values = {
        "task": "continuous",
        "run": "unused",
        "seed": seed,
        "data": {"index": "unused", "videos": "unused", "keypoints": "unused"},
        "model": {"modalities": modalities, "width": 0.05, "head_size": 16},
        "init": {"stages": [str(path) for path in stages]},
    }
    return from_dict(ContinuousConfig, values, "test")


def test_files_in_the_published_form_start_a_training(tmp_path: Path) -> None:
    """Both single streams, one after the other, of an experiment's `init.stages`."""
    stages, expected = [], {}
    for seed, kind in enumerate(("rgb", "keypoint")):
        single = build_continuous_recognizer(small(MODALITIES[kind], seed, []), GLOSSES).state_dict()
        expected.update(single)
        content = {published_name(name, False): value for name, value in single.items()}
        content["recognition_network.visual_head.pe.pe"] = torch.zeros(1, 8, 16)
        stages.append(tmp_path / f"{kind}.ckpt")
        torch.save({"model_state": content, "epoch": 39}, stages[-1])
    config = small(["rgb", "keypoint"], 7, stages)
    model = build_continuous_recognizer(config, GLOSSES)
    reports = load_initial_weights(model, config)
    assert [report.source for report in reports] == [str(path) for path in stages]
    assert not any(report.unused or report.mismatched for report in reports)
    found = model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
