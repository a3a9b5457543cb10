"""A recognizer made ready for prediction: the same function of its inputs with less work, and no way to train it.

BatchNorm goes into the convolution before it, ReLU works in place, and the three 1 x 1 x 1 convolutions that read the
same map in an Inception block are one. The first convolution sees one frame at a time, so it is computed once for each
frame, however many clips the frame is in. Up to rounding the numbers stay the same.
"""

import copy
from collections import Counter
from itertools import pairwise
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modeling.fast.factored_convolution import convolve_factored
from modeling.fast.products import on_onednn
from modeling.fast.training import FastConvBNReLU, FastMixed, FastSeparableConv, make_fast
from modeling.heatmaps import FactoredHeatmaps
from modeling.s3d import ConvBNReLU, Mixed, SeparableConv
from modeling.vknet import StreamNetwork
from modeling.windows import Windows

Network = TypeVar("Network", bound=nn.Module)  # one with a `vknet`


class FoldedConv(nn.Module):
    """Convolution with bias, then ReLU. Layers that read the same input become one, channels side by side."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layers: list[ConvBNReLU], dtype: torch.dtype):
        super().__init__()
        kernels, biases = [], []
        for layer in layers:
            norm = layer.bn
            assert norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            kernels.append(layer.conv.weight * scale[:, None, None, None, None])
            biases.append(norm.bias - norm.running_mean * scale)
        self.register_buffer("weight", torch.cat(kernels).to(dtype))
        self.register_buffer("bias", torch.cat(biases).to(dtype))
        self.stride = layers[0].conv.stride
        self.padding = cast(tuple[int, ...], layers[0].conv.padding)

    def forward(self, x: Tensor | FactoredHeatmaps) -> Tensor:
        x = x.to(self.weight.dtype)  # modules of others may have made it fp32
        if isinstance(x, FactoredHeatmaps):
            maps = convolve_factored(x, self.weight, self.stride)
            return maps.add_(self.bias[:, None, None, None]).relu_()
        if self.weight.shape[2:].numel() == 1:  # torch does not always see that this is a matrix product
            rows = F.linear(x.permute(0, 2, 3, 4, 1), self.weight.flatten(1), self.bias)
            return rows.relu_().permute(0, 4, 1, 2, 3)
        return self.convolve(x, self.padding)

    def convolve(self, x: Tensor, padding: tuple[int, ...]) -> Tensor:
        """With another padding than the layer's."""
        if on_onednn(x):  # ReLU is applied as values are written
            return torch.ops.mkldnn._convolution_pointwise(
                x, self.weight, self.bias, padding, self.stride, (1, 1, 1), 1, "relu", [], ""
            )
        return F.conv3d(x, self.weight, self.bias, self.stride, padding).relu_()


