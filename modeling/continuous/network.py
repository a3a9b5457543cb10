"""The Two-Stream network: encoders of RGB and heatmaps that exchange maps, their sign pyramids, and heads over time.

Specification of the Two-Stream network, sections 5 and 6. A single stream is the same network without exchange and
pyramid.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from modeling.continuous.config import BLOCKS, ContinuousModelConfig
from modeling.continuous.heads import SequenceHead
from modeling.continuous.pyramid import SignPyramid
from modeling.encoders import EncoderBuilder, encoder_builder
from modeling.lateral import SPATIOTEMPORAL, LateralExchange
from modeling.vknet import StreamNetwork

JOINT = "joint"  # the head that reads both streams
REPORTED = "ensemble_last"  # the prediction of two streams
PYRAMID_BLOCKS = (2, 3)  # whose maps the pyramids refine


def pyramid_name(stream: str, block: int) -> str:
    """The feature, and the head on it, of a pyramid's map: `rgb_block2`."""
    return f"{stream}_block{block}"


class TwoStreamNetwork(StreamNetwork):
    """From prepared inputs to features of every step.

    Args:
        in_channels: input channels of each modality, e.g. {"rgb": 3, "keypoint": 79}.
        lateral_blocks: first and last block after which two streams exchange maps.
        width, momentum: of the encoders, see `S3D`.
        encoder: builds the encoder of each stream; its blocks beyond the fourth are left out.

    Attributes:
        block_channels: channels of the four blocks' maps; 64, 192, 480, 832 at width 1.
    """

    def __init__(
        self,
        in_channels: dict[str, int],
        lateral_blocks: tuple[int, int],
        width: float,
        momentum: float,
        encoder: EncoderBuilder,
    ):
        encoders = {stream: encoder(channels, width, momentum) for stream, channels in in_channels.items()}
        for built in encoders.values():
            built.blocks = cast(nn.ModuleList, built.blocks)[:BLOCKS]
        channels = cast(list[int], next(iter(encoders.values())).block_channels)[:BLOCKS]
        first, last = lateral_blocks
        laterals = {}
        if len(encoders) == 2:
            exchanged = channels[first - 1 : last]
            laterals["modalities"] = LateralExchange("rgb", "keypoint", exchanged, SPATIOTEMPORAL, first - 1)
        super().__init__(encoders, laterals)
        self.block_channels = channels
        self.pyramids = nn.ModuleDict(
            {stream: SignPyramid(channels[1:], momentum) for stream in encoders if len(encoders) == 2}
        )

    def forward(self, inputs: dict[str, Any], pyramid: bool = True) -> dict[str, Tensor]:
        """Features [B, steps, C], in fp32 or better, by name: those of block 4 under the stream's, those of its pyramid
        under `pyramid_name`.

        Args:
            inputs: {stream: [B, channels, T, H, W] in [-1, 1]}, T a multiple of 4; block 4 has T / 4 steps.
            pyramid: also those of the pyramids.
        """
        maps = [after for _, after in self.stages(inputs)]
        features = {stream: mean_over_space(x) for stream, x in maps[-1].items()}
        if pyramid:
            for stream, of_stream in self.pyramids.items():
                refined = of_stream(*(of_block[stream] for of_block in maps[1:]))
                for block, x in zip(PYRAMID_BLOCKS, refined, strict=True):
                    features[pyramid_name(stream, block)] = mean_over_space(x)
        return features


def mean_over_space(x: Tensor) -> Tensor:
    """[B, C, T, H, W] -> [B, T, C], in fp32 or better."""
    return x.mean(dim=(3, 4), dtype=torch.promote_types(x.dtype, torch.float32)).transpose(1, 2)


@dataclass
class ContinuousOutput:
    """What the network computes for a batch of B sentences and V glosses, the blank among them.

    logits: {head: [B, T', V]}; heads of pyramids have more steps than the others. steps: {head: int64 [B]}, how many of
    them belong to each sentence.
    """

    logits: dict[str, Tensor]
    steps: dict[str, Tensor]


