"""VKNet, the video-keypoint network: one to four S3D encoders that exchange features after blocks 1 to 4.

RGB and heatmap streams of one clip length exchange through spatial lateral connections; with two clip lengths
each modality then exchanges across them (specification section 4). A single stream is a VKNet without exchange.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

from torch import nn

from modeling.lateral import SPATIAL, TEMPORAL, LateralExchange
from modeling.s3d import NUM_BLOCKS, S3D, pool_clip

Maps = dict[str, Any]  # tensors; in prediction `modeling.fast.folding.Windows` where a stream begins


class VKNet(nn.Module):
    """The network from prepared inputs to one feature vector per stream.

    Args:
        in_channels: input channels of each modality, e.g. {"rgb": 3, "keypoint": 63}; "rgb" maps are the
            larger ones.
        frames: one or two clip lengths, the longer first.
        width, momentum: of the encoders, see `S3D`.

    Attributes:
        feature_size: length of one stream's feature vector, 1024 at width 1.
    """

    def __init__(
        self, in_channels: dict[str, int], frames: list[int], width: float = 1.0, momentum: float = 0.001
    ):
        super().__init__()
        encoders = {
            f"{modality}{length}": S3D(channels, width, momentum)
            for length in frames
            for modality, channels in in_channels.items()
        }
        self.encoders = nn.ModuleDict(encoders)
        block_channels = next(iter(encoders.values())).block_channels
        self.feature_size = block_channels[-1]
        exchanged = block_channels[:-1]
        across_modalities = {
            f"modalities{length}": LateralExchange(f"rgb{length}", f"keypoint{length}", exchanged, SPATIAL)
            for length in frames
            if len(in_channels) == 2
        }
        across_lengths = {
            f"lengths_{modality}": LateralExchange(
                f"{modality}{longer}", f"{modality}{shorter}", exchanged, TEMPORAL
            )
            for longer, shorter in pairwise(frames)
            for modality in in_channels
        }
        self.laterals = nn.ModuleDict({**across_modalities, **across_lengths})

    def stages(self, inputs: Maps) -> Iterator[tuple[Maps, Maps]]:
        """After each block, its maps before and after the exchanges: ({stream: map}, {stream: map}).

        `inputs`: {stream: [B, channels, T, H, W]}. The maps are those of `S3D`.
        """
        maps = inputs
        for block in range(NUM_BLOCKS):
            before = {
                name: cast(S3D, encoder).blocks[block](maps[name]) for name, encoder in self.encoders.items()
            }
            maps = dict(before)
            if block < NUM_BLOCKS - 1:
                for exchange in self.laterals.values():
                    maps.update(exchange(maps, block))
            yield before, maps

    def forward(self, inputs: Maps) -> Maps:
        """{stream: [B, channels, T, H, W]} -> {stream: feature [B, feature_size]}."""
        maps = inputs
        for _, maps in self.stages(inputs):
            pass
        return {name: pool_clip(feature_map) for name, feature_map in maps.items()}
