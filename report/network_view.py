"""A clip as the network reads it, for people to look at."""

from typing import NamedTuple

import numpy as np
import torch

from configs.build import clip_format
from configs.schema import IsolatedConfig
from dataset.annotations import Split, read_annotations
from dataset.clips import ClipReader
from dataset.footage import Sample
from modeling.config import ModelConfig
from modeling.heatmaps import render_heatmaps


class NetworkView(NamedTuple):
    """frames: uint8 RGB [T, H, W, 3]. heatmaps: float32 [T, h, w], summed over the keypoints. None: not read."""

    frames: np.ndarray | None
    heatmaps: np.ndarray | None


def network_view(sample: Sample, model: ModelConfig) -> NetworkView:
    """The first crop of a clip."""
    crops, points = sample.crops()
    frames = None if crops is None else crops[0]
    if points is None:
        return NetworkView(frames, None)
    keypoints = torch.from_numpy(points[:1])
    maps = render_heatmaps(keypoints, model.heatmap_size, model.heatmap_grid, model.heatmap_sigma)
    return NetworkView(frames, maps.sum(dim=1)[0].numpy())


def view_clips(config: IsolatedConfig, split: Split, names: list[str]) -> list[NetworkView]:
    """The middle of some clips of a data set, by name.

    Raises:
        UserError: the annotations, videos or keypoints of the configuration are not there.
    """
    reader = ClipReader(config.data, clip_format(config.model))
    clips = {clip.name: clip for clip in read_annotations(config.data).split(split)}
    chosen = [clips[name] for name in names]
    reader.check(chosen)
    return [network_view(reader.read_crops(clip, ["central"]), config.model) for clip in chosen]
