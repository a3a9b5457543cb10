"""Heads over time: from the features of every step of a sentence to the logits of every gloss.

Specification of the Two-Stream network, section 6. Steps beyond the end of a shorter sentence are padding; the mask
is False there.
"""

import math

import torch
from torch import Tensor, nn


class MaskedBatchNorm(nn.Module):
    """BatchNorm over the valid steps of a batch; in training, the others pass as they are. [B, T, C] -> [B, T, C]."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`mask`: bool [B, T]."""
        if not self.training:
            return self.norm(x.flatten(0, 1)).view_as(x)
        return x.masked_scatter(mask[..., None], self.norm(x[mask]))


class FeedForward(nn.Module):
    """Two convolutions over time on the normalised input, added to it. [B, T, C] -> [B, T, C]."""

    def __init__(self, size: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(size, eps=1e-6)
        self.layers = nn.Sequential(
            nn.Conv1d(size, 4 * size, 3, padding=1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(4 * size, size, 3, padding=1),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(self.norm(x).transpose(1, 2)).transpose(1, 2)


class SequenceHead(nn.Module):
    """A head on the features of `streams`.

    Args:
        streams: whose features it reads, in the order of concatenation.
        in_size: length of these features together.
        num_glosses: V, the blank among them.
        size: channels inside.
        dropout: share of values.
    """

    def __init__(self, streams: list[str], in_size: int, num_glosses: int, size: int, dropout: float):
        super().__init__()
        self.streams = streams
        self.reduce = nn.Linear(in_size, size)
        self.masked_bn = MaskedBatchNorm(size)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = FeedForward(size, dropout)
        self.norm = nn.LayerNorm(size, eps=1e-6)
        self.classifier = nn.Linear(size, num_glosses)

    def representation(self, features: Tensor, mask: Tensor) -> Tensor:
        """The gloss representation [B, T, size] of features [B, T, in_size]; `mask`: bool [B, T]."""
        x = self.masked_bn(self.reduce(features), mask).relu()
        x = self.dropout(x + positions(x.shape[1], x.shape[2], x))
        return self.norm(self.feed_forward(x))

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Logits [B, T, V]."""
        return self.classifier(self.representation(features, mask))


def positions(steps: int, size: int, like: Tensor) -> Tensor:
    """Sinusoidal positions [steps, size] in the type of `like`: sines on even channels, cosines on odd ones."""
    rates = torch.exp(
        torch.arange(0, size, 2, dtype=like.dtype, device=like.device) * -(math.log(10000.0) / size)
    )
    angles = torch.arange(steps, dtype=like.dtype, device=like.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
