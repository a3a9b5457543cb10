"""From raw sentences to network inputs: the same cut of frames and heatmaps, whatever their sizes."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from modeling.augment import Jitter
from modeling.config import AugmentConfig, ColorJitterConfig
from modeling.continuous.augment import (
    SentenceDraw,
    central_draw,
    draw_augmentation,
    on_grid,
    prepare_sentences,
)
from modeling.continuous.config import ContinuousModelConfig
from modeling.heatmaps import Box, FactoredHeatmaps

FRAME, GRID = (26, 20), (52, 30)
MODEL = ContinuousModelConfig(rgb_size=64, heatmap_size=32, heatmap_grid=GRID, heatmap_sigma=3.0)


def sentences() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 256, (2, 4, *FRAME, 3), dtype=np.uint8))
    points = torch.from_numpy(rng.uniform(0, [*GRID[::-1], 1], (2, 4, 5, 3)).astype(np.float32))
    return frames, points


def test_inputs_are_what_the_specification_says() -> None:
    frames, points = sentences()
    draw = SentenceDraw(Box(3, 2, 20, 15), on_grid(Box(3, 2, 20, 15), FRAME, GRID))
    inputs = prepare_sentences(frames, points, MODEL, [draw], torch.float64)
    video = frames.permute(0, 1, 4, 2, 3)[..., 3:23, 2:17].double() / 255
    resized = F.interpolate(video.flatten(0, 1), (64, 64), mode="bilinear", align_corners=False)
    expected = (resized.view(2, 4, 3, 64, 64).flip(2).transpose(1, 2) - 0.5) / 0.5
    torch.testing.assert_close(inputs["rgb"], expected)

    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in GRID), indexing="ij")
    px, py = points.double()[..., 0, None, None], points.double()[..., 1, None, None]
    maps = torch.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 3.0**2))  # [B, T, J, H, W]
    top, left, height, width = draw.grid_box
    assert draw.grid_box == (6, 3, 40, 22)
    cut = maps[..., top : top + height, left : left + width].flatten(0, 1)
    resized = F.interpolate(cut, (32, 32), mode="bilinear", align_corners=False).view(2, 4, 5, 32, 32)
    heatmaps = inputs["keypoint"]
    assert isinstance(heatmaps, FactoredHeatmaps)
    torch.testing.assert_close(heatmaps.maps(), 2 * resized.transpose(1, 2) - 1)


def test_a_draw_for_each_sentence_is_that_of_the_sentence() -> None:
    frames, points = sentences()
    jitter = Jitter(1.2, 0.9, 1.1, 0.05, ("hue", "contrast", "brightness", "saturation"))
    draws = [SentenceDraw(Box(0, 0, 20, 20), Box(0, 0, 40, 30), jitter), central_draw(MODEL, FRAME)]
    both = prepare_sentences(frames, points, MODEL, draws)
    for i, draw in enumerate(draws):
        one = prepare_sentences(frames[i : i + 1], points[i : i + 1], MODEL, [draw])
        assert torch.equal(both["rgb"][i : i + 1], one["rgb"])  # type: ignore[arg-type, index]
        assert torch.equal(both["keypoint"].maps()[i], one["keypoint"].maps()[0])  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("modalities", "crop", "frame", "grid", "frame_box", "grid_box"),
    [
        (["rgb", "keypoint"], None, (260, 210), (260, 210), (0, 0, 260, 210), (0, 0, 260, 210)),
        (["rgb", "keypoint"], 270, (320, 320), (170, 170), (25, 25, 270, 270), (14, 14, 143, 143)),
        (["keypoint"], 270, (320, 320), (170, 170), (0, 0, 320, 320), (0, 0, 170, 170)),
        (["rgb"], 224, (260, 210), (260, 210), (18, -7, 224, 224), (18, -7, 224, 224)),
    ],
)
def test_evaluation_crops(
    modalities: list, crop: int | None, frame: tuple, grid: tuple, frame_box: tuple, grid_box: tuple
) -> None:
    model = ContinuousModelConfig(modalities=modalities, heatmap_grid=grid, evaluation_crop=crop)
    draw = central_draw(model, frame)
    assert draw == SentenceDraw(Box(*frame_box), Box(*grid_box))


def test_beyond_the_frame_it_is_black() -> None:
    model = ContinuousModelConfig(modalities=["rgb"], rgb_size=32, evaluation_crop=32)
    frames = torch.full((1, 4, 40, 20, 3), 255, dtype=torch.uint8)
    found = prepare_sentences(frames, None, model, [central_draw(model, (40, 20))])["rgb"]
    assert isinstance(found, torch.Tensor)
    assert (found[..., :6] == -1).all() and (found[..., 6:26] == 1).all() and (found[..., 26:] == -1).all()


def test_draws_stay_within_the_picture_and_the_grid() -> None:
    rng, config = np.random.default_rng(0), AugmentConfig(color_jitter=ColorJitterConfig(probability=0.5))
    keypoint_only = ContinuousModelConfig(modalities=["keypoint"], heatmap_size=32, heatmap_grid=GRID)
    jittered = 0
    for _ in range(200):
        draw = draw_augmentation(config, MODEL, FRAME, rng)
        jittered += draw.jitter is not None
        assert draw.grid_box == on_grid(draw.frame_box, FRAME, GRID)
        boxes = [
            (draw.frame_box, FRAME),
            (draw_augmentation(config, keypoint_only, FRAME, rng).grid_box, GRID),
        ]
        for box, (height, width) in boxes:
            assert 0 <= box.top <= box.top + box.height <= height
            assert 0 <= box.left <= box.left + box.width <= width
            assert 0.6 * height * width < box.height * box.width <= height * width
    assert 60 < jittered < 140
