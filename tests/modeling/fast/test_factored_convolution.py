"""The first convolution of a keypoint stream on factors against the one on heatmaps."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.fast.factored_convolution import convolve_factored
from modeling.heatmaps import FactoredHeatmaps, Mixture, factored_heatmaps


def heatmaps(clips: int, frames: int, size: int) -> FactoredHeatmaps:
    rng = torch.Generator().manual_seed(0)
    points = 40 * torch.rand(clips, frames, 3, 2, generator=rng, dtype=torch.float64) - 4
    return factored_heatmaps(points, size, grid=32, sigma=3.0, low=-1.0, high=1.0)


@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 1)])
@pytest.mark.parametrize("size", [12, 15])
@pytest.mark.parametrize("mixed", [False, True])
def test_it_is_the_convolution_of_the_heatmaps(kernel: int, stride: int, size: int, mixed: bool) -> None:
    factored = heatmaps(2, 5, size)
    maps = factored.maps()
    if mixed:
        factored = factored._replace(mixture=Mixture(torch.tensor([1, 0]), 0.3))
        maps = 0.3 * maps + 0.7 * maps.flip(0)
        torch.testing.assert_close(factored.maps(), maps, rtol=0, atol=1e-12)
    ours, theirs = (
        torch.randn(4, 3, 1, kernel, kernel, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        for _ in range(2)
    )
    found = convolve_factored(factored, ours.requires_grad_(), (1, stride, stride))
    padding = (0, kernel // 2, kernel // 2)
    wanted = F.conv3d(maps, theirs.requires_grad_(), None, (1, stride, stride), padding)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    upstream: Tensor = torch.randn(
        wanted.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    found.backward(upstream)
    wanted.backward(upstream)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-11)


def test_bf16_is_rounded_once_a_factor() -> None:
    """Products and sums over all joints, rows and frames are not rounded on the way; bf16 keeps 8 bits."""
    exact, rng = heatmaps(2, 40, 32), torch.Generator().manual_seed(1)
    weight = torch.randn(4, 3, 1, 7, 7, dtype=torch.float64, generator=rng)
    results = []
    for factored in (exact, exact.to(torch.bfloat16)):
        ours = weight.clone().requires_grad_()
        found = convolve_factored(factored, ours, (1, 2, 2))
        found.backward(torch.ones_like(found))
        assert ours.grad is not None and found.dtype == factored.dtype
        results.append((found, ours.grad))
    for wanted, found in zip(*results, strict=True):
        error = (found.double() - wanted).norm() / wanted.norm()
        assert 0 < error < 2**-7


def test_factors_of_some_frames() -> None:
    factored = heatmaps(2, 5, 12)
    maps = factored.maps()
    assert torch.equal(factored.at(slice(1, 3)).maps(), maps[:, :, 1:3])
    places = torch.tensor([4, 0])
    assert torch.equal(factored.at(places).maps(), maps[:, :, places])
