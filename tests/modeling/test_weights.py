"""Weights from Kinetics, published checkpoints and earlier stages, against the recorded loading maps."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from configs.build import stage_weights
from modeling.config import ModelConfig
from modeling.recognizer import Recognizer
from modeling.weights import (
    LoadReport,
    StateDict,
    encoder_weights,
    from_published,
    load_matching,
    published_name,
)
from utils.errors import UserError

GOLDEN = Path(__file__).parents[1] / "golden"
GLOSSES = 20

CONFIGS = {
    "rgb_frame64": ModelConfig(modalities=["rgb"], frames=[64]),
    "pose_frame64": ModelConfig(modalities=["keypoint"], frames=[64]),
    "two_frame64": ModelConfig(frames=[64]),
    "two_frame32": ModelConfig(frames=[32]),
    "nla_slr_wlasl_2000": ModelConfig(),
}
KEY_FILES = ("rgb_frame64", "pose_frame64", "two_frame64", "nla_slr_wlasl_2000")


def golden_json(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / name).read_text())
    return content


@cache
def loading_maps() -> dict[str, Any]:
    return golden_json("loading_maps.json")


@cache
def full_size(name: str) -> Recognizer:
    """A published model without memory behind its weights."""
    full = name == "nla_slr_wlasl_2000"
    with torch.device("meta"):
        embeddings = torch.empty(GLOSSES, 300) if full else None
        return Recognizer(CONFIGS[name], 63, GLOSSES, embeddings, auxiliary=full)


def published_checkpoint(name: str) -> StateDict:
    """Published names and shapes; two_frame32 has those of two_frame64."""
    shapes = golden_json(f"keys_{name.replace('two_frame32', 'two_frame64')}_n20.json")["tensors"]
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def tracked(weights: StateDict, report: LoadReport, labels: dict[int, str], found: dict[str, str]) -> None:
    """Note in `found` which source tensor, by identity, each loaded tensor came from."""
    found.update({name: labels[id(weights[name])] for name in report.loaded})


def as_published(found: dict[str, str], model: Recognizer) -> dict[str, str | None]:
    names = {
        name: published_name(name, model.config) for name in model.state_dict() if name != "gloss_embeddings"
    }
    return {published or name: found.get(name) for name, published in names.items()}


@pytest.mark.parametrize("name", KEY_FILES)
def test_published_names_and_shapes_are_met_one_to_one(name: str) -> None:
    model = full_size(name)
    ours = {
        published_name(key, model.config): list(value.shape)
        for key, value in model.state_dict().items()
        if key != "gloss_embeddings"
    }
    assert ours == golden_json(f"keys_{name}_n20.json")["tensors"]


@pytest.mark.parametrize("name", KEY_FILES)
def test_a_published_checkpoint_fills_its_model(name: str) -> None:
    checkpoint = published_checkpoint(name)
    report = load_matching(full_size(name), from_published(checkpoint, full_size(name), 64), name)
    assert len(report.loaded) == len(checkpoint)
    assert not report.left and not report.mismatched and not report.unused


@pytest.mark.parametrize("name", KEY_FILES)
def test_kinetics_weights_go_where_the_recorded_map_says(name: str) -> None:
    shapes = golden_json("keys_k400_s3d.json")["tensors"]
    checkpoint = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    model, found = full_size(name), dict[str, str]()
    weights = encoder_weights(checkpoint, model, "s3d")
    report = load_matching(model, weights, "k400")
    tracked(weights, report, {id(value): f"k400:{key}" for key, value in checkpoint.items()}, found)
    recorded = loading_maps()[f"k400 -> {name}"]
    assert as_published(found, model) == recorded["map"]
    assert len(report.loaded) == recorded["n_loaded"]
    assert len(report.loaded) + len(report.left) == recorded["n_targets"]


HAND_OVERS = {
    "rgb_frame64 + pose_frame64 -> two_frame64": (["rgb_frame64", "pose_frame64"], "two_frame64"),
    "two_frame64 + two_frame32 -> nla_slr": (["two_frame64", "two_frame32"], "nla_slr_wlasl_2000"),
}


@pytest.mark.parametrize("hand_over", HAND_OVERS)
def test_earlier_stages_of_ours_go_where_the_recorded_map_says(hand_over: str) -> None:
    sources, target = HAND_OVERS[hand_over]
    model, found = full_size(target), dict[str, str]()
    for source in sources:
        weights = full_size(source).state_dict()
        labels = {id(v): f"{source}:{published_name(k, CONFIGS[source])}" for k, v in weights.items()}
        tracked(weights, load_matching(model, weights, source), labels, found)
    assert as_published(found, model) == loading_maps()[hand_over]["map"]


@pytest.mark.parametrize("hand_over", [name for name in HAND_OVERS if "rgb" in name])
def test_published_earlier_stages_go_where_the_recorded_map_says(hand_over: str) -> None:
    sources, target = HAND_OVERS[hand_over]
    model, found = full_size(target), dict[str, str]()
    for source in sources:
        checkpoint = published_checkpoint(source)
        weights = stage_weights({"model_state": checkpoint, "epoch": 99}, model, source)
        labels = {id(value): f"{source}:{key}" for key, value in checkpoint.items()}
        tracked(weights, load_matching(model, weights, source), labels, found)
    assert as_published(found, model) == loading_maps()[hand_over]["map"]


def small(num_glosses: int = 4, seed: int = 0) -> Recognizer:
    torch.manual_seed(seed)
    return Recognizer(
        ModelConfig(modalities=["rgb"], frames=[16], width=0.01), 63, num_glosses, torch.ones(4, 3)
    )


def test_loading_copies_values_and_reports_the_rest() -> None:
    source, target = small(5, seed=1), small(4, seed=2)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    weights: dict[str, Tensor] = {**source.state_dict(), "stranger": torch.zeros(1)}
    weights["gloss_embeddings"] = torch.full((4, 3), 7.0)
    del weights["vknet.encoders.rgb16.blocks.0.0.spatial.conv.weight"]
    report = load_matching(target, weights, "somewhere")
    assert report.unused == ["stranger"]
    assert report.mismatched == ["heads.rgb16.classifier.weight", "heads.rgb16.classifier.bias"]
    assert set(report.left) == {*report.mismatched, "vknet.encoders.rgb16.blocks.0.0.spatial.conv.weight"}
    after = target.state_dict()
    for name in report.loaded:
        assert torch.equal(after[name], weights[name])
    for name in (*report.left, "gloss_embeddings"):
        assert torch.equal(after[name], before[name])
    assert f"loaded {len(report.loaded)} tensors" in str(report) and "stranger" in str(report)
    assert any(not torch.equal(before[name], after[name]) for name in report.loaded)


def test_a_checkpoint_without_weights_is_refused() -> None:
    with pytest.raises(UserError, match="without `model`"):
        stage_weights({"optimizer": {}}, small(), "file.pt")
