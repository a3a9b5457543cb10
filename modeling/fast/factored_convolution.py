"""The first convolution of a keypoint stream, on heatmaps that are never written out.

A heatmap is an outer product of two factors, so a k x k convolution of it is one along the columns, then one along
the rows: k + k multiplications a value and channel instead of k * k. Exact up to rounding, and in training the heatmaps
take no memory. Only the gradient of the weight is needed; keypoints have none.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.fast.products import Triple, convolve, weight_gradient
from modeling.heatmaps import FactoredHeatmaps, Mixture

PRODUCTS = 2**20  # values between the two convolutions that are made at once: few enough to stay in the cache


def _patches(factors: Tensor, kernel: int, stride: int) -> Tensor:
    """[B, T, S, J] -> [J, B * T, S / stride, kernel]: the neighbourhood of each place of the result."""
    lines = factors.permute(3, 0, 1, 2).flatten(1, 2)
    return F.pad(lines, (kernel // 2, kernel // 2)).unfold(2, kernel, stride)


def _blocks(beside: Tensor, outputs: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Some frames at a time: which, their `beside` as [J, 1, places, kernel], and memory that is used again for the
    products of these with a weight, [J, kernel, places, O]. Places are those of a frame's columns, frame by frame."""
    joints, frames, width, kernel = beside.shape
    products = joints * kernel * width * outputs  # of a frame
    size = min(frames, max(1, PRODUCTS // products))
    memory = beside.new_empty(size * products)
    for first in range(0, frames, size):
        part = slice(first, min(first + size, frames))
        places = beside[:, None, part].flatten(2, 3)
        shape = (joints, kernel, places.shape[2], outputs)
        yield part, places, memory[: (part.stop - first) * products].view(shape)


def _by_frame(products: Tensor, width: int) -> Tensor:
    """[J, kernel, places, O] -> [frames, J * kernel, W' * O]."""
    return products.flatten(0, 1).unflatten(1, (-1, width)).flatten(2).transpose(0, 1)


class _FactoredConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, heatmaps: FactoredHeatmaps, weight: Tensor, stride: Triple) -> Tensor:
        rows, columns, low, mixture = ctx.heatmaps = heatmaps
        ctx.stride, ctx.shape = stride, weight.shape
        outputs, kernel = len(weight), weight.shape[4]
        across = weight[:, :, 0].permute(1, 2, 3, 0).contiguous()  # [J, kernel, kernel, O]
        beside = _patches(columns, kernel, stride[2])
        below = _patches(rows, kernel, stride[1]).permute(1, 2, 0, 3).flatten(2)  # [F, H', J * kernel]
        height, width = below.shape[1], beside.shape[2]
        result = rows.new_empty(len(below), height, width * outputs)
        for part, places, products in _blocks(beside, outputs):
            torch.matmul(places, across, out=products)
            torch.bmm(below[part], _by_frame(products, width), out=result[part])
        maps = result.view(*rows.shape[:2], height, width, outputs)
        if mixture is not None:
            maps = mixture.of(maps)
        maps = maps.permute(0, 4, 1, 2, 3)
        if low:
            maps += low * convolve(_ones(rows), weight.sum(dim=1, keepdim=True), stride)
        return maps

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        rows, columns, low, mixture = ctx.heatmaps
        outputs, joints, _, _, kernel = ctx.shape
        height, width = grad.shape[3:]
        upstream = grad.permute(0, 2, 3, 4, 1)
        if mixture is not None:
            upstream = _unmixed(upstream, mixture)
        upstream = upstream.reshape(-1, height, width * outputs)
        beside = _patches(columns, kernel, ctx.stride[2])
        below = _patches(rows, kernel, ctx.stride[1]).permute(1, 0, 3, 2).flatten(1, 2)  # [F, J * kernel, H']
        exact = torch.promote_types(rows.dtype, torch.float32)
        across = rows.new_zeros(joints, kernel, kernel, outputs, dtype=exact)
        for part, places, products in _blocks(beside, outputs):
            torch.bmm(below[part], upstream[part], out=_by_frame(products, width))
            across += torch.matmul(places.transpose(2, 3), products)
        weight = across.to(rows.dtype).permute(3, 0, 1, 2)[:, :, None]
        if low:
            total = grad.sum(dim=(0, 2), keepdim=True)  # [1, O, 1, H', W']
            constant = weight_gradient(
                _ones(rows), total, torch.Size([outputs, 1, *ctx.shape[2:]]), ctx.stride
            )
            weight = weight + low * constant
        return None, weight, None


def _unmixed(grad: Tensor, mixture: Mixture) -> Tensor:
    """The gradient of `mixture.of` in what was mixed."""
    return (mixture.share * grad).index_add_(0, mixture.others, grad, alpha=1.0 - mixture.share)


def _ones(rows: Tensor) -> Tensor:
    size = rows.shape[2]
    return rows.new_ones(1, 1, 1, size, size)


def convolve_factored(heatmaps: FactoredHeatmaps, weight: Tensor, stride: Sequence[int]) -> Tensor:
    """Convolution of heatmaps by weight [O, J, 1, k, k], padded by k // 2: [B, O, T, S / stride, S / stride].

    In the type of the factors.
    """
    return _FactoredConvolution.apply(heatmaps, weight.to(heatmaps.dtype), tuple(stride))
