"""The Two-Stream network: what is exchanged where, which heads read what, and what is frozen."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from modeling.config import Modality
from modeling.continuous.config import ContinuousLossConfig, ContinuousModelConfig
from modeling.continuous.network import (
    JOINT,
    REPORTED,
    ContinuousOutput,
    ContinuousRecognizer,
    mean_over_space,
    reported_prediction,
    valid_steps,
    with_ensembles,
)
from modeling.continuous.objective import ContinuousObjective
from utils.config import ConfigError

POINTS, GLOSSES, FRAMES = 5, 7, 12
SMALL = {"width": 0.02, "rgb_size": 64, "heatmap_size": 32, "head_size": 8, "heatmap_grid": (40, 30)}
BOTH: list[Modality] = ["rgb", "keypoint"]


def network(modalities: list[Modality] = BOTH, **changes: object) -> ContinuousRecognizer:
    torch.manual_seed(0)
    config = ContinuousModelConfig(modalities=modalities, **{**SMALL, **changes})  # type: ignore[arg-type]
    return ContinuousRecognizer(config, POINTS, GLOSSES)


def inputs(modalities: list[Modality] = BOTH, frames: int = FRAMES, batch: int = 2) -> dict[str, Tensor]:
    torch.manual_seed(1)
    sizes = {"rgb": (3, 64), "keypoint": (POINTS, 32)}
    return {m: torch.randn(batch, sizes[m][0], frames, sizes[m][1], sizes[m][1]) for m in modalities}


@torch.no_grad()
def test_heads_and_their_steps() -> None:
    output = with_ensembles(network().eval()(inputs(), torch.tensor([12, 8])))
    main = ["rgb", "keypoint", "joint", "ensemble_last"]
    early = ["rgb_block2", "rgb_block3", "keypoint_block2", "keypoint_block3", "ensemble_early"]
    assert {*output.logits} == {*output.steps} == {*main, *early}
    for name, logits in output.logits.items():
        steps = 3 if name in main else 6
        assert logits.shape == (2, steps, GLOSSES)
        assert output.steps[name].tolist() == [steps, steps * 8 // 12]


@pytest.mark.parametrize("modality", BOTH)
@torch.no_grad()
def test_a_single_stream_has_one_head_and_neither_exchange_nor_pyramid(modality: Modality) -> None:
    net = network([modality]).eval()
    assert not net.vknet.laterals and not net.vknet.pyramids
    output = with_ensembles(net(inputs([modality]), torch.tensor([12, 12])))
    assert list(output.logits) == [modality] == [reported_prediction(net.config)]


@torch.no_grad()
def test_features_are_those_of_the_exchanged_maps() -> None:
    net = network().eval()
    maps = [after for _, after in net.vknet.stages(inputs())]
    assert len(maps) == 4
    features = net.vknet(inputs())
    for stream in BOTH:
        second, third, fourth = (of_block[stream] for of_block in maps[1:])
        torch.testing.assert_close(features[stream], mean_over_space(fourth))
        pyramid = net.vknet.pyramids[stream]
        third = third + pyramid.to_third(fourth)  # type: ignore[operator]
        torch.testing.assert_close(features[f"{stream}_block3"], mean_over_space(third))
        second = second + pyramid.to_second(third)  # type: ignore[operator]
        torch.testing.assert_close(features[f"{stream}_block2"], mean_over_space(second))
    joint = net.heads["joint"]
    mask = torch.ones(2, 3, dtype=torch.bool)
    expected = joint(torch.cat([features["keypoint"], features["rgb"]], dim=2), mask)
    torch.testing.assert_close(net(inputs(), torch.tensor([12, 12])).logits["joint"], expected)


@torch.no_grad()
def test_without_pyramids_the_other_heads_stay_the_same() -> None:
    net = network().eval()
    whole, part = (net(inputs(), torch.tensor([12, 8]), pyramid=wanted) for wanted in (True, False))
    assert list(part.logits) == ["rgb", "keypoint", "joint"]
    assert "ensemble_early" not in with_ensembles(part).logits
    for name, logits in part.logits.items():
        torch.testing.assert_close(logits, whole.logits[name])


@pytest.mark.parametrize("blocks", [(1, 3), (2, 3), (1, 4)])
@torch.no_grad()
def test_exchanges_follow_the_configured_blocks(blocks: tuple[int, int]) -> None:
    net = network(lateral_blocks=blocks).eval()
    for number, (before, after) in enumerate(net.vknet.stages(inputs()), start=1):
        exchanged = any(not torch.equal(before[stream], after[stream]) for stream in BOTH)
        assert exchanged == (blocks[0] <= number <= blocks[1])


def test_frozen_blocks_do_not_learn() -> None:
    for modalities, stays in ((["rgb"], True), (BOTH, False)):
        net = network(cast(list[Modality], modalities), frozen_blocks=1, dropout=0.0).train()
        blocks = cast(nn.ModuleList, net.vknet.encoders["rgb"].blocks)
        statistics = {name: value.clone() for name, value in blocks[0].named_buffers()}
        output = net(inputs(cast(list[Modality], modalities)), torch.tensor([12, 8]))
        sum(logits.sum() for logits in output.logits.values()).backward()
        assert all(p.grad is None and not p.requires_grad for p in blocks[0].parameters())
        assert all(p.grad is not None for p in blocks[1].parameters())
        changed = [name for name, x in blocks[0].named_buffers() if not torch.equal(x, statistics[name])]
        assert bool(changed) != stays  # as published, see `frozen_statistics`
        assert blocks[0].training != stays and blocks[1].training


@pytest.mark.parametrize(("choice", "stays"), [("kept", True), ("updated", False)])
def test_frozen_statistics_can_be_chosen(choice: str, stays: bool) -> None:
    net = network(frozen_blocks=2, frozen_statistics=choice).train()
    blocks = cast(nn.ModuleList, net.vknet.encoders["rgb"].blocks)
    assert [block.training for block in blocks] == [not stays, not stays, True, True]
    keypoint = cast(nn.ModuleList, net.vknet.encoders["keypoint"].blocks)
    assert all(p.requires_grad for p in keypoint.parameters())


@torch.no_grad()
def test_lateral_connections_may_start_small() -> None:
    whole, small = (network(lateral_init_scale=scale) for scale in (1.0, 0.1))
    for name, weight in whole.named_parameters():
        expected = 0.1 * weight if "laterals" in name else weight
        torch.testing.assert_close(small.get_parameter(name), expected)


def test_valid_steps_are_rounded_down() -> None:
    assert valid_steps(torch.tensor([32, 20, 4]), 8, 32).tolist() == [8, 5, 1]
    assert valid_steps(torch.tensor([20, 18]), 10, 20).tolist() == [10, 9]


def test_ensembles_are_means_of_probabilities() -> None:
    torch.manual_seed(0)
    heads = ["rgb", "keypoint", "joint", "rgb_block3", "keypoint_block3"]
    logits = {name: torch.randn(2, 3, 4, dtype=torch.float64) for name in heads}
    found = with_ensembles(ContinuousOutput(logits, dict.fromkeys(heads, torch.tensor([3, 2])))).logits
    for name, members in (("ensemble_last", heads[:3]), ("ensemble_early", heads[3:])):
        mean = torch.stack([logits[head].softmax(dim=2) for head in members]).mean(dim=0)
        torch.testing.assert_close(found[name].softmax(dim=2), mean)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("heatmap_size", {"heatmap_size": 40, "rgb_size": 80}),
        ("rgb_size", {"rgb_size": 96}),
        ("lateral_blocks", {"lateral_blocks": (0, 3)}),
        ("lateral_blocks", {"lateral_blocks": (3, 2)}),
        ("lateral_blocks", {"lateral_blocks": (1, 5)}),
        ("head_size", {"head_size": 7}),
        ("dropout", {"dropout": 1.0}),
        ("frozen_blocks", {"frozen_blocks": 5}),
        ("frozen_blocks", {"frozen_blocks": 1, "modalities": ["keypoint"]}),
        ("evaluation_crop", {"evaluation_crop": 0}),
        ("heatmap_grid", {"heatmap_grid": (0, 5)}),
    ],
)
def test_impossible_networks_are_refused_by_key(key: str, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        ContinuousModelConfig(**{**SMALL, **changes})  # type: ignore[arg-type]
    assert caught.value.key == key


@torch.no_grad()
def test_streams_may_exchange_nothing_and_have_no_joint_head() -> None:
    """Each stream is then as it would be alone, and the ensemble is of the two heads that are left."""
    alone = network(lateral_connections=False, joint_head=False).eval()
    assert not list(alone.vknet.laterals.parameters()) and JOINT not in alone.heads
    both, lengths = inputs(), torch.tensor([12, 8])
    found = with_ensembles(alone(both, lengths))
    other = alone(both | {"keypoint": -both["keypoint"]}, lengths)
    torch.testing.assert_close(other.logits["rgb"], found.logits["rgb"])
    assert not torch.allclose(other.logits["keypoint"], found.logits["keypoint"])
    sums = found.logits["rgb"].softmax(dim=2) + found.logits["keypoint"].softmax(dim=2)
    torch.testing.assert_close(found.logits[REPORTED].exp(), sums)
    objective = ContinuousObjective(ContinuousLossConfig())
    _, parts = objective(alone(both, lengths), torch.tensor([[1], [2]]), torch.tensor([1, 1]))
    assert {name for name in parts if "distillation" in name} == {"distillation/rgb", "distillation/keypoint"}
