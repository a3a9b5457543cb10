"""A clip as the network reads it, for people to look at."""

from typing import NamedTuple

import numpy as np
import torch

from dataset.clips import Sample
from modeling.config import ModelConfig
from modeling.heatmaps import render_heatmaps


class NetworkView(NamedTuple):
    """frames: uint8 RGB [T, H, W, 3]. heatmaps: float32 [T, h, w], summed over the keypoints. None: not read."""

    frames: np.ndarray | None
    heatmaps: np.ndarray | None


def network_view(sample: Sample, model: ModelConfig) -> NetworkView:
    """The first crop of a clip."""
    frames = None if sample.frames is None else sample.frames[0]
    if sample.keypoints is None:
        return NetworkView(frames, None)
    keypoints = torch.from_numpy(sample.keypoints[:1])
    maps = render_heatmaps(keypoints, model.heatmap_size, model.heatmap_grid, model.heatmap_sigma)
    return NetworkView(frames, maps.sum(dim=1)[0].numpy())
