"""Sign pyramid: what later blocks know is added to the maps of earlier ones, which see finer in time.

Specification of the Two-Stream network, section 5.
"""

from torch import Tensor, nn


class Upsampling(nn.Module):
    """A map twice as high and wide, and `steps` times as long: [B, C, T, H, W] -> [B, C', steps T, 2 H, 2 W]."""

    def __init__(self, in_channels: int, out_channels: int, steps: int, momentum: float):
        super().__init__()
        self.spatial = nn.ConvTranspose3d(
            in_channels, out_channels, (1, 3, 3), (1, 2, 2), (0, 1, 1), (0, 1, 1), bias=False
        )
        self.spatial_bn = nn.BatchNorm3d(out_channels, eps=1e-3, momentum=momentum)
        self.temporal = nn.ConvTranspose3d(
            out_channels, out_channels, (3, 1, 1), (steps, 1, 1), (1, 0, 0), (steps - 1, 0, 0), bias=False
        )
        self.temporal_bn = nn.BatchNorm3d(out_channels, eps=1e-3, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spatial_bn(self.spatial(x)).relu()
        return self.temporal_bn(self.temporal(x)).relu()


class SignPyramid(nn.Module):
    """The pyramid of one stream.

    Args:
        block_channels: of the maps of blocks 2, 3 and 4.
        momentum: of BatchNorm's running statistics.
    """

    def __init__(self, block_channels: list[int], momentum: float):
        super().__init__()
        second, third, fourth = block_channels
        self.to_third = Upsampling(fourth, third, 2, momentum)
        self.to_second = Upsampling(third, second, 1, momentum)

    def forward(self, second: Tensor, third: Tensor, fourth: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of blocks 2 and 3, each with what comes from above, from those of blocks 2, 3 and 4."""
        third = third + self.to_third(fourth)
        return second + self.to_second(third), third
