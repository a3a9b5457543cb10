"""Lateral connections: encoders of different streams add convolved copies of their maps to one another.

Specification section 4. A connection leads from one stream to another after one block; a stream twice as large
(in space or in time) is reached by a transposed convolution, one half as large by a strided one.
"""

from torch import Tensor, nn

SPATIAL = (1, 3, 3)  # between RGB and heatmaps, which are half as high and wide
TEMPORAL = (3, 1, 1)  # between the two clip lengths


def _connection(channels: int, kernel: tuple[int, int, int], *, enlarge: bool) -> nn.Module:
    time, height, width = (size > 1 for size in kernel)
    stride, padding = (1 + time, 1 + height, 1 + width), (int(time), int(height), int(width))
    connection: nn.Conv3d | nn.ConvTranspose3d
    if enlarge:  # each long axis exactly twice
        connection = nn.ConvTranspose3d(channels, channels, kernel, stride, padding, padding, bias=False)
    else:
        connection = nn.Conv3d(channels, channels, kernel, stride, padding, bias=False)
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
            self.large: large + self.to_large[block](small),
            self.small: small + self.to_small[block](large),
        }
