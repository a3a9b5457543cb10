"""Layers for training, which compute what the plain ones do: as classes that modules of a built network are given.

Every class overrides `forward` alone; parameters, buffers and their names stay. Only modules of exactly these types are
given another class, and only where this folder can do what they do; all others stay as they are.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from modeling.fast.convolution import FastConv3d, FastConvTranspose3d, convolve_points, fits
from modeling.fast.factored_convolution import convolve_factored
from modeling.fast.normalization import FastMaxPool3d, norm_relu, norm_relu_conv
from modeling.fast.recomputation import combine, with_recipe, worth_convolving
from modeling.heatmaps import FactoredHeatmaps
from modeling.lateral import LateralExchange
from modeling.s3d import ConvBNReLU, Mixed, SeparableConv


class FastConvBNReLU(ConvBNReLU):
    """[B, C, T, H, W], or heatmaps in factors, -> [B, C', T', H', W']."""

    def forward(self, x: Tensor | FactoredHeatmaps) -> Tensor:
        return run_layers([self], x)


class FastSeparableConv(SeparableConv):
    """[B, C, T, H, W], or heatmaps in factors, -> [B, C', T', H', W']."""

    def forward(self, x: Tensor | FactoredHeatmaps) -> Tensor:
        return run_layers([self.spatial, self.temporal], x)


class FastMixed(Mixed):
    """The 1 x 1 x 1 convolutions of the block's input are computed together."""

    def forward(self, x: Tensor) -> Tensor:
        *branches, pooled = (_layers(cast(nn.Sequential, branch)) for branch in self.branches)
        convolved = convolve_points(x, [layers[0].conv for layers in branches])
        maps = [continue_layers(layers, z) for layers, z in zip(branches, convolved, strict=True)]
        maps.append(run_layers(pooled, self.branches[-1][0](x)))  # type: ignore[index]
        return combine(lambda *maps: torch.cat(maps, dim=1), *maps)


class FastLateralExchange(LateralExchange):
    """Large maps after an exchange are computed again in the backward pass."""

    def add(self, x: Tensor, convolution: nn.Module, other: Tensor) -> Tensor:
        return combine(lambda x, other: convolution(other).add_(x), x, other, worth=worth_convolving)


FAST: dict[type[nn.Module], type[nn.Module]] = {
    ConvBNReLU: FastConvBNReLU,
    SeparableConv: FastSeparableConv,
    Mixed: FastMixed,
    LateralExchange: FastLateralExchange,
    nn.Conv3d: FastConv3d,
    nn.ConvTranspose3d: FastConvTranspose3d,
    nn.MaxPool3d: FastMaxPool3d,
}


def make_fast(network: nn.Module) -> dict[str, int]:
    """Give the modules of a network their faster classes; how many of each plain class there were."""
    known = [part for part in network.modules() if type(part) in FAST and all(map(_is_known, part.modules()))]
    counts = {plain.__name__: sum(type(part) is plain for part in known) for plain in FAST}
    for part in known:
        part.__class__ = FAST[type(part)]
    return {name: count for name, count in counts.items() if count}


def _is_known(part: nn.Module) -> bool:
    """Whether the layers here can do what a module does by itself, whatever is in it."""
    kind = type(part)
    if isinstance(part, nn.Conv3d | nn.ConvTranspose3d):
        return kind in FAST and fits(part)
    if isinstance(part, nn.MaxPool3d):
        return (
            kind in FAST and part.dilation in (1, (1, 1, 1)) and not (part.ceil_mode or part.return_indices)
        )
    if isinstance(part, nn.BatchNorm3d | nn.SyncBatchNorm):
        return part.affine and part.track_running_stats and part.momentum is not None
    return kind in FAST or kind in (nn.Sequential, nn.ModuleList)


def run_layers(layers: Sequence[ConvBNReLU], x: Tensor | FactoredHeatmaps) -> Tensor:
    """Layers one after the other; in training with less memory, see `modeling.fast.normalization`."""
    convolve = partial(_convolve, layers[0].conv)
    if isinstance(x, Tensor) and (x.requires_grad or not torch.is_grad_enabled()):
        convolved = combine(convolve, x, worth=worth_convolving)
    else:  # an input of the network, which is kept anyway
        convolved = convolve(x)
        if worth_convolving(convolved):
            convolved = with_recipe(convolved, partial(convolve, x))
    return continue_layers(layers, convolved)


def continue_layers(layers: Sequence[ConvBNReLU], x: Tensor) -> Tensor:
    """The same from the result of the first convolution."""
    first, *others = layers
    norm = first.bn
    # Another type of BatchNorm has its statistics from several processes.
    if type(norm) is not nn.BatchNorm3d or not norm.training or not torch.is_grad_enabled():
        x = torch.relu_(norm(x))
        for layer in others:
            x = torch.relu_(layer.bn(layer.conv(x)))
        return x
    for before, layer in pairwise(layers):
        x = norm_relu_conv(x, before.bn, layer.conv)
    return norm_relu(x, layers[-1].bn)


def _convolve(conv: nn.Conv3d, x: Tensor | FactoredHeatmaps) -> Tensor:
    return convolve_factored(x, conv.weight, conv.stride) if isinstance(x, FactoredHeatmaps) else conv(x)


def _layers(branch: nn.Sequential) -> list[ConvBNReLU]:
    layers: list[ConvBNReLU] = []
    for module in branch:
        if isinstance(module, SeparableConv):
            layers += [module.spatial, module.temporal]
        elif isinstance(module, ConvBNReLU):
            layers.append(module)
    return layers
