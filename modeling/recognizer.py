"""The model a user holds: prepared inputs of every stream -> features -> named logits -> predictions."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from modeling.config import ModelConfig
from modeling.encoders import encoder_builder
from modeling.heads import Head, head_streams, integrate
from modeling.vknet import VKNet


@dataclass
class Output:
    """What the recognizer computes for a batch of B clips and N glosses.

    logits: {head: [B, N]}.
    auxiliary: {head: (clip [B, N], gloss [N, N])}, the terms of `Head.auxiliary_terms`; empty unless asked for.
    """

    logits: dict[str, Tensor]
    auxiliary: dict[str, tuple[Tensor, Tensor]]


class Recognizer(nn.Module):
    """NLA-SLR, or any of its earlier stages, as `config` says.

    Args:
        config: streams and sizes.
        keypoints: number of keypoints, the input channels of the keypoint streams.
        num_glosses: N.
        gloss_embeddings: float [N, E]; kept with the weights, so that a checkpoint stands alone. Needed for the
            auxiliary classifiers and for language-aware smoothing.
        auxiliary: give every head a gloss-embedding mapper and an auxiliary classifier (training of the full
            method; prediction does without).

    Raises:
        ValueError: `auxiliary` without gloss embeddings.
        UserError: there is no encoder of the configured name.
    """

    gloss_embeddings: Tensor | None

    def __init__(
        self,
        config: ModelConfig,
        keypoints: int,
        num_glosses: int,
        gloss_embeddings: Tensor | None = None,
        auxiliary: bool = False,
    ):
        super().__init__()
        if auxiliary and gloss_embeddings is None:
            raise ValueError("the auxiliary classifiers need gloss embeddings")
        self.config = config
        channels = {"rgb": 3, "keypoint": keypoints}
        in_channels: dict[str, int] = {
            name: size for name, size in channels.items() if name in config.modalities
        }
        encoder = encoder_builder(config.encoder)
        self.vknet = VKNet(in_channels, config.frames, config.width, config.batch_norm_momentum, encoder)
        self.vknet.start_laterals(config)
        embedding_size = gloss_embeddings.shape[1] if auxiliary and gloss_embeddings is not None else None
        self.heads = nn.ModuleDict(
            {
                name: Head(streams, self.vknet.feature_size, num_glosses, embedding_size)
                for name, streams in head_streams(list(in_channels), config.frames).items()
            }
        )
        self.register_buffer("gloss_embeddings", gloss_embeddings)

    def forward(self, inputs: dict[str, Any], auxiliary: bool = False) -> Output:
        """The logits of a batch. Encoders compute in the type of their inputs, heads in that of their weights.

        Args:
            inputs: {stream: [B, channels, T, H, W] in [-1, 1]}.
            auxiliary: also give the auxiliary terms.
        """
        first = next(iter(inputs.values()))
        bf16 = first.dtype is torch.bfloat16
        with torch.autocast(first.device.type, torch.bfloat16) if bf16 else nullcontext():
            features = self.vknet(inputs)
        logits = {name: head(features) for name, head in self.heads.items()}
        terms = {}
        if auxiliary:
            assert self.gloss_embeddings is not None
            terms = {
                name: cast(Head, head).auxiliary_terms(features, self.gloss_embeddings)
                for name, head in self.heads.items()
            }
        return Output(logits, terms)

    def integrate(self, momentum: float) -> None:
        """Move every main classifier towards its auxiliary one; call after each optimiser step."""
        integrate((cast(Head, head) for head in self.heads.values()), momentum)


def predictions(logits: dict[str, Tensor]) -> dict[str, Tensor]:
    """Probabilities [B, N] of every head, then of the ensembles, from {head: logits [B, N]}.

    `ensemble_joint` (full model) averages the heads that read several streams, `ensemble_all` every head;
    `reported_prediction` names the one whose accuracy is reported.
    """
    probabilities = {name: torch.softmax(values, dim=1) for name, values in logits.items()}
    joint = [values for name, values in probabilities.items() if name.startswith("joint")]
    every = list(probabilities.values())
    if len(joint) > 1:
        probabilities["ensemble_joint"] = torch.stack(joint).mean(dim=0)
    if len(every) > 1:
        probabilities["ensemble_all"] = torch.stack(every).mean(dim=0)
    return probabilities


def reported_prediction(config: ModelConfig) -> str:
    """The entry of `predictions` behind the accuracy that is reported (specification section 5)."""
    if len(config.frames) == 2:
        return "ensemble_joint"
    return "ensemble_all" if len(config.modalities) == 2 else config.streams[0]
