"""Layers for a GPU, which compute what the plain ones do through two-dimensional operations on the same memory.

In channels_last_3d a map [B, C, T, H, W] lies in memory as a picture [B T, C, H, W] in channels_last, or as one of T
rows and H W columns. A 1 x k x k convolution is one of the first, a k x 1 x 1 convolution one of the second, and for
both cuDNN has kernels that use the card's matrix units, where for three dimensions it often has none. Weights, buffers
and their names stay.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ALIGNED = 8  # channels that matrix units take at a time


def frames_of(x: Tensor) -> Tensor:
    """[B, C, T, H, W] -> [B T, C, H, W]."""
    return x.transpose(1, 2).flatten(0, 1)


def clips_of(frames: Tensor, batch: int) -> Tensor:
    """[B T, C, H, W] -> [B, C, T, H, W]."""
    return frames.unflatten(0, (batch, -1)).transpose(1, 2)


class PlanarConv3d(nn.Conv3d):
    """Of kernels 1 x k x k, k x 1 x 1, and k x l x l with stride 1 in time."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x.dtype)
        if spare := -x.shape[1] % ALIGNED:
            x, weight = (F.pad(tensor, (0,) * 7 + (spare,)) for tensor in (x, weight))
        steps, high, wide = self.kernel_size
        stride, padding = self.stride, cast(tuple[int, ...], self.padding)
        if (high, wide) == (1, 1):
            rows = F.conv2d(x.flatten(3), weight[..., 0], None, (stride[0], 1), (padding[0], 0))
            return rows.unflatten(3, x.shape[3:])
        if steps > 1:
            x = neighbours(x, steps, padding[0])
        frames = F.conv2d(frames_of(x), weight.transpose(1, 2).flatten(1, 2), None, stride[1:], padding[1:])
        return clips_of(frames, len(x))


class PlanarConvTranspose3d(nn.ConvTranspose3d):
    """The same of transposed convolutions."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        weight = self.weight.to(x.dtype)
        steps, high, wide = self.kernel_size
        stride, padding, extra = (
            cast(tuple[int, ...], values) for values in (self.stride, self.padding, self.output_padding)
        )
        if (high, wide) == (1, 1):
            rows = F.conv_transpose2d(
                x.flatten(3), weight[..., 0], None, (stride[0], 1), (padding[0], 0), (extra[0], 0)
            )
            return rows.unflatten(3, x.shape[3:])
        if steps > 1:  # with stride 1 a transposed convolution in time is one with the kernel turned round
            x, weight = neighbours(x, steps, steps - 1 - padding[0]), weight.flip(2)
        weight = weight.permute(2, 0, 1, 3, 4).flatten(0, 1)
        frames = F.conv_transpose2d(frames_of(x), weight, None, stride[1:], padding[1:], extra[1:])
        return clips_of(frames, len(x))


def neighbours(x: Tensor, steps: int, padding: int) -> Tensor:
    """[B, C, T, H, W] -> [B, steps C, T', H, W]: beside each frame those that follow it, black beyond the ends."""
    x = F.pad(x, (0, 0, 0, 0, padding, padding))
    count = x.shape[2] - steps + 1
    return torch.cat([x[:, :, step : step + count] for step in range(steps)], dim=1)


class PlanarMaxPool3d(nn.MaxPool3d):
    """In time, then in space."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride, padding = (
            _triple(values) for values in (self.kernel_size, self.stride, self.padding)
        )
        if kernel[0] > 1:
            rows = F.max_pool2d(x.flatten(3), (kernel[0], 1), (stride[0], 1), (padding[0], 0))
            x = rows.unflatten(3, x.shape[3:])
        return clips_of(F.max_pool2d(frames_of(x), kernel[1:], stride[1:], padding[1:]), len(x))


def _triple(values: int | tuple[int, ...]) -> tuple[int, ...]:
    return (values,) * 3 if isinstance(values, int) else values


class PlanarBatchNorm3d(nn.BatchNorm3d):
    """Over a matrix of one row for each place."""

    def forward(self, x: Tensor) -> Tensor:
        places = x.permute(0, 2, 3, 4, 1)
        normal = F.batch_norm(
            places.flatten(0, 3),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            cast(float, self.momentum),
            self.eps,
        )
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return normal.view(places.shape).permute(0, 4, 1, 2, 3)


PLANAR: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv3d: PlanarConv3d,
    nn.ConvTranspose3d: PlanarConvTranspose3d,
    nn.MaxPool3d: PlanarMaxPool3d,
    nn.BatchNorm3d: PlanarBatchNorm3d,
}


def make_planar(network: nn.Module) -> dict[str, int]:
    """Give the modules of a network their planar classes, in place; how many of each plain class there were."""
    known = [module for module in network.modules() if type(module) in PLANAR and _fits(module)]
    counts = {plain.__name__: sum(type(module) is plain for module in known) for plain in PLANAR}
    for module in known:
        module.__class__ = PLANAR[type(module)]
    return {name: count for name, count in counts.items() if count}


def _fits(module: nn.Module) -> bool:
    """Whether the classes here can do what a module does by itself."""
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        in_time, in_space = module.kernel_size[0] > 1, module.kernel_size[1:] != (1, 1)
        plain = module.bias is None and module.groups == 1 and module.dilation == (1, 1, 1)
        alone = in_space or module.stride[1:] == (1, 1)
        together = not (in_time and in_space) or module.stride[0] == 1
        return (
            plain
            and alone
            and together
            and module.padding_mode == "zeros"
            and not isinstance(module.padding, str)
        )
    if isinstance(module, nn.MaxPool3d):
        return module.dilation in (1, (1, 1, 1)) and not (module.ceil_mode or module.return_indices)
    assert isinstance(module, nn.BatchNorm3d)
    return module.affine and module.track_running_stats and module.momentum is not None
