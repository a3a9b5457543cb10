"""VKNet, the video-keypoint network: one to four encoders that exchange features after every block but the last.

RGB and heatmap streams of one clip length exchange through spatial lateral connections; with two clip lengths
each modality then exchanges across them (specification section 4). A single stream is a VKNet without exchange.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from modeling.config import StreamsConfig
from modeling.encoders import EncoderBuilder
from modeling.lateral import SPATIAL, TEMPORAL, LateralExchange
from modeling.s3d import S3D

Maps = dict[str, Any]  # by stream: tensors; where a stream begins, whatever its encoder reads


class StreamNetwork(nn.Module):
    """Encoders that run side by side, block by block, and exchange maps.

    Args:
        encoders: of each stream, with as many blocks each.
        laterals: the exchanges by name, carried out in this order.
    """

    def __init__(self, encoders: dict[str, nn.Module], laterals: dict[str, LateralExchange]):
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.laterals = nn.ModuleDict(laterals)

    def start_laterals(self, config: StreamsConfig) -> None:
        """Scale the random start of the exchanges as configured, or take them away."""
        if not config.lateral_connections:
            self.laterals.clear()
        with torch.no_grad():
            for weight in self.laterals.parameters():
                weight.mul_(config.lateral_init_scale)

    def stages(self, inputs: Maps) -> Iterator[tuple[Maps, Maps]]:
        """After each block, its maps before and after the exchanges: ({stream: map}, {stream: map}).

        `inputs`: {stream: [B, channels, T, H, W]}.
        """
        maps = inputs
        blocks = [cast(nn.ModuleList, encoder.blocks) for encoder in self.encoders.values()]
        for block, parallel in enumerate(zip(*blocks, strict=True)):
            before = {
                name: of_stream(maps[name]) for name, of_stream in zip(self.encoders, parallel, strict=True)
            }
            maps = dict(before)
            for exchange in self.laterals.values():
                maps.update(exchange(maps, block))
            yield before, maps


class VKNet(StreamNetwork):
    """The network from prepared inputs to one feature vector per stream.

    Args:
        in_channels: input channels of each modality, e.g. {"rgb": 3, "keypoint": 63}; "rgb" maps are the
            larger ones.
        frames: one or two clip lengths, the longer first.
        width, momentum: of the encoders, see `S3D`.
        encoder: builds the encoder of each stream.

    Attributes:
        feature_size: length of one stream's feature vector, 1024 at width 1.
    """

    def __init__(
        self,
        in_channels: dict[str, int],
        frames: list[int],
        width: float = 1.0,
        momentum: float = 0.001,
        encoder: EncoderBuilder = S3D,
    ):
        encoders = {
            f"{modality}{length}": encoder(channels, width, momentum)
            for length in frames
            for modality, channels in in_channels.items()
        }
        *exchanged, feature_size = cast(list[int], next(iter(encoders.values())).block_channels)
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
        super().__init__(encoders, {**across_modalities, **across_lengths})
        self.feature_size = feature_size

    def forward(self, inputs: Maps) -> Maps:
        """{stream: [B, channels, T, H, W]} -> {stream: feature [B, feature_size]}."""
        maps = inputs
        for _, maps in self.stages(inputs):
            pass
        return {name: pool_clip(feature_map) for name, feature_map in maps.items()}


def pool_clip(features: Tensor) -> Tensor:
    """One vector per clip, in fp32 or better: [B, C, T, H, W] -> [B, C].

    Mean over space and over windows of two time steps, then over the windows, so that inner time steps weigh
    double (specification section 3). A single time step is taken as it is.
    """
    precise = torch.promote_types(features.dtype, torch.float32)
    steps = features.mean(dim=(3, 4), dtype=precise)  # [B, C, T]
    if steps.shape[2] == 1:
        return steps[:, :, 0]
    return (0.5 * (steps[:, :, :-1] + steps[:, :, 1:])).mean(dim=2)