class FoldedStem(nn.Module):
    """The first block: `Windows` -> [B, C, T / 2, H / 2, W / 2]. What clips have in common is computed once."""

    def __init__(self, stem: SeparableConv, dtype: torch.dtype):
        super().__init__()
        self.spatial, self.temporal = FoldedConv([stem.spatial], dtype), FoldedConv([stem.temporal], dtype)

    def forward(self, windows: Windows) -> Tensor:
        frames, places = self.spatial(windows.frames), windows.places
        if len(places) == 1 and places.shape[1] == frames.shape[2]:  # the clip is these frames
            return self.temporal(frames)
        return self._of_windows(frames.permute(0, 2, 3, 4, 1)[0], places)

    def _of_windows(self, frames: Tensor, places: Tensor) -> Tensor:
        """The temporal convolution of frames [F, H, W, C] at places [B, T], once for each neighbourhood of frames."""
        kernel, stride = self.temporal.weight.shape[2], self.temporal.stride[0]
        padded = F.pad(places, (kernel // 2, kernel // 2), value=-1)
        seen = padded.unfold(1, kernel, stride)  # [B, T', kernel]
        different, whose = torch.unique(seen.flatten(0, 1), dim=0, return_inverse=True)
        if len(different) == len(whose):
            return self.temporal(frames[places].permute(0, 4, 1, 2, 3))
        position = torch.arange(len(whose), device=places.device)
        first = torch.zeros_like(position[: len(different)])
        first.scatter_reduce_(0, whose, position, "amin", include_self=False)
        order = first.argsort()  # neighbourhoods as they first appear, which is in runs of a clip
        clips, steps = first[order] // seen.shape[1], first[order] % seen.shape[1]
        breaks = ((clips.diff() != 0) | (steps.diff() != 1)).nonzero()[:, 0] + 1
        needed, kept, length = [], [], 0  # one clip of all runs, and which places of its result are theirs
        for begin, end in pairwise([0, *breaks.tolist(), len(order)]):
            start = int(steps[begin]) * stride
            run = padded[int(clips[begin]), start : start + (end - begin - 1) * stride + kernel]
            needed.append(F.pad(run, (0, -len(run) % stride), value=-1))
            kept.append(length // stride + position[: end - begin])
            length += len(needed[-1])
        joined = torch.cat(needed)
        maps = frames[joined.clamp(min=0)]
        maps[joined < 0] = 0
        maps = maps[None].permute(0, 4, 1, 2, 3)
        maps = self.temporal.convolve(maps, (0, 0, 0))
        where = torch.cat(kept)[order.argsort()[whose]].view(len(places), -1)
        return maps.permute(0, 2, 3, 4, 1)[0][where].permute(0, 4, 1, 2, 3)


class FromClips(nn.Module):
    """A first block that reads clips: `Windows` -> its map of every clip."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.block = block

    def forward(self, windows: Windows) -> Tensor:
        return self.block(windows.clips())


class FoldedMixed(nn.Module):
    """Inception block."""

    def __init__(self, block: Mixed, dtype: torch.dtype):
        super().__init__()
        first = [cast(ConvBNReLU, cast(nn.Sequential, branch)[0]) for branch in block.branches[:3]]
        self.points = FoldedConv(first, dtype)
        self.widths = [layer.conv.out_channels for layer in first]
        separable = [cast(SeparableConv, cast(nn.Sequential, branch)[1]) for branch in block.branches[1:3]]
        self.separable = nn.ModuleList(_separable(layer, dtype) for layer in separable)
        self.pooled = FoldedConv([cast(ConvBNReLU, cast(nn.Sequential, block.branches[3])[1])], dtype)

    def forward(self, x: Tensor) -> Tensor:
        whole, *reduced = self.points(x).split(self.widths, dim=1)
        parts = [layer(part) for layer, part in zip(self.separable, reduced, strict=True)]
        return torch.cat([whole, *parts, self.pooled(max_pool_3x3x3(x))], dim=1)


def max_pool_3x3x3(x: Tensor) -> Tensor:
    """Max-pooling with stride 1, padded by 1. On the CPU axis by axis: 6 comparisons a value instead of 26."""
    if x.device.type != "cpu":
        return F.max_pool3d(x, 3, 1, 1)
    for axis in (4, 3, 2):
        if (size := x.shape[axis]) > 1:
            pairs = torch.maximum(x.narrow(axis, 0, size - 1), x.narrow(axis, 1, size - 1))
            x = torch.empty_like(x)
            x.select(axis, 0).copy_(pairs.select(axis, 0))
            x.select(axis, size - 1).copy_(pairs.select(axis, size - 2))
            inner = pairs.narrow(axis, 0, size - 2), pairs.narrow(axis, 1, size - 2)
            torch.maximum(*inner, out=x.narrow(axis, 1, size - 2))
    return x


def _separable(layer: SeparableConv, dtype: torch.dtype) -> nn.Module:
    return nn.Sequential(*(FoldedConv([part], dtype) for part in (layer.spatial, layer.temporal)))


def _fold_layers(module: nn.Module, dtype: torch.dtype, counts: Counter[str]) -> None:
    """Replace the layers within a module; those of modules that are not known may be used in other ways there."""
    for name, child in module.named_children():
        if type(child) is FastConvBNReLU:
            new: nn.Module = FoldedConv([child], dtype)
        elif type(child) is FastSeparableConv:
            new = _separable(child, dtype)
        elif type(child) is FastMixed:
            new = FoldedMixed(child, dtype)
        else:
            if type(child) in (nn.Sequential, nn.ModuleList):
                _fold_layers(child, dtype, counts)
            continue
        counts[type(child).__name__.removeprefix("Fast")] += 1
        setattr(module, name, new)


def encoders(network: nn.Module) -> nn.ModuleDict:
    """Of a network with a `vknet`, by stream."""
    return cast(StreamNetwork, network.vknet).encoders


@torch.no_grad()
def folded(recognizer: Network, dtype: torch.dtype) -> tuple[Network, dict[str, int]]:
    """A copy for prediction, which computes its encoders in `dtype` and reads {stream: `Windows`}.

    Also says how many of each class of modules were replaced. The others share their weights with the original.
    """
    shared = {id(tensor): tensor for tensor in [*recognizer.parameters(), *recognizer.buffers()]}
    network = copy.deepcopy(recognizer, shared).eval()  # copies the modules, not the tensors
    make_fast(network)
    counts: Counter[str] = Counter()
    for encoder in encoders(network).values():
        blocks = cast(nn.ModuleList, encoder.blocks)
        first = blocks[0]
        if type(first) is nn.Sequential and type(first[0]) is FastSeparableConv:
            first[0] = FoldedStem(first[0], dtype)
            counts["first block of shared frames"] += 1
        else:
            blocks[0] = FromClips(first)
            counts["first block of clips"] += 1
        _fold_layers(blocks, dtype, counts)
    return network, dict(counts)
