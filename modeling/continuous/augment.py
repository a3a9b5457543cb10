"""Raw sentences -> network inputs on the device: colour jitter, crop, resize, normalisation, and heatmaps.

Specification of the Two-Stream network, section 4. What is random is drawn first, into a `SentenceDraw`; applying a
draw is deterministic.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modeling.augment import Inputs, Jitter, as_video, draw_box, draw_jitter, rgb_input
from modeling.config import AugmentConfig
from modeling.continuous.config import ContinuousModelConfig
from modeling.heatmaps import Box, FactoredHeatmaps, factored_heatmaps

Size = tuple[int, int]  # height and width


@dataclass(frozen=True)
class SentenceDraw:
    """What is cut out of frames and of the heatmap grid, in pixels of each, and a colour jitter of the frames."""

    frame_box: Box
    grid_box: Box
    jitter: Jitter | None = None


def central_draw(model: ContinuousModelConfig, frame: Size) -> SentenceDraw:
    """What evaluation uses of frames of this size: all, or the centre that the configuration says."""
    grid, crop = model.heatmap_grid, model.evaluation_crop
    whole = SentenceDraw(Box(0, 0, *frame), Box(0, 0, *grid))
    if crop is None or "rgb" not in model.modalities:
        return whole
    return SentenceDraw(
        _central_box(frame, (crop, crop)),
        _central_box(grid, (int(crop * grid[0] / frame[0]), int(crop * grid[1] / frame[1]))),
    )


def draw_augmentation(
    config: AugmentConfig, model: ContinuousModelConfig, frame: Size, rng: np.random.Generator
) -> SentenceDraw:
    """A training draw for frames of this size. Without RGB the crop is drawn on the grid."""
    jitter = None
    if rng.random() < config.color_jitter.probability:
        jitter = draw_jitter(config.color_jitter, rng)
    if "rgb" not in model.modalities:
        return SentenceDraw(Box(0, 0, *frame), draw_box(config, *model.heatmap_grid, rng), jitter)
    box = draw_box(config, *frame, rng)
    return SentenceDraw(box, on_grid(box, frame, model.heatmap_grid), jitter)


def on_grid(box: Box, frame: Size, grid: Size) -> Box:
    """A box of a frame as one of the grid, rounded down."""
    return Box(
        int(box.top * grid[0] / frame[0]),
        int(box.left * grid[1] / frame[1]),
        int(box.height * grid[0] / frame[0]),
        int(box.width * grid[1] / frame[1]),
    )


def _central_box(picture: Size, size: Size) -> Box:
    """May reach beyond the picture. Halves are rounded to the even number."""
    return Box(round((picture[0] - size[0]) / 2), round((picture[1] - size[1]) / 2), *size)


def prepare_sentences(
    frames: Tensor | None,
    keypoints: Tensor | None,
    model: ContinuousModelConfig,
    draws: list[SentenceDraw],
    dtype: torch.dtype = torch.float32,
) -> Inputs:
    """Network inputs of every stream from raw sentences.

    Args:
        frames: uint8 RGB [B, T, H, W, 3]; None for a model without RGB.
        keypoints: float [B, T, J, 3], x and y in pixels of the heatmap grid; None for a model without them.
        model: says which streams, at which sizes.
        draws: one for the whole batch, or one a sentence.
        dtype: of the result.

    Returns:
        {stream: [B, 3 or J, T, size, size]}, values in [-1, 1]; those of the keypoint stream as `FactoredHeatmaps`.
    """
    inputs: Inputs = {}
    if frames is not None:
        parts = frames.split(1) if len(draws) > 1 else [frames]
        inputs["rgb"] = torch.cat(
            [
                rgb_input(as_video(part, dtype), model.rgb_size, draw.frame_box, draw.jitter)
                for part, draw in zip(parts, draws, strict=True)
            ]
        )
    if keypoints is not None:
        boxes = [draw.grid_box for draw in draws]
        inputs["keypoint"] = heatmaps(keypoints.to(dtype), model, boxes)
    return {stream: inputs[stream] for stream in model.streams}


def heatmaps(keypoints: Tensor, model: ContinuousModelConfig, boxes: list[Box]) -> FactoredHeatmaps:
    """Heatmaps as the keypoint stream reads them, of keypoints [B, T, J, 2 or more]: values in [-1, 1]."""
    sigma = model.heatmap_sigma
    return factored_heatmaps(keypoints, model.heatmap_size, sigma=sigma, boxes=boxes, low=-1.0, high=1.0)
