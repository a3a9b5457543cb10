"""Convolutions and their gradients against torch's own."""

import pytest
import torch
from torch import Tensor, nn

from modeling.fast.convolution import FastConv3d, FastConvTranspose3d, fits, weight_gradient
from modeling.fast.training import make_fast


@pytest.fixture(autouse=True)
def products_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrix products at these sizes too, where they do not pay."""
    monkeypatch.setattr("modeling.fast.products.CHANNELS", 1)
    monkeypatch.setattr("modeling.fast.products.PICTURE", 1)


Triple = tuple[int, int, int]


def halves(kernel: Triple) -> Triple:
    return (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)


def fast_conv(channels: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> nn.Conv3d:
    conv = nn.Conv3d(channels, outputs, kernel, stride, halves(kernel), bias=False)
    make_fast(conv)
    assert type(conv) is FastConv3d
    return conv


KERNELS = [(1, 1, 1), (1, 3, 3), (1, 7, 7), (3, 1, 1), (7, 1, 1), (3, 3, 3), (7, 3, 3)]


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
    down, across = stride if kernel[0] > 1 else 1, stride if kernel[1] > 1 else 1
    strides = (down, across, across)
    conv = fast_conv(channels, 5, kernel, strides).double()
    x = leaf(2, channels, *size)
    theirs = nn.functional.conv3d(x, conv.weight, None, strides, conv.padding)
    assert_same_gradients(conv(x), theirs, [x, conv.weight])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 1, 1), (7, 3, 3)])
@pytest.mark.parametrize("size", [(4, 4, 4), (1, 3, 5)])
def test_transposed_convolution(kernel: Triple, stride: int, size: Triple) -> None:
    down, across = stride if kernel[0] > 1 else 1, stride if kernel[1] > 1 else 1
    strides, extra = (down, across, across), (down - 1, across - 1, across - 1)
    conv = nn.ConvTranspose3d(8, 9, kernel, strides, halves(kernel), extra, bias=False).double()
    make_fast(conv)
    assert type(conv) is FastConvTranspose3d
    x = leaf(2, 8, *size)
    theirs = nn.functional.conv_transpose3d(x, conv.weight, None, strides, halves(kernel), extra)
    assert conv(x).shape[2:] == tuple(s * n for s, n in zip(strides, size, strict=True))
    assert_same_gradients(conv(x), theirs, [x, conv.weight])


@pytest.mark.parametrize("kernel", [(3, 1, 1), (7, 1, 1)])
def test_kernels_in_time_in_fp32(kernel: Triple) -> None:
    """Which oneDNN convolves, also on one thread."""
    conv, x = fast_conv(8, 5, kernel), leaf(2, 8, 5, 6, 6)
    ours, theirs = conv(x.float()), nn.functional.conv3d(x, conv.weight.double(), None, 1, conv.padding)
    upstream = leaf(*theirs.shape, seed=1).detach()
    (found,), (wanted,) = (
        torch.autograd.grad(ours, x, upstream.float()),
        torch.autograd.grad(theirs, x, upstream),
    )
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_many_frames_are_taken_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x, grad = leaf(3, 8, 5, 6, 6), leaf(3, 4, 5, 6, 6, seed=1)
    whole = weight_gradient(x, grad, torch.Size([4, 8, 1, 3, 3]), (1, 1, 1))
    monkeypatch.setattr("modeling.fast.products.POSITIONS", 130)  # two frames of 8 x 8 positions
    torch.testing.assert_close(weight_gradient(x, grad, whole.shape, (1, 1, 1)), whole, rtol=0, atol=1e-11)


def test_small_weights_and_maps_have_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    x, grad, shape = leaf(2, 8, 5, 6, 6), leaf(2, 4, 5, 6, 6, seed=1), torch.Size([4, 8, 1, 3, 3])
    products = weight_gradient(x, grad, shape, (1, 1, 1))
    monkeypatch.setattr("modeling.fast.products.PICTURE", 37)
    torch.testing.assert_close(weight_gradient(x, grad, shape, (1, 1, 1)), products, rtol=0, atol=1e-11)


def test_contiguous_tensors_give_the_same() -> None:
    conv = fast_conv(8, 5, (1, 3, 3)).double()
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
        monkeypatch.setattr("modeling.fast.products.CHANNELS", 65)
    conv = fast_conv(8, 8, kernel, (2 if kernel[0] == 7 else 1, 1, 1))
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


def test_under_autocast_a_map_in_fp32_is_convolved_in_bf16() -> None:
    """As the plain convolution does, whoever made the map."""
    conv, x = fast_conv(8, 8, (1, 3, 3)), leaf(2, 8, 3, 6, 6).detach().float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.float32


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1)),
        nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1), bias=False, groups=2),
        nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1), bias=False, dilation=(1, 2, 2)),
        nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1), bias=False, padding_mode="circular"),
        nn.Conv3d(8, 8, (1, 3, 3), bias=False),
        nn.Conv3d(8, 8, (1, 3, 3), padding="same", bias=False),
        nn.Conv3d(8, 8, (1, 3, 1), padding=(0, 1, 0), bias=False),
        nn.Conv3d(8, 8, 2, padding=1, bias=False),
        nn.Conv3d(8, 8, (1, 2, 2), padding=(0, 1, 1), bias=False),
        nn.Conv3d(8, 8, (1, 3, 3), stride=(2, 1, 1), padding=(0, 1, 1), bias=False),
        nn.Conv3d(8, 8, (1, 3, 3), stride=(1, 1, 2), padding=(0, 1, 1), bias=False),
        nn.Conv3d(8, 8, (3, 1, 1), stride=2, padding=(1, 0, 0), bias=False),
        nn.Conv3d(8, 8, 1, stride=2, bias=False),
        nn.ConvTranspose3d(8, 8, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False),
    ],
)
def test_other_convolutions_are_left_alone(conv: nn.Module) -> None:
    kind = type(conv)
    assert not fits(conv) and make_fast(conv) == {} and type(conv) is kind  # type: ignore[arg-type]
