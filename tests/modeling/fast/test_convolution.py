"""Convolutions and their gradients against torch's own."""

import pytest
import torch
from torch import Tensor, nn

from modeling.fast.convolution import Conv3d, ConvTranspose3d, weight_gradient


@pytest.fixture(autouse=True)
def products_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrix products at these sizes too, where they do not pay."""
    monkeypatch.setattr("modeling.fast.convolution.CHANNELS", 1)
    monkeypatch.setattr("modeling.fast.convolution.PICTURE", 1)


KERNELS = [(1, 1, 1), (1, 3, 3), (1, 7, 7), (3, 1, 1), (7, 1, 1)]


def leaf(*shape: int, seed: int = 0) -> Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last_3d).requires_grad_()


def assert_same_gradients(ours: Tensor, theirs: Tensor, leaves: list[Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    upstream = torch.randn(ours.shape, dtype=ours.dtype, generator=torch.Generator().manual_seed(9))
    found, wanted = (torch.autograd.grad(y, leaves, upstream) for y in (ours, theirs))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 8, 8), (5, 7, 9), (1, 2, 3)])
@pytest.mark.parametrize("channels", [8, 11])
def test_convolution(
    kernel: tuple[int, int, int], stride: int, size: tuple[int, int, int], channels: int
) -> None:
    strides = (stride if kernel[0] > 1 else 1, *[stride if kernel[1] > 1 else 1] * 2)
    conv = Conv3d(channels, 5, kernel, strides).double()
    x = leaf(2, channels, *size)
    theirs = nn.functional.conv3d(x, conv.weight, None, strides, conv.padding)
    assert_same_gradients(conv(x), theirs, [x, conv.weight])


@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 1, 1)])
@pytest.mark.parametrize("size", [(4, 4, 4), (1, 3, 5)])
def test_transposed_convolution(kernel: tuple[int, int, int], size: tuple[int, int, int]) -> None:
    strides = tuple(2 if k > 1 else 1 for k in kernel)
    conv = ConvTranspose3d(8, 9, kernel, strides).double()  # type: ignore[arg-type]
    x = leaf(2, 8, *size)
    extra = [s - 1 for s in strides]
    theirs = nn.functional.conv_transpose3d(x, conv.weight, None, strides, conv.padding, extra)
    assert conv(x).shape[2:] == tuple(s * n for s, n in zip(strides, size, strict=True))
    assert_same_gradients(conv(x), theirs, [x, conv.weight])


def test_many_frames_are_taken_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x, grad = leaf(3, 8, 5, 6, 6), leaf(3, 4, 5, 6, 6, seed=1)
    whole = weight_gradient(x, grad, torch.Size([4, 8, 1, 3, 3]), (1, 1, 1))
    monkeypatch.setattr("modeling.fast.convolution.POSITIONS", 130)  # two frames of 8 x 8 positions
    torch.testing.assert_close(weight_gradient(x, grad, whole.shape, (1, 1, 1)), whole, rtol=0, atol=1e-11)


def test_small_weights_and_maps_have_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    x, grad, shape = leaf(2, 8, 5, 6, 6), leaf(2, 4, 5, 6, 6, seed=1), torch.Size([4, 8, 1, 3, 3])
    products = weight_gradient(x, grad, shape, (1, 1, 1))
    monkeypatch.setattr("modeling.fast.convolution.PICTURE", 37)
    torch.testing.assert_close(weight_gradient(x, grad, shape, (1, 1, 1)), products, rtol=0, atol=1e-11)


def test_contiguous_tensors_give_the_same() -> None:
    conv = Conv3d(8, 5, (1, 3, 3)).double()
    last, first = leaf(2, 8, 3, 6, 6), leaf(2, 8, 3, 6, 6).detach().contiguous().requires_grad_()
    assert_same_gradients(conv(first), conv(last.detach()), [conv.weight])


@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 1, 1), (7, 1, 1)])
@pytest.mark.parametrize("size", [(7, 6, 6), (7, 2, 2), (2, 1, 1)])
def test_it_computes_in_the_type_of_its_input(
    products: bool, kernel: tuple[int, int, int], size: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also clips shorter than the kernel, for which oneDNN's own gradients may be wrong."""
    if not products:
        monkeypatch.setattr("modeling.fast.convolution.CHANNELS", 65)
    conv = Conv3d(8, 8, kernel, (2 if kernel[0] == 7 else 1, 1, 1))
    x, gradients = leaf(2, 8, *size).detach(), []
    for dtype in (torch.float32, torch.bfloat16):
        y = conv(x.to(dtype))
        assert y.dtype == dtype
        y.float().square().sum().backward()
        assert conv.weight.grad is not None and conv.weight.grad.dtype == torch.float32
        gradients.append(conv.weight.grad)
        conv.weight.grad = None
    exact, rounded = gradients
    assert 0 < (rounded - exact).norm() / exact.norm() < 2**-7
