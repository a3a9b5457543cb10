"""The passes over a whole network: what they replace, and that it computes what the plain network computes."""

import copy

import pytest
import torch
from torch import Tensor, nn

from modeling.config import ModelConfig
from modeling.engine import Inputs
from modeling.fast import factored_streams, for_prediction, for_training
from modeling.fast.convolution import FastConv3d
from modeling.fast.training import FastConvBNReLU
from modeling.heatmaps import factored_heatmaps, written_out
from modeling.recognizer import Recognizer
from modeling.s3d import ConvBNReLU, Mixed
from tests.parity.golden import as_windows

MODEL = ModelConfig(frames=[16, 8], width=0.1, rgb_size=64, heatmap_size=32)


def recognizer() -> Recognizer:
    """In double precision, with statistics and scales that could be got wrong."""
    torch.manual_seed(0)
    model = Recognizer(MODEL, 5, 3).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 1.5)
    return model


def factored_inputs() -> Inputs:
    rng = torch.Generator().manual_seed(1)
    heatmaps = factored_heatmaps(64 * torch.rand(2, 16, 5, 2, generator=rng).double(), 32, grid=64, sigma=4.0)
    video = torch.randn(2, 3, 16, 64, 64, generator=rng).double()
    return {
        "rgb16": video,
        "keypoint16": heatmaps,
        "rgb8": video[:, :, 4:12],
        "keypoint8": heatmaps.at(slice(4, 12)),
    }


def trained(network: Recognizer, inputs: Inputs) -> dict[str, Tensor]:
    """Logits, gradients and statistics after the forward and backward pass of a batch."""
    logits = network.train()(inputs).logits
    torch.stack(list(logits.values())).square().sum().backward()
    gradients = {f"gradient of {n}": p.grad for n, p in network.named_parameters() if p.grad is not None}
    assert len(gradients) == len(list(network.parameters()))
    return {**{n: x.detach() for n, x in logits.items()}, **gradients, **dict(network.named_buffers())}


@pytest.mark.parametrize("again", [False, True])
def test_for_training_changes_no_number(again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits, gradients, running statistics; also where everything is computed again, and by matrix products."""
    plain = recognizer()
    network = copy.deepcopy(plain)
    line = for_training(network)
    assert line.startswith("fast pass for training: ") and "36 Mixed" in line
    assert factored_streams(network) == set(MODEL.streams) and factored_streams(plain) == set()
    assert list(network.state_dict()) == list(plain.state_dict())
    if again:
        monkeypatch.setattr("modeling.fast.recomputation.ACTIVATION", 0)
        monkeypatch.setattr("modeling.fast.recomputation.CONVOLUTION", 0)
        monkeypatch.setattr("modeling.fast.products.CHANNELS", 1)
        monkeypatch.setattr("modeling.fast.products.PICTURE", 1)
    wanted, found = trained(plain, {**written_out(factored_inputs())}), trained(network, factored_inputs())
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize("after_training", [False, True])
def test_for_prediction_changes_no_number(after_training: bool) -> None:
    plain = recognizer().eval()
    source = copy.deepcopy(plain).train()
    if after_training:
        for_training(source)
    kinds = [type(module) for module in source.modules()]
    network, line = for_prediction(source, torch.float64)
    assert (
        line
        == "fast pass for prediction: 4 first block of shared frames, 4 ConvBNReLU, 4 SeparableConv, 36 Mixed"
    )
    assert [type(module) for module in source.modules()] == kinds and source.training
    inputs = factored_inputs()
    with torch.no_grad():
        wanted, found = plain(written_out(inputs)).logits, network(as_windows(inputs)).logits
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-10)


class OwnLayer(ConvBNReLU):
    """A layer of somebody else, which must not lose its own forward."""


def test_unknown_modules_are_left_alone() -> None:
    block = Mixed(8, (8, 8, 8, 8, 8, 8), momentum=0.1)
    own, changed = OwnLayer(8, 8, (1, 3, 3), momentum=0.1), ConvBNReLU(8, 8, (1, 3, 3), momentum=0.1)
    changed.bn = nn.GroupNorm(2, 8)  # type: ignore[assignment]
    block.branches[1][1] = own  # type: ignore[index]
    for_training(nn.ModuleList([block, changed]))
    assert type(block) is Mixed and type(own) is OwnLayer and type(changed) is ConvBNReLU
    assert type(own.conv) is FastConv3d and type(block.branches[0][0]) is FastConvBNReLU  # type: ignore[index]
