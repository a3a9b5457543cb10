"""BatchNorm and ReLU in training, which keep one map of a layer instead of two, and max-pooling that keeps less.

Between two convolutions autograd keeps what goes into BatchNorm and what comes out of ReLU. The latter is cheap to
compute again from the former, so the next convolution does that in its backward pass. Same numbers; little more than
half the memory. A layer is a convolution, then `nn.BatchNorm3d`, then ReLU.
"""

from typing import Any

import torch
from torch import Tensor, nn

from modeling.convolution import Triple, convolve, input_gradient, weight_gradient

aten = torch.ops.aten


def _activate(x: Tensor, norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor, Tensor]:
    """relu(batch_norm(x)) with the statistics of the batch, which it adds to the running ones: mean, 1 / deviation."""
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    if x.numel() == x.shape[1]:
        raise ValueError(f"a single value for each channel has no deviation: {list(x.shape)}")
    norm.num_batches_tracked.add_(1)
    y, mean, inverse = aten.native_batch_norm(
        x, norm.weight, norm.bias, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
    )
    return y.relu_(), mean, inverse


def _activate_again(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, inverse: Tensor, eps: float
) -> Tensor:
    variance = inverse.reciprocal().square_().sub_(eps)
    return aten.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0].relu_()


def _activation_gradients(
    grad: Tensor, y: Tensor, x: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients in x, weight and bias of y = relu(batch_norm(x))."""
    through = aten.threshold_backward(grad, y, 0)
    return aten.native_batch_norm_backward(
        through, x, weight, None, None, mean, inverse, True, eps, [True, True, True]
    )


class _NormReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm3d) -> Tensor:
        y, mean, inverse = _activate(x, norm)
        ctx.eps = norm.eps
        ctx.save_for_backward(x, weight, bias, mean, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, inverse = ctx.saved_tensors
        y = _activate_again(x, weight, bias, mean, inverse, ctx.eps)
        return *_activation_gradients(grad, y, x, weight, mean, inverse, ctx.eps), None


class _NormReLUConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        kernel: Tensor,
        norm: nn.BatchNorm3d,
        stride: Triple,
    ) -> Tensor:
        y, mean, inverse = _activate(x, norm)
        ctx.eps, ctx.stride = norm.eps, stride
        ctx.save_for_backward(x, weight, bias, kernel, mean, inverse)
        return convolve(y, kernel, stride)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, kernel, mean, inverse = ctx.saved_tensors
        y = _activate_again(x, weight, bias, mean, inverse, ctx.eps)
        kernels = weight_gradient(y, grad, kernel.shape, ctx.stride)
        through = input_gradient(grad, kernel, y.shape, ctx.stride)
        return *_activation_gradients(through, y, x, weight, mean, inverse, ctx.eps), kernels, None, None


def norm_relu(x: Tensor, norm: nn.BatchNorm3d) -> Tensor:
    """relu(norm(x)) in training."""
    return _NormReLU.apply(x, norm.weight, norm.bias, norm)


def norm_relu_conv(x: Tensor, norm: nn.BatchNorm3d, conv: nn.Conv3d) -> Tensor:
    """conv(relu(norm(x))) in training."""
    return _NormReLUConv.apply(x, norm.weight, norm.bias, conv.weight.to(x.dtype), norm, conv.stride)


def _triple(value: int | Triple) -> Triple:
    return (value, value, value) if isinstance(value, int) else value


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Triple, stride: Triple, padding: Triple) -> Tensor:
        y, indices = aten.max_pool3d_with_indices(x, kernel, stride, padding)
        ctx.shape, ctx.window = x.shape, (kernel, stride, padding)
        ctx.save_for_backward(indices.int())
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (indices,) = ctx.saved_tensors
        x = grad.new_empty(1).expand(ctx.shape)  # only its shape is used
        inputs = aten.max_pool3d_with_indices_backward(grad, x, *ctx.window, (1, 1, 1), False, indices.long())
        return inputs, None, None, None


class MaxPool3d(nn.MaxPool3d):
    """Max-pooling that keeps neither its input nor 64-bit indices for the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return super().forward(x)
        return _MaxPool.apply(x, *map(_triple, (self.kernel_size, self.stride, self.padding)))
