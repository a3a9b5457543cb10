"""Clips that share frames, such as the crops of a video: each frame once, and which frames each clip has."""

from typing import NamedTuple

import torch
from torch import Tensor

from modeling.heatmaps import FactoredHeatmaps


class Windows(NamedTuple):
    """The clips of one stream.

    frames: [1, C, F, H, W] or heatmaps in factors, each frame once. places: int64 [B, T], the frames of each clip.
    """

    frames: Tensor | FactoredHeatmaps
    places: Tensor

    @property
    def dtype(self) -> torch.dtype:
        return self.frames.dtype

    @property
    def device(self) -> torch.device:
        return self.frames.device

    def clips(self) -> Tensor:
        """Every clip by itself: [B, C, T, H, W], channels last in memory."""
        frames = self.frames.maps() if isinstance(self.frames, FactoredHeatmaps) else self.frames
        return frames[0].permute(1, 2, 3, 0)[self.places].permute(0, 4, 1, 2, 3)
