"""The 3D convolutions of encoders and lateral connections, and their gradients.

Kernels are 1 x k x k, k x 1 x 1 or 1 x 1 x 1, padded by half of themselves and without bias, as `fits` says; tensors
are in memory format channels_last_3d. Same numbers as `nn.Conv3d` and `nn.ConvTranspose3d` up to rounding. The CPU's
own gradients of the weights of 1 x k x k convolutions run at a quarter of the speed of a matrix product and take most
of a training step (docs/performance.md); here they are matrix products, one for each place of the kernel.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modeling.fast.recomputation import Recipe, keep, kept, recipe_of

Triple = tuple[int, int, int]

# Positions whose products are computed at once: enough for a fast product, few enough to stay in the cache.
POSITIONS = 4096
# Products are used for weights of at least so many channels in times channels out, on maps of so many pixels.
CHANNELS, PICTURE = 64 * 64, 7 * 7


def _padding(kernel: torch.Size | tuple[int, ...]) -> list[int]:
    return [size // 2 for size in kernel]


def convolve(x: Tensor, weight: Tensor, stride: Triple) -> Tensor:
    """[B, C, T, H, W] by [O, C, *kernel], padded by half the kernel."""
    if weight.shape[2:].numel() == 1:
        return (_rows(x) @ weight.flatten(1).T).unflatten(0, _places(x)).permute(0, 4, 1, 2, 3)
    return torch.conv3d(x, weight, None, stride, _padding(weight.shape[2:]))


def input_gradient(grad: Tensor, weight: Tensor, shape: torch.Size, stride: Triple) -> Tensor:
    """The gradient of `convolve` in x of `shape`."""
    if weight.shape[2:].numel() == 1:
        return (_rows(grad) @ weight.flatten(1)).unflatten(0, _places(grad)).permute(0, 4, 1, 2, 3)
    x = of_shape(shape, grad)
    return _backward(grad, x, weight, stride, [True, False, False])[0]


def weight_gradient(x: Tensor, grad: Tensor, shape: torch.Size, stride: Triple) -> Tensor:
    """The gradient of `convolve` in the weight of `shape`, [O, C, *kernel]."""
    kernel = shape[2:]
    if not _products_pay(x, shape):
        if _onednn_errs(x, shape):
            x, grad = _enlarged(x, grad, kernel, stride)
        return _backward(grad, x, of_shape(shape, grad), stride, [False, True, False])[1]
    if kernel.numel() == 1:
        result = _rows(grad).T @ _rows(x)
    elif kernel[1:].numel() == 1:
        result = _temporal(x, grad, kernel[0], stride[0])
    else:
        assert kernel[0] == 1 and stride[1] == stride[2] and kernel[1] == kernel[2]
        result = _spatial(x, grad, kernel[1], stride[1])
    return result.view(*kernel, *shape[:2]).permute(3, 4, 0, 1, 2)


def of_shape(shape: torch.Size, like: Tensor) -> Tensor:
    """What operations read nothing of but the shape; contiguous, or they would make a copy that is."""
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last_3d)


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Triple, wanted: list[bool]
) -> tuple[Tensor, ...]:
    padding = _padding(weight.shape[2:])
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, (1, 1, 1), False, (0, 0, 0), 1, wanted
    )


def _products_pay(x: Tensor, shape: torch.Size) -> bool:
    """Matrix products of a few rows or columns are slower than the convolution's own gradient.

    In bf16 that is slow only for k x 1 x 1.
    """
    large = shape[:2].numel() >= CHANNELS and shape[1] >= 8 and x.shape[3:].numel() >= PICTURE
    temporal, point = shape[2] > 1, shape[2:].numel() == 1
    pays = (large and temporal) if x.dtype is torch.bfloat16 else (large or point)
    return x.device.type == "cpu" and pays


def _onednn_errs(x: Tensor, shape: torch.Size) -> bool:
    """Whether the CPU's own gradient of a weight can be wrong, because a map is no larger than the kernel.

    On processors with AVX-512 it reads and writes outside the tensors then, for some strides (torch 2.13.0).
    """
    small = any(size <= width and width > 1 for width, size in zip(shape[2:], x.shape[2:], strict=True))
    return x.device.type == "cpu" and small


def _enlarged(x: Tensor, grad: Tensor, kernel: torch.Size, stride: Triple) -> tuple[Tensor, Tensor]:
    """A map larger than the kernel, and the gradient of its convolution; zeros are added to both, so that the gradient
    of the weight is the same."""
    inputs: list[int] = []
    outputs: list[int] = []
    for width, size, step in reversed(list(zip(kernel, x.shape[2:], stride, strict=True))):
        added = -(-max(0, width + 1 - size) // step) if width > 1 else 0
        inputs += [0, added * step]
        outputs += [0, added]
    return F.pad(x, inputs), F.pad(grad, outputs)


def _rows(x: Tensor) -> Tensor:
    """[B, C, T, H, W] -> [B * T * H * W, C], a view of a channels-last tensor."""
    return x.permute(0, 2, 3, 4, 1).reshape(-1, x.shape[1])


def _places(x: Tensor) -> tuple[int, ...]:
    return (x.shape[0], *x.shape[2:])


def _temporal(x: Tensor, grad: Tensor, kernel: int, stride: int) -> Tensor:
    """[kernel, O, C]: for each place of the kernel, products of the frames that it brings together."""
    exact = torch.promote_types(x.dtype, torch.float32)
    result = x.new_zeros(kernel, grad.shape[1], x.shape[1], dtype=exact)
    inputs = x.permute(0, 2, 3, 4, 1).flatten(2, 3)  # [B, T, H * W, C]
    outputs = grad.permute(0, 2, 1, 3, 4).flatten(3)  # [B, T', O, H * W]
    frames = inputs.shape[1]
    for place in range(kernel):
        offset = place - kernel // 2
        first = max(0, -(offset // stride))  # of the outputs whose input lies within the clip
        last = min(outputs.shape[1], (frames - 1 - offset) // stride + 1)
        if first >= last:
            continue
        for clip in range(len(inputs)):
            seen = inputs[clip, first * stride + offset : (last - 1) * stride + offset + 1 : stride]
            result[place] += torch.bmm(outputs[clip, first:last], seen).sum(dim=0, dtype=exact)
    return result.to(x.dtype)


def _spatial(x: Tensor, grad: Tensor, kernel: int, stride: int) -> Tensor:
    """[kernel * kernel, O, C], some frames at a time.

    Frames are padded and split into the stride x stride grids of pixels that one place of the kernel meets. Both these
    and the outputs lie on a grid of rows x columns positions; then a place of the kernel is an offset in a flat list
    of positions, and nothing is copied for it. Beyond its own size the grid of the outputs is zero.
    """
    margin = kernel // 2
    height, width = x.shape[3:]
    rows, columns = -(-(height + 2 * margin) // stride), -(-(width + 2 * margin) // stride)
    inputs = x.permute(0, 2, 3, 4, 1).flatten(0, 1)  # [B * T, H, W, C]
    outputs = grad.permute(0, 2, 3, 4, 1).flatten(0, 1)
    result = x.new_zeros(kernel, kernel, grad.shape[1], x.shape[1])
    chunk = max(1, POSITIONS // (rows * columns))
    padded = x.new_zeros(chunk, rows * stride, columns * stride, x.shape[1])
    spread = x.new_zeros(chunk, rows, columns, grad.shape[1])
    for first in range(0, len(inputs), chunk):
        part = inputs[first : first + chunk]
        frames = len(part)
        padded[:frames, margin : margin + height, margin : margin + width] = part
        spread[:frames, : outputs.shape[1], : outputs.shape[2]] = outputs[first : first + chunk]
        grids = padded[:frames].unflatten(1, (rows, stride)).unflatten(3, (columns, stride))
        grids = grids.permute(2, 4, 0, 1, 3, 5).flatten(2, 4)  # [stride, stride, positions, C]
        after = spread[:frames].flatten(0, 2)  # [positions, O]
        for i, j in product(range(kernel), repeat=2):
            offset = i // stride * columns + j // stride
            seen = grids[i % stride, j % stride, offset:]
            result[i, j].addmm_(after[: len(seen)].T, seen)
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Triple, recipe: Recipe | None) -> Tensor:
        ctx.stride = stride
        keep(ctx, x, recipe, weight)
        return convolve(x, weight, stride)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        x, weight = kept(ctx)
        inputs = None
        if ctx.needs_input_grad[0]:
            inputs = input_gradient(grad, weight, x.shape, ctx.stride)
        return inputs, weight_gradient(x, grad, weight.shape, ctx.stride), None, None


class _PointConvolutions(torch.autograd.Function):
    """Several 1 x 1 x 1 convolutions of one map."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, recipe: Recipe | None, *weights: Tensor) -> tuple[Tensor, ...]:
        keep(ctx, x, recipe, *weights)
        return tuple(convolve(x, weight, (1, 1, 1)) for weight in weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = kept(ctx)
        inputs = input_gradient(grads[0], weights[0], x.shape, (1, 1, 1))
        for grad, weight in zip(grads[1:], weights[1:], strict=True):
            _rows(inputs).addmm_(_rows(grad), weight.flatten(1))
        kernels = (weight_gradient(x, g, w.shape, (1, 1, 1)) for g, w in zip(grads, weights, strict=True))
        return inputs, None, *kernels


def convolve_points(x: Tensor, convs: Sequence[nn.Conv3d]) -> Sequence[Tensor]:
    """Several 1 x 1 x 1 convolutions of one map; in training their gradients in it are added up where they arise."""
    if not torch.is_grad_enabled():
        return [conv(x) for conv in convs]
    x = in_encoder_type(x)
    return _PointConvolutions.apply(x, recipe_of(x), *(conv.weight.to(x.dtype) for conv in convs))


class _TransposedConvolution(torch.autograd.Function):
    """The input gradient of a convolution, and the other way round."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Triple, recipe: Recipe | None) -> Tensor:
        ctx.stride = stride
        keep(ctx, x, recipe, weight)
        size = [length * step for length, step in zip(x.shape[2:], stride, strict=True)]
        return input_gradient(x, weight, torch.Size([len(x), weight.shape[1], *size]), stride)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight = kept(ctx)
        inputs = convolve(grad, weight, ctx.stride)
        return inputs, weight_gradient(grad, x, weight.shape, ctx.stride), None, None


class FastConv3d(nn.Conv3d):
    """Convolution that computes in the type of its input."""

    def forward(self, x: Tensor) -> Tensor:
        x = in_encoder_type(x)
        weight, recipe = self.weight.to(x.dtype), recipe_of(x)
        own = recipe is not None or _products_pay(x, weight.shape) or _onednn_errs(x, weight.shape)
        if not own or not torch.is_grad_enabled():
            return self._conv_forward(x, weight, None)
        return _Convolution.apply(x, weight, self.stride, recipe)


class FastConvTranspose3d(nn.ConvTranspose3d):
    """Transposed convolution that computes in the type of its input."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        assert output_size is None, "it enlarges each axis exactly `stride` times"
        x = in_encoder_type(x)
        weight = self.weight.to(x.dtype)
        if not torch.is_grad_enabled():
            padding = _padding(weight.shape[2:])
            return F.conv_transpose3d(x, weight, None, self.stride, padding, self.output_padding)
        return _TransposedConvolution.apply(x, weight, self.stride, recipe_of(x))


def in_encoder_type(x: Tensor) -> Tensor:
    """A map in bf16 where autocast has encoders compute in it; other modules may have given it in fp32."""
    device = x.device.type
    if x.dtype is torch.float32 and torch.is_autocast_enabled(device):
        return x.to(torch.get_autocast_dtype(device))
    return x


def fits(conv: nn.Conv3d | nn.ConvTranspose3d) -> bool:
    """Whether a convolution is one of those that this module is about."""
    (time, height, width), (step, down, across) = conv.kernel_size, conv.stride
    plain = conv.bias is None and conv.groups == 1 and conv.dilation == (1, 1, 1)
    padded = conv.padding_mode == "zeros" and list(conv.padding) == _padding(conv.kernel_size)
    extra = tuple(size - 1 for size in conv.stride) if conv.transposed else (0, 0, 0)
    flat = time % 2 == height % 2 == 1 and height == width and 1 in (time, height)
    strided = down == across and (time > 1 or step == 1) and (height > 1 or down == 1)
    return plain and padded and conv.output_padding == extra and flat and strided
