"""A 3D convolution and its gradients: by torch, or by matrix products where these are faster.

Kernels are odd, padded by half of themselves and without bias; tensors are in memory format channels_last_3d. The CPU's
own gradients of the weights of 1 x k x k convolutions run at a quarter of the speed of a matrix product and take most
of a training step (docs/performance.md); here they are matrix products, one for each place of the kernel.
"""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

Triple = tuple[int, int, int]

# Positions whose products are computed at once: enough for a fast product, few enough to stay in the cache.
POSITIONS = 4096
# Products are used for weights of at least so many channels in times channels out, on maps of so many pixels.
CHANNELS, PICTURE = 64 * 64, 7 * 7


def half(kernel: torch.Size | tuple[int, ...]) -> list[int]:
    """The padding of a convolution by `kernel`."""
    return [size // 2 for size in kernel]


def convolve(x: Tensor, weight: Tensor, stride: Triple) -> Tensor:
    """[B, C, T, H, W] by [O, C, *kernel], padded by half the kernel."""
    if weight.shape[2:].numel() == 1:
        return (rows(x) @ weight.flatten(1).T).unflatten(0, _places(x)).permute(0, 4, 1, 2, 3)
    if _only_in_time(weight, stride) and on_onednn(x):
        return torch.mkldnn_convolution(x, weight, None, half(weight.shape[2:]), stride, (1, 1, 1), 1)
    return torch.conv3d(x, weight, None, stride, half(weight.shape[2:]))


def input_gradient(grad: Tensor, weight: Tensor, shape: torch.Size, stride: Triple) -> Tensor:
    """The gradient of `convolve` in x of `shape`."""
    if weight.shape[2:].numel() == 1:
        return (rows(grad) @ weight.flatten(1)).unflatten(0, _places(grad)).permute(0, 4, 1, 2, 3)
    if _only_in_time(weight, stride) and on_onednn(grad):
        return convolve(grad, weight.transpose(0, 1).flip(2), stride)
    x = of_shape(shape, grad)
    return _backward(grad, x, weight, stride, [True, False, False])[0]


def weight_gradient(x: Tensor, grad: Tensor, shape: torch.Size, stride: Triple) -> Tensor:
    """The gradient of `convolve` in the weight of `shape`, [O, C, *kernel]."""
    kernel = shape[2:]
    if not products_pay(x, shape):
        if onednn_errs(x, shape):
            x, grad = _enlarged(x, grad, kernel, stride)
        return _backward(grad, x, of_shape(shape, grad), stride, [False, True, False])[1]
    if kernel.numel() == 1:
        result = rows(grad).T @ rows(x)
    elif kernel[1:].numel() == 1:
        result = _temporal(x, grad, kernel[0], stride[0])
    else:
        assert kernel[0] == 1 and stride[1] == stride[2] and kernel[1] == kernel[2]
        result = _spatial(x, grad, kernel[1], stride[1])
    return result.view(*kernel, *shape[:2]).permute(3, 4, 0, 1, 2)


def of_shape(shape: torch.Size, like: Tensor) -> Tensor:
    """What operations read nothing of but the shape; contiguous, or they would make a copy that is."""
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last_3d)


def on_onednn(x: Tensor) -> bool:
    """Whether oneDNN can convolve a map."""
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    bf16 = x.dtype is torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return bf16 or x.dtype is torch.float32


def _only_in_time(weight: Tensor, stride: Triple) -> bool:
    """A k x 1 x 1 kernel without stride, for which torch does not take oneDNN on one thread: twice as slow."""
    return weight.shape[3:].numel() == 1 and stride == (1, 1, 1)


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Triple, wanted: list[bool]
) -> tuple[Tensor, ...]:
    padding = half(weight.shape[2:])
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, (1, 1, 1), False, (0, 0, 0), 1, wanted
    )


def products_pay(x: Tensor, shape: torch.Size) -> bool:
    """Matrix products of a few rows or columns are slower than the convolution's own gradient.

    In bf16 that is slow only for k x 1 x 1.
    """
    large = shape[:2].numel() >= CHANNELS and shape[1] >= 8 and x.shape[3:].numel() >= PICTURE
    temporal, point = shape[2] > 1, shape[2:].numel() == 1
    pays = (large and temporal) if x.dtype is torch.bfloat16 else (large or point)
    return x.device.type == "cpu" and 1 in (shape[2], shape[3:].numel()) and pays


def onednn_errs(x: Tensor, shape: torch.Size) -> bool:
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


def rows(x: Tensor) -> Tensor:
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
    and the outputs lie on a grid of lines x columns positions; then a place of the kernel is an offset in a flat list
    of positions, and nothing is copied for it. Beyond its own size the grid of the outputs is zero.
    """
    margin = kernel // 2
    height, width = x.shape[3:]
    lines, columns = -(-(height + 2 * margin) // stride), -(-(width + 2 * margin) // stride)
    inputs = x.permute(0, 2, 3, 4, 1).flatten(0, 1)  # [B * T, H, W, C]
    outputs = grad.permute(0, 2, 3, 4, 1).flatten(0, 1)
    result = x.new_zeros(kernel, kernel, grad.shape[1], x.shape[1])
    chunk = min(len(inputs), max(1, POSITIONS // (lines * columns)))
    padded = x.new_zeros(chunk, lines * stride, columns * stride, x.shape[1])
    spread = x.new_zeros(chunk, lines, columns, grad.shape[1])
    for first in range(0, len(inputs), chunk):
        part = inputs[first : first + chunk]
        frames = len(part)
        padded[:frames, margin : margin + height, margin : margin + width] = part
        spread[:frames, : outputs.shape[1], : outputs.shape[2]] = outputs[first : first + chunk]
        grids = padded[:frames].unflatten(1, (lines, stride)).unflatten(3, (columns, stride))
        grids = grids.permute(2, 4, 0, 1, 3, 5).flatten(2, 4)  # [stride, stride, positions, C]
        after = spread[:frames].flatten(0, 2)  # [positions, O]
        for i, j in product(range(kernel), repeat=2):
            offset = i // stride * columns + j // stride
            seen = grids[i % stride, j % stride, offset:]
            result[i, j].addmm_(after[: len(seen)].T, seen)
    return result