class ContinuousRecognizer(nn.Module):
    """The network with its heads: `rgb`, `keypoint`; with two streams also `joint`, and the pyramids'.

    Args:
        config: streams and sizes.
        keypoints: number of keypoints, the input channels of the keypoint stream.
        num_glosses: V, the blank, class 0, among them.

    Raises:
        UserError: there is no encoder of the configured name.
    """

    def __init__(self, config: ContinuousModelConfig, keypoints: int, num_glosses: int):
        super().__init__()
        self.config = config
        channels = {"rgb": 3, "keypoint": keypoints}
        in_channels: dict[str, int] = {name: channels[name] for name in config.streams}
        self.vknet = TwoStreamNetwork(
            in_channels,
            config.lateral_blocks,
            config.width,
            config.batch_norm_momentum,
            encoder_builder(config.encoder),
        )
        self.vknet.start_laterals(config)
        sizes = self.vknet.block_channels

        def head(streams: list[str], in_size: int) -> SequenceHead:
            return SequenceHead(streams, in_size, num_glosses, config.head_size, config.dropout)

        heads = {stream: head([stream], sizes[-1]) for stream in in_channels}
        if len(in_channels) == 2 and config.joint_head:
            heads[JOINT] = head(["keypoint", "rgb"], 2 * sizes[-1])
        for stream in self.vknet.pyramids:
            for block in PYRAMID_BLOCKS:
                name = pyramid_name(stream, block)
                heads[name] = head([name], sizes[block - 1])
        self.heads = nn.ModuleDict(heads)
        for parameter in self._frozen().parameters():
            parameter.requires_grad_(False)

    def _frozen(self) -> nn.ModuleList:
        blocks = nn.ModuleList()
        if self.config.frozen_blocks:
            blocks += cast(nn.ModuleList, self.vknet.encoders["rgb"].blocks)[: self.config.frozen_blocks]
        return blocks

    def train(self, mode: bool = True) -> "ContinuousRecognizer":
        """Frozen blocks may stay in evaluation mode."""
        super().train(mode)
        if self.config.freezes_statistics:
            self._frozen().eval()
        return self

    def features(self, inputs: dict[str, Any], pyramid: bool = True) -> dict[str, Tensor]:
        """What the heads read, see `TwoStreamNetwork`; encoders compute in the type of their inputs."""
        first = next(iter(inputs.values()))
        bf16 = first.dtype is torch.bfloat16
        with torch.autocast(first.device.type, torch.bfloat16) if bf16 else nullcontext():
            return self.vknet(inputs, pyramid)

    def forward(self, inputs: dict[str, Any], lengths: Tensor, pyramid: bool = True) -> ContinuousOutput:
        """The logits of a batch. Encoders compute in the type of their inputs, heads in that of their weights.

        Args:
            inputs: {stream: [B, channels, T, H, W] in [-1, 1]}, T a multiple of 4.
            lengths: int64 [B], the frames of each sentence; those behind are padding.
            pyramid: also the pyramids' heads.
        """
        features = self.features(inputs, pyramid)
        frames = 4 * next(iter(features.values())).shape[1]
        output = ContinuousOutput({}, {})
        for name, head in self.heads.items():
            if not pyramid and name not in self.vknet.encoders and name != JOINT:
                continue
            read = torch.cat([features[stream] for stream in cast(SequenceHead, head).streams], dim=2)
            steps = valid_steps(lengths, read.shape[1], frames)
            mask = torch.arange(read.shape[1], device=read.device) < steps[:, None]
            output.logits[name], output.steps[name] = head(read, mask), steps
        return output


def valid_steps(lengths: Tensor, steps: int, frames: int) -> Tensor:
    """How many of a map's `steps` belong to each sentence, int64 [B]: of `frames` frames, `lengths` are not padding."""
    return lengths * steps // frames


def with_ensembles(output: ContinuousOutput) -> ContinuousOutput:
    """Also the ensembles of two streams, as logits: the logarithm of a sum of softmaxes.

    `ensemble_last` of the heads on block 4, `ensemble_early` of the pyramid heads on block 3.
    """
    last = last_heads(output)
    if len(last) == 1:
        return output
    members = {REPORTED: last}
    early = [pyramid_name(stream, PYRAMID_BLOCKS[-1]) for stream in ("rgb", "keypoint")]
    if early[0] in output.logits:
        members["ensemble_early"] = early
    logits, steps = dict(output.logits), dict(output.steps)
    for name, heads in members.items():
        logits[name] = torch.stack([output.logits[head].softmax(dim=2) for head in heads]).sum(dim=0).log()
        steps[name] = output.steps[heads[0]]
    return ContinuousOutput(logits, steps)


def last_heads(output: ContinuousOutput) -> list[str]:
    """Those on block 4."""
    return [name for name in (JOINT, "rgb", "keypoint") if name in output.logits]


def reported_prediction(config: ContinuousModelConfig) -> str:
    """The head or ensemble whose word error rate is reported."""
    return REPORTED if len(config.modalities) == 2 else config.streams[0]
