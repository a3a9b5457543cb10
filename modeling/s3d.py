"""S3D, the separable-Inception 3D encoder (Xie et al. 2018; specification section 3).

An encoder is five blocks. `forward` runs one after the other; whoever exchanges features between encoders, or
wants the maps in between, calls the blocks itself. Works for any clip length and any number of input channels.
"""

import torch
from torch import Tensor, nn

# Inception blocks: (a; b1, b2; c1, c2; d) of the four branches.
MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to a multiple of 8 and at least 8; unchanged at width 1."""
    return channels if width == 1.0 else max(8, 8 * round(channels * width / 8))


class ConvBNReLU(nn.Module):
    """Conv3d without bias, BatchNorm3d (eps 1e-3), ReLU. [B, C, T, H, W] -> [B, C', T', H', W']."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
        *,
        momentum: float,
    ):
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm3d(out_channels, eps=1e-3, momentum=momentum)
        nn.init.kaiming_normal_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


class SeparableConv(nn.Module):
    """A k x k x k convolution as 1 x k x k in space, then k x 1 x 1 in time."""

    def __init__(self, in_channels: int, out_channels: int, size: int, stride: int = 1, *, momentum: float):
        super().__init__()
        self.spatial = ConvBNReLU(
            in_channels, out_channels, (1, size, size), (1, stride, stride), momentum=momentum
        )
        self.temporal = ConvBNReLU(
            out_channels, out_channels, (size, 1, 1), (stride, 1, 1), momentum=momentum
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.temporal(self.spatial(x))


class Mixed(nn.Module):
    """Inception block: 1x1 | 1x1 -> separable 3 | 1x1 -> separable 3 | max-pool -> 1x1, concatenated."""

    def __init__(self, in_channels: int, channels: tuple[int, ...], *, momentum: float):
        super().__init__()
        a, b1, b2, c1, c2, d = channels

        def point(inputs: int, outputs: int) -> ConvBNReLU:
            return ConvBNReLU(inputs, outputs, (1, 1, 1), momentum=momentum)

        self.branches = nn.ModuleList(
            [
                nn.Sequential(point(in_channels, a)),
                nn.Sequential(point(in_channels, b1), SeparableConv(b1, b2, 3, momentum=momentum)),
                nn.Sequential(point(in_channels, c1), SeparableConv(c1, c2, 3, momentum=momentum)),
                nn.Sequential(nn.MaxPool3d(3, 1, 1), point(in_channels, d)),
            ]
        )
        self.out_channels = a + b2 + c2 + d

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class S3D(nn.Module):
    """The encoder.

    Args:
        in_channels: 3 for RGB, the number of keypoints for heatmaps.
        width: factor on every channel count; 1.0 is the published network.
        momentum: of the running statistics of BatchNorm; published 0.001.

    Attributes:
        blocks: the five blocks B1..B5. For 64 frames of 224 x 224 their maps are (T, H, W) = (32, 112, 112),
            (32, 56, 56), (32, 28, 28), (16, 14, 14), (8, 7, 7).
        block_channels: channels of the five maps; 64, 192, 480, 832, 1024 at width 1.
    """

    def __init__(self, in_channels: int, width: float = 1.0, momentum: float = 0.001):
        super().__init__()
        stem, reduced, second = scaled(64, width), scaled(64, width), scaled(192, width)
        channels = second

        def mixed(*names: str) -> list[Mixed]:
            nonlocal channels
            blocks = []
            for name in names:
                block = Mixed(channels, tuple(scaled(c, width) for c in MIXED[name]), momentum=momentum)
                channels = block.out_channels
                blocks.append(block)
            return blocks

        spatial_pool = ((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.blocks = nn.ModuleList()
        self.block_channels: list[int] = []
        layers: list[nn.Module] = [SeparableConv(in_channels, stem, 7, 2, momentum=momentum)]
        self._append(layers, stem)
        layers = [
            nn.MaxPool3d(*spatial_pool),
            ConvBNReLU(stem, reduced, (1, 1, 1), momentum=momentum),
            SeparableConv(reduced, second, 3, momentum=momentum),
        ]
        self._append(layers, second)
        layers = [nn.MaxPool3d(*spatial_pool), *mixed("3b", "3c")]
        self._append(layers, channels)
        layers = [nn.MaxPool3d(3, 2, 1), *mixed("4b", "4c", "4d", "4e", "4f")]
        self._append(layers, channels)
        layers = [nn.MaxPool3d(2, 2, 0), *mixed("5b", "5c")]
        self._append(layers, channels)

    def _append(self, layers: list[nn.Module], channels: int) -> None:
        self.blocks.append(nn.Sequential(*layers))
        self.block_channels.append(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, T, H, W] -> the map of the last block, [B, C, T/8, H/32, W/32]."""
        for block in self.blocks:
            x = block(x)
        return x
