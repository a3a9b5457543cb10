"""Heads: from the features of some streams to gloss logits, and the auxiliary classifier used in training.

Specification sections 5 and 8. The auxiliary classifier sees the clip's feature plus a mapped gloss embedding;
its logits separate into a part of the clip and a part of the gloss, and are only ever used as these two parts.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """A linear classifier on the concatenated features of `streams`.

    Args:
        streams: names of the streams it reads, in the order of concatenation.
        feature_size: length of one stream's feature.
        num_glosses: classes.
        embedding_size: length of a gloss embedding; None leaves out the mapper and the auxiliary classifier.
    """

    def __init__(self, streams: list[str], feature_size: int, num_glosses: int, embedding_size: int | None):
        super().__init__()
        self.streams = streams
        size = feature_size * len(streams)
        self.classifier = nn.Linear(size, num_glosses)
        self.mapper = nn.Linear(embedding_size, size) if embedding_size else None
        self.auxiliary = nn.Linear(size, num_glosses) if embedding_size else None

    def feature(self, features: dict[str, Tensor]) -> Tensor:
        """[B, D] from {stream: [B, feature_size]}."""
        return torch.cat([features[name] for name in self.streams], dim=1)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Logits [B, N]."""
        return self.classifier(self.feature(features))

    def auxiliary_terms(self, features: dict[str, Tensor], gloss_embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms of the auxiliary logits: logits[b, k, n] = clip[b, n] + gloss[k, n].

        With feature v, embedding e, mapper (M, m) and auxiliary classifier (A, a):
        A (v + M e + m) + a = A v + ((A M) e + A m + a). The weights are multiplied first: N x D x E instead of
        K x D x (E + N) multiplications (specification section 11).

        Args:
            features: {stream: [B, feature_size]}.
            gloss_embeddings: [K, E].

        Returns:
            clip [B, N] and gloss [K, N].
        """
        assert self.mapper is not None and self.auxiliary is not None
        weight = self.auxiliary.weight
        clip = self.feature(features) @ weight.T  # [B, N]
        gloss = gloss_embeddings @ (weight @ self.mapper.weight).T  # [K, N]
        return clip, gloss + (weight @ self.mapper.bias + self.auxiliary.bias)


@torch.no_grad()
def integrate(heads: Iterable[Head], momentum: float) -> None:
    """main <- momentum * main + (1 - momentum) * auxiliary, weight and bias of every head (specification section 8)."""
    main: list[Tensor] = []
    auxiliary: list[Tensor] = []
    for head in heads:
        assert head.auxiliary is not None
        main += head.classifier.parameters()
        auxiliary += head.auxiliary.parameters()
    torch._foreach_lerp_(main, auxiliary, 1.0 - momentum)


def head_streams(modalities: list[str], frames: list[int]) -> dict[str, list[str]]:
    """Every head of a model and the streams it reads.

    One stream: its own head. Two streams: each stream's, and `joint<T>`. Four: each stream's, `joint` over all,
    and `joint<T>` for each clip length.
    """
    streams = [f"{modality}{length}" for length in frames for modality in modalities]
    heads = {name: [name] for name in streams}
    pairs = {f"joint{length}": [f"{modality}{length}" for modality in modalities] for length in frames}
    if len(frames) == 2:
        # All four are concatenated modality by modality: rgb64, rgb32, keypoint64, keypoint32.
        heads["joint"] = [f"{modality}{length}" for modality in modalities for length in frames]
    if len(modalities) == 2:
        heads |= pairs
    return heads
