"""The layers for a GPU, on the CPU in double precision, against the plain ones."""

import copy

import pytest
import torch
from torch import Tensor, nn

from modeling.fast.planar import PLANAR, make_planar

LAYERS = {
    "space": nn.Conv3d(5, 6, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False),
    "large in space": nn.Conv3d(3, 4, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
    "time": nn.Conv3d(5, 6, (7, 1, 1), (2, 1, 1), (3, 0, 0), bias=False),
    "point": nn.Conv3d(8, 6, 1, bias=False),
    "both": nn.Conv3d(5, 5, (7, 3, 3), (1, 2, 2), (3, 1, 1), bias=False),
    "enlarged in space": nn.ConvTranspose3d(5, 6, (1, 3, 3), (1, 2, 2), (0, 1, 1), (0, 1, 1), bias=False),
    "enlarged in time": nn.ConvTranspose3d(5, 6, (3, 1, 1), (2, 1, 1), (1, 0, 0), (1, 0, 0), bias=False),
    "enlarged in both": nn.ConvTranspose3d(5, 6, (7, 3, 3), (1, 2, 2), (3, 1, 1), (0, 1, 1), bias=False),
    "norm": nn.BatchNorm3d(5, eps=1e-3, momentum=0.1),
    "pool": nn.MaxPool3d(3, 2, 1),
    "pool in space": nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    "pool by two": nn.MaxPool3d(2, 2, 0),
}


def computed(layer: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone(memory_format=torch.channels_last_3d).requires_grad_()
    result = layer(x)
    (result * torch.linspace(0, 1, result.numel(), dtype=x.dtype).view_as(result)).sum().backward()
    assert x.grad is not None
    return [
        result.detach(),
        x.grad,
        *(p.grad for p in layer.parameters() if p.grad is not None),
        *layer.buffers(),
    ]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_results_gradients_and_statistics_are_those_of_the_plain_layer(name: str, training: bool) -> None:
    plain = copy.deepcopy(LAYERS[name]).double().train(training)
    planar = nn.Sequential(copy.deepcopy(plain))
    assert make_planar(planar) == {type(plain).__name__: 1}
    assert type(planar[0]) is PLANAR[type(plain)]
    x = torch.randn(2, 8 if name == "point" else 3 if "large in" in name else 5, 9, 10, 8).double()
    found = computed(planar, x)
    for ours, wanted in zip(found, computed(plain, x), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)
    assert found[0].is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv3d(4, 4, (3, 3, 3), 2, 1, bias=False),
        nn.Conv3d(4, 4, 1),
        nn.Conv3d(4, 4, 1, groups=2, bias=False),
        nn.MaxPool3d(2, ceil_mode=True),
        nn.BatchNorm3d(4, affine=False),
        nn.SyncBatchNorm(4),
    ],
    ids=str,
)
def test_what_it_cannot_do_stays(layer: nn.Module) -> None:
    assert make_planar(nn.Sequential(layer)) == {}
