"""The 3D convolutions of encoders, lateral connections and pyramids as layers, and their gradients.

Kernels are odd and without bias, padded by half of themselves, as `fits` says; tensors are in memory format
channels_last_3d. Same numbers as `nn.Conv3d` and `nn.ConvTranspose3d` up to rounding. How a convolution is computed:
`modeling.fast.toom_cook` for large kernels in space and time, else `modeling.fast.products`.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from modeling.fast import products, toom_cook
from modeling.fast.products import Triple, half, rows
from modeling.fast.recomputation import Recipe, keep, kept, recipe_of


def convolve(x: Tensor, weight: Tensor, stride: Triple) -> Tensor:
    """[B, C, T, H, W] by [O, C, *kernel], padded by half the kernel."""
    way = toom_cook if toom_cook.pays(x, weight.shape, stride) else products
    return way.convolve(x, weight, stride)


def input_gradient(grad: Tensor, weight: Tensor, shape: torch.Size, stride: Triple) -> Tensor:
    """The gradient of `convolve` in x of `shape`."""
    way = toom_cook if toom_cook.pays(grad, weight.shape, stride) else products
    return way.input_gradient(grad, weight, shape, stride)


def weight_gradient(x: Tensor, grad: Tensor, shape: torch.Size, stride: Triple) -> Tensor:
    """The gradient of `convolve` in the weight of `shape`, [O, C, *kernel]."""
    way = toom_cook if toom_cook.pays_for_gradient(x, shape, stride) else products
    return way.weight_gradient(x, grad, shape, stride)


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
            rows(inputs).addmm_(rows(grad), weight.flatten(1))
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
        weight = self.weight.to(x.dtype)
        if not torch.is_grad_enabled():
            return convolve(x, weight, cast(Triple, self.stride))
        return _Convolution.apply(x, weight, self.stride, recipe_of(x))


class FastConvTranspose3d(nn.ConvTranspose3d):
    """Transposed convolution that computes in the type of its input."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        assert output_size is None, "it enlarges each axis exactly `stride` times"
        x = in_encoder_type(x)
        weight = self.weight.to(x.dtype)
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
    padded = conv.padding_mode == "zeros" and list(conv.padding) == half(conv.kernel_size)
    extra = tuple(size - 1 for size in conv.stride) if conv.transposed else (0, 0, 0)
    odd = time % 2 == height % 2 == 1 and height == width
    strided = down == across and (time > 1 or step == 1) and (height > 1 or down == 1)
    return plain and padded and conv.output_padding == extra and odd and strided
