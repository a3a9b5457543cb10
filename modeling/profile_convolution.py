"""The first convolution of a keypoint stream, on heatmaps that are never written out.

A heatmap is an outer product of two profiles, so a k x k convolution of it is one along the columns, then one along
the rows: k + k multiplications a value and channel instead of k * k. Exact up to rounding, and in training the heatmaps
take no memory. Only the gradient of the weight is needed; keypoints have none.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.convolution import Triple, convolve, weight_gradient
from modeling.heatmaps import Profiles

FRAMES = 4  # frames whose intermediate products, 6 MB each at the published size, are made at once


def _patches(profiles: Tensor, kernel: int, stride: int) -> Tensor:
    """[frames, R, S, J] -> [frames, R, J, S / stride, kernel]: the neighbourhood of each place of the result."""
    padded = F.pad(profiles, (0, 0, kernel // 2, kernel // 2))
    return padded.unfold(2, kernel, stride).transpose(2, 3)


def _by_frame(x: Tensor) -> Tensor:
    """[B, R, T, S, J] -> [B * T, R, S, J]."""
    return x.transpose(1, 2).flatten(0, 1)


class _ProfileConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, columns: Tensor, low: float, weight: Tensor, stride: Triple
    ) -> Tensor:
        ctx.low, ctx.stride, ctx.shape = low, stride, weight.shape
        ctx.save_for_backward(rows, columns)
        clips, frames, outputs, kernel = len(rows), rows.shape[2], len(weight), weight.shape[4]
        across = weight[:, :, 0].permute(1, 2, 3, 0).contiguous()  # [J, kernel, kernel, O]
        beside = _patches(_by_frame(columns), kernel, stride[2])[:, :, :, None]  # [F, R, J, 1, W', kernel]
        below = _patches(_by_frame(rows), kernel, stride[1])  # [F, R, J, H', kernel]
        below = below.permute(0, 3, 1, 2, 4).flatten(2)  # [F, H', R * J * kernel]
        height, width = below.shape[1], beside.shape[4]
        result = rows.new_empty(len(below), height, width * outputs)
        for i in range(0, len(below), FRAMES):
            products = torch.matmul(beside[i : i + FRAMES], across)  # [frames, R, J, kernel, W', O]
            torch.bmm(below[i : i + FRAMES], products.flatten(1, 3).flatten(2), out=result[i : i + FRAMES])
        maps = result.view(clips, frames, height, width, outputs).permute(0, 4, 1, 2, 3)
        if low:
            maps += low * convolve(_ones(rows), weight.sum(dim=1, keepdim=True), stride)
        return maps

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, None, Tensor, None]:
        rows, columns = ctx.saved_tensors
        outputs, joints, _, _, kernel = ctx.shape
        height, width = grad.shape[3:]
        upstream = grad.permute(0, 2, 3, 4, 1).reshape(-1, height, width * outputs)
        beside = _patches(_by_frame(columns), kernel, ctx.stride[2])[:, :, :, None].transpose(4, 5)
        below = _patches(_by_frame(rows), kernel, ctx.stride[1]).permute(0, 1, 2, 4, 3).flatten(1, 3)
        across = rows.new_zeros(joints, kernel, kernel, outputs)
        for i in range(0, len(below), FRAMES):
            products = torch.bmm(below[i : i + FRAMES], upstream[i : i + FRAMES])
            products = products.view(len(products), -1, joints, kernel, width, outputs)
            across += torch.matmul(beside[i : i + FRAMES], products).sum(dim=(0, 1))
        weight = across.permute(3, 0, 1, 2)[:, :, None]
        if ctx.low:
            total = grad.sum(dim=(0, 2), keepdim=True)  # [1, O, 1, H', W']
            constant = weight_gradient(
                _ones(rows), total, torch.Size([outputs, 1, *ctx.shape[2:]]), ctx.stride
            )
            weight = weight + ctx.low * constant
        return None, None, None, weight, None


def _ones(rows: Tensor) -> Tensor:
    size = rows.shape[3]
    return rows.new_ones(1, 1, 1, size, size)


def convolve_profiles(heatmaps: Profiles, weight: Tensor, stride: Sequence[int]) -> Tensor:
    """Convolution of heatmaps by weight [O, J, 1, k, k], padded by k // 2: [B, O, T, S / stride, S / stride]."""
    return _ProfileConvolution.apply(heatmaps.rows, heatmaps.columns, heatmaps.low, weight, tuple(stride))
