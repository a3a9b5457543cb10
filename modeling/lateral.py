"""Lateral connections: encoders of different streams add convolved copies of their maps to one another.

Specification section 4. A connection leads from one stream to another after one block; a stream twice as large
(in space or in time) is reached by a transposed convolution, one half as large by a strided one.
"""

from torch import Tensor, nn

from modeling.fast.convolution import Conv3d, ConvTranspose3d
from modeling.fast.recomputation import combine, worth_convolving

SPATIAL = (1, 3, 3)  # between RGB and heatmaps, which are half as high and wide
TEMPORAL = (3, 1, 1)  # between the two clip lengths


def _connection(channels: int, kernel: tuple[int, int, int], *, enlarge: bool) -> nn.Module:
    time, height, width = kernel
    stride = (2 if time > 1 else 1, 2 if height > 1 else 1, 2 if width > 1 else 1)
    build = ConvTranspose3d if enlarge else Conv3d
    connection = build(channels, channels, kernel, stride)
    nn.init.kaiming_normal_(connection.weight)
    return connection


class LateralExchange(nn.Module):
    """Both directions between a larger and a smaller stream, after each block of `block_channels`.

    Args:
        large, small: stream names; the maps of `large` are twice those of `small` along the kernel's long axes.
        block_channels: channels of the maps that are exchanged, one number a block.
        kernel: `SPATIAL` or `TEMPORAL`.
    """

    def __init__(self, large: str, small: str, block_channels: list[int], kernel: tuple[int, int, int]):
        super().__init__()
        self.large, self.small = large, small
        self.to_large = nn.ModuleList(_connection(c, kernel, enlarge=True) for c in block_channels)
        self.to_small = nn.ModuleList(_connection(c, kernel, enlarge=False) for c in block_channels)

    def forward(self, maps: dict[str, Tensor], block: int) -> dict[str, Tensor]:
        """The two streams' maps after the exchange that follows `block`; both read the maps as they came."""
        large, small = maps[self.large], maps[self.small]
        return {
            self.large: _added(large, self.to_large[block], small),
            self.small: _added(small, self.to_small[block], large),
        }


def _added(x: Tensor, connection: nn.Module, other: Tensor) -> Tensor:
    return combine(lambda x, other: connection(other).add_(x), x, other, worth=worth_convolving)
