"""Kernels in space and time: fewer multiplications give the numbers of torch's convolution, and of its gradients."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modeling.fast import toom_cook
from modeling.fast.products import Triple, half
from modeling.fast.training import make_fast


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """At these sizes too, where it does not pay."""
    monkeypatch.setattr(toom_cook, "CHANNELS", 1)
    monkeypatch.setattr(toom_cook, "CHANNELS_OF_GRADIENTS", 1)


@pytest.fixture
def parts_seen(monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """The parts in which maps are taken to the points."""
    seen: list[range] = []
    plain = toom_cook._Tiles._at_points

    def noted(self: toom_cook._Tiles, matrix: Tensor, maps: Tensor, part: range, before: int) -> Tensor:
        seen.append(part)
        return plain(self, matrix, maps, part, before)

    monkeypatch.setattr(toom_cook._Tiles, "_at_points", noted)
    return seen


def leaf(*shape: int, seed: int = 0) -> Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (x.contiguous(memory_format=torch.channels_last_3d) if x.ndim == 5 else x).requires_grad_()


def assert_same(ours: Tensor, theirs: Tensor, leaves: list[Tensor]) -> None:
    upstream = leaf(*theirs.shape, seed=9).detach()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)
    found, wanted = (torch.autograd.grad(y, leaves, upstream) for y in (ours, theirs))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kernel", [(7, 3, 3), (5, 3, 3), (7, 5, 5)])
@pytest.mark.parametrize("stride", [(1, 2, 2), (1, 1, 1)])
@pytest.mark.parametrize("size", [(12, 8, 8), (13, 7, 6), (7, 3, 3), (2, 4, 5), (1, 1, 2)])
def test_convolution(kernel: Triple, stride: Triple, size: Triple, parts_seen: list[range]) -> None:
    conv = nn.Conv3d(5, 4, kernel, stride, tuple(half(kernel)), bias=False).double()  # type: ignore[arg-type]
    make_fast(conv)
    x = leaf(2, 5, *size)
    assert_same(conv(x), F.conv3d(x, conv.weight, None, stride, half(kernel)), [x, conv.weight])
    assert parts_seen


@pytest.mark.parametrize("size", [(12, 4, 4), (9, 3, 5), (1, 2, 2)])
def test_transposed_convolution(size: Triple, parts_seen: list[range]) -> None:
    conv = nn.ConvTranspose3d(4, 5, (7, 3, 3), (1, 2, 2), (3, 1, 1), (0, 1, 1), bias=False).double()
    make_fast(conv)
    x = leaf(2, 4, *size)
    theirs = F.conv_transpose3d(x, conv.weight, None, (1, 2, 2), (3, 1, 1), (0, 1, 1))
    assert_same(conv(x), theirs, [x, conv.weight])
    assert parts_seen


def test_some_tiles_at_once(monkeypatch: pytest.MonkeyPatch, parts_seen: list[range]) -> None:
    monkeypatch.setattr(toom_cook, "VALUES", 2 * 12 * 4 * 6 * 6)  # of two tiles
    conv = nn.Conv3d(4, 4, (7, 3, 3), (1, 2, 2), (3, 1, 1), bias=False).double()
    make_fast(conv)
    x = leaf(1, 4, 27, 6, 6)
    assert_same(conv(x), F.conv3d(x, conv.weight, None, (1, 2, 2), (3, 1, 1)), [x, conv.weight])
    assert parts_seen[:3] == [range(1), range(1, 3), range(3, 5)]


def test_rounding_in_fp32() -> None:
    x, weight = leaf(1, 64, 12, 8, 8).detach(), leaf(16, 64, 7, 3, 3, seed=1).detach()
    exact = F.conv3d(x, weight, None, (1, 2, 2), (3, 1, 1))
    found = toom_cook.convolve(x.float(), weight.float(), (1, 2, 2))
    assert 0 < (found - exact).norm() / exact.norm() < 1e-5


def test_what_it_is_used_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    large, small = torch.Size([192, 192, 7, 3, 3]), torch.Size([64, 64, 7, 3, 3])
    x = torch.empty(1, 1, 1, 1, 1)
    assert toom_cook.pays(x, large, (1, 2, 2)) and toom_cook.pays_for_gradient(x, large, (1, 2, 2))
    assert not toom_cook.pays(x, small, (1, 2, 2)) and toom_cook.pays_for_gradient(x, small, (1, 2, 2))
    assert not toom_cook.pays(x.bfloat16(), large, (1, 2, 2)), "too few bits"
    assert not toom_cook.pays(x, large, (2, 2, 2)), "strides in time have no tiles"
    assert not toom_cook.pays(x, torch.Size([192, 192, 7, 1, 1]), (1, 1, 1))
    assert not toom_cook.pays(x, torch.Size([192, 192, 1, 3, 3]), (1, 1, 1))
