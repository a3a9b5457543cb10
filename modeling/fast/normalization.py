"""BatchNorm and ReLU in training, which keep one map of a layer instead of two, and max-pooling that keeps less.

Between two convolutions autograd keeps what goes into BatchNorm and what comes out of ReLU. The latter is cheap to
compute again from the former, so for large maps the backward pass does that. Same numbers; little more than half the
memory. A layer is a convolution, then `nn.BatchNorm3d`, then ReLU.
"""

from typing import Any

import torch
from torch import Tensor, nn

from modeling.fast.convolution import convolve, input_gradient, weight_gradient
from modeling.fast.products import Triple, of_shape
from modeling.fast.recomputation import Recipe, keep, kept, recipe_of, with_recipe, worth_activating

aten = torch.ops.aten


def _activate(x: Tensor, norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor, Tensor]:
    """relu(batch_norm(x)) with the statistics of the batch, which it adds to the running ones: mean, 1 / deviation."""
    assert norm.num_batches_tracked is not None and norm.momentum is not None
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


def _norm_gradients(
    grad: Tensor, y: Tensor, x: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients in x, weight and bias of y = relu(batch_norm(x)); that in x in the memory of y, but for bf16."""
    in_place = grad.dtype is not torch.bfloat16
    grad = aten.threshold_backward(grad, y, 0, grad_input=y)
    inputs, weights, biases = aten.native_batch_norm_backward(
        grad, x, weight, None, None, mean, inverse, True, eps, [not in_place, True, True]
    )
    if in_place:  # weight * inverse * (grad - mean of grad - normalised x * mean of grad * normalised x)
        count = x.numel() // x.shape[1]
        slope = weight * inverse
        by_x = -slope * inverse * weights / count
        constant = -slope * biases / count - by_x * mean
        inputs = grad
        values, xs = (tensor.movedim(1, -1) for tensor in (grad, x))
        torch.addcmul(constant, values, slope, out=values).addcmul_(xs, by_x)
    return inputs, weights, biases


class _NormReLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm3d
    ) -> tuple[Tensor, Tensor, Tensor]:
        y, mean, inverse = _activate(x, norm)
        ctx.eps = norm.eps
        ctx.save_for_backward(x, weight, bias, mean, inverse)
        ctx.mark_non_differentiable(mean, inverse)
        return y, mean, inverse

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, inverse = ctx.saved_tensors
        again = _activate_again(x, weight, bias, mean, inverse, ctx.eps)
        return *_norm_gradients(grad, again, x, weight, mean, inverse, ctx.eps), None


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
        recipe: Recipe | None,
    ) -> Tensor:
        y, mean, inverse = _activate(x, norm)
        ctx.eps, ctx.stride = norm.eps, stride
        keep(ctx, x, recipe, weight, bias, kernel, mean, inverse)
        return convolve(y, kernel, stride)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, kernel, mean, inverse = kept(ctx)
        again = _activate_again(x, weight, bias, mean, inverse, ctx.eps)
        kernels = weight_gradient(again, grad, kernel.shape, ctx.stride)
        through = input_gradient(grad, kernel, again.shape, ctx.stride)
        return (
            *_norm_gradients(through, again, x, weight, mean, inverse, ctx.eps),
            kernels,
            None,
            None,
            None,
        )


def norm_relu(x: Tensor, norm: nn.BatchNorm3d) -> Tensor:
    """relu(norm(x)) in training."""
    if not worth_activating(x):
        return torch.relu_(norm(x))
    y, mean, inverse = _NormReLU.apply(x, norm.weight, norm.bias, norm)
    parts = (x.detach(), norm.weight.detach(), norm.bias.detach(), mean, inverse, norm.eps)
    return with_recipe(y, lambda: _activate_again(*parts))


def norm_relu_conv(x: Tensor, norm: nn.BatchNorm3d, conv: nn.Conv3d) -> Tensor:
    """conv(relu(norm(x))) in training."""
    if not worth_activating(x):
        return conv(torch.relu_(norm(x)))
    kernel = conv.weight.to(x.dtype)
    return _NormReLUConv.apply(x, norm.weight, norm.bias, kernel, norm, conv.stride, recipe_of(x))


def _triple(value: int | Triple) -> Triple:
    return (value, value, value) if isinstance(value, int) else value


class _MaxPool(torch.autograd.Function):
    """A pooling that does not make a map smaller finds the maxima again, in a map that other layers keep too."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Triple, stride: Triple, padding: Triple, recipe: Recipe | None
    ) -> Tensor:
        ctx.window, ctx.shape = (kernel, stride, padding), x.shape
        y, indices = aten.max_pool3d_with_indices(x, *ctx.window)
        ctx.again = y.shape == x.shape
        if ctx.again:
            keep(ctx, x, recipe)
        else:
            keep(ctx, indices.int(), None)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (saved,) = kept(ctx)
        indices = aten.max_pool3d_with_indices(saved, *ctx.window)[1] if ctx.again else saved.long()
        x = of_shape(ctx.shape, grad)
        inputs = aten.max_pool3d_with_indices_backward(grad, x, *ctx.window, (1, 1, 1), False, indices)
        return inputs, None, None, None, None


class FastMaxPool3d(nn.MaxPool3d):
    """Max-pooling that keeps neither 64-bit indices nor a large map that nothing else keeps for the backward pass.

    Its result is of the type of its input, which autocast makes fp32 on the CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride, padding = map(_triple, (self.kernel_size, self.stride, self.padding))
        if not torch.is_grad_enabled() or not worth_activating(x):
            return aten.max_pool3d_with_indices(x, kernel, stride, padding)[0]
        return _MaxPool.apply(x, kernel, stride, padding, recipe_of(x))
