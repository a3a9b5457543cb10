"""Lateral connections: encoders of different streams add convolved copies of their maps to one another.

Specification of NLA-SLR, section 4, and of the Two-Stream network, section 5. A connection leads from one stream to
another after one block; a stream twice as large (in space or in time) is reached by a transposed convolution, one half
as large by a strided one.
"""

from typing import NamedTuple

from torch import Tensor, nn


class Connection(NamedTuple):
    """Kernel and stride of a lateral connection, (T, H, W); the stride says how much larger one stream's maps are."""

    kernel: tuple[int, int, int]
    stride: tuple[int, int, int]


SPATIAL = Connection((1, 3, 3), (1, 2, 2))  # between RGB and heatmaps, which are half as high and wide
TEMPORAL = Connection((3, 1, 1), (2, 1, 1))  # between the two clip lengths
SPATIOTEMPORAL = Connection((7, 3, 3), (1, 2, 2))  # as SPATIAL, in the Two-Stream network


def _convolution(channels: int, connection: Connection, *, enlarge: bool) -> nn.Module:
    kernel, stride = connection
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    convolution: nn.Conv3d | nn.ConvTranspose3d
    if enlarge:  # each axis exactly `stride` times
        extra = (stride[0] - 1, stride[1] - 1, stride[2] - 1)
        convolution = nn.ConvTranspose3d(channels, channels, kernel, stride, padding, extra, bias=False)
    else:
        convolution = nn.Conv3d(channels, channels, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return convolution


class LateralExchange(nn.Module):
    """Both directions between a larger and a smaller stream, after each block of `block_channels`.

    Args:
        large, small: stream names; the maps of `large` are larger than those of `small` by the connection's stride.
        block_channels: channels of the maps that are exchanged, one number a block.
        connection: `SPATIAL`, `TEMPORAL` or `SPATIOTEMPORAL`.
        first_block: index of the first of these blocks.
    """

    def __init__(
        self, large: str, small: str, block_channels: list[int], connection: Connection, first_block: int = 0
    ):
        super().__init__()
        self.large, self.small = large, small
        self.blocks = range(first_block, first_block + len(block_channels))
        self.to_large = nn.ModuleList(_convolution(c, connection, enlarge=True) for c in block_channels)
        self.to_small = nn.ModuleList(_convolution(c, connection, enlarge=False) for c in block_channels)

    def forward(self, maps: dict[str, Tensor], block: int) -> dict[str, Tensor]:
        """The two streams' maps after the exchange that follows `block`; both read the maps as they came.

        Empty for a block that is not one of `blocks`.
        """
        if block not in self.blocks:
            return {}
        place = self.blocks.index(block)
        large, small = maps[self.large], maps[self.small]
        return {
            self.large: self.add(large, self.to_large[place], small),
            self.small: self.add(small, self.to_small[place], large),
        }

    def add(self, x: Tensor, convolution: nn.Module, other: Tensor) -> Tensor:
        """A stream's map and what reaches it of the other's."""
        return x + convolution(other)
