"""Raw clips -> network inputs on the device: colour jitter, crop, resize, normalisation, and the two clip lengths.

Also intra-modality mixup, which comes after it. What is random is drawn first, into a `Draw`, from a numpy
generator; applying a draw is deterministic. Specification section 2.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as TF

from modeling.config import AugmentConfig, ColorJitterConfig, IntraModalityMixupConfig, ModelConfig
from modeling.heatmaps import Box, FactoredHeatmaps, Mixture, factored_heatmaps, written_out
from modeling.objective import MixedLabels

Inputs = dict[str, Tensor | FactoredHeatmaps]  # of the network, by stream or modality; heatmaps in factors


@dataclass(frozen=True)
class Jitter:
    """Factors of one colour jitter, and the order in which its four operations are applied."""

    brightness: float
    contrast: float
    saturation: float
    hue: float
    order: tuple[str, ...]


@dataclass(frozen=True)
class Draw:
    """One draw of the augmentation.

    short_start: first frame of the shorter clip within the longer one.
    box: crop in pixels of a frame of frame_size x frame_size, or None for the whole frame.
    jitters: one for each clip length, or None for no colour change.
    """

    short_start: int
    box: Box | None = None
    frame_size: int = 256
    jitters: tuple[Jitter, ...] | None = None


def central_draw(model: ModelConfig) -> Draw:
    """What evaluation uses: whole frames, the shorter clip from the middle of the longer."""
    return Draw(short_start=(model.frames[0] - model.frames[-1]) // 2)


def draw_augmentation(
    config: AugmentConfig, model: ModelConfig, frame_size: int, rng: np.random.Generator
) -> Draw:
    """A training draw for frames of frame_size x frame_size pixels."""
    start = int(rng.integers(0, model.frames[0] - model.frames[-1] + 1))
    jitters = None
    if rng.random() < config.color_jitter.probability:
        jitters = tuple(draw_jitter(config.color_jitter, rng) for _ in model.frames)
    return Draw(start, draw_box(config, frame_size, frame_size, rng), frame_size, jitters)


def draw_jitter(config: ColorJitterConfig, rng: np.random.Generator) -> Jitter:
    """One colour jitter."""

    def factor(spread: float) -> float:
        return float(rng.uniform(1.0 - spread, 1.0 + spread))

    operations = ["brightness", "contrast", "saturation", "hue"]
    order = tuple(operations[i] for i in rng.permutation(len(operations)))
    return Jitter(
        factor(config.brightness),
        factor(config.contrast),
        factor(config.saturation),
        float(rng.uniform(-config.hue, config.hue)),
        order,
    )


def draw_box(config: AugmentConfig, height: int, width: int, rng: np.random.Generator) -> Box:
    """Random resized crop of a picture: area and aspect ratio are drawn until the box fits, ten times at most."""
    for _ in range(10):
        area = height * width * rng.uniform(*config.crop_scale)
        ratio = math.exp(rng.uniform(math.log(config.crop_ratio[0]), math.log(config.crop_ratio[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
            return Box(int(top), int(left), h, w)
    return Box(0, 0, height, width)


def _apply_jitter(video: Tensor, jitter: Jitter) -> Tensor:
    """Colour jitter of RGB frames [..., 3, H, W] in [0, 1]."""
    operations = {
        "brightness": TF.adjust_brightness,
        "contrast": TF.adjust_contrast,
        "saturation": TF.adjust_saturation,
        "hue": TF.adjust_hue,
    }
    for name in jitter.order:
        video = operations[name](video, getattr(jitter, name))
    return video


def rgb_input(video: Tensor, size: int, box: Box | None, jitter: Jitter | None) -> Tensor:
    """RGB frames [B, T, 3, H, W] in [0, 1] -> BGR [B, 3, T, size, size] in [-1, 1], channels last in memory.

    A box may reach beyond the frame; there it is black.
    """
    if jitter is not None:
        video = _apply_jitter(video, jitter)
    if box is not None:
        video = TF.crop(video, *box)
    batch, frames = video.shape[:2]
    resized = F.interpolate(video.flatten(0, 1), (size, size), mode="bilinear", align_corners=False)
    bgr = resized.permute(0, 2, 3, 1).flip(3)  # [B * T, size, size, 3]
    return bgr.sub_(0.5).div_(0.5).unflatten(0, (batch, frames)).permute(0, 4, 1, 2, 3)


def as_video(frames: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 [B, T, H, W, 3] -> [B, T, 3, H, W] in [0, 1]."""
    return frames.permute(0, 1, 4, 2, 3).to(dtype).div_(255)


def _rgb_inputs(frames: Tensor, model: ModelConfig, draw: Draw, dtype: torch.dtype) -> list[Tensor]:
    """The inputs of the RGB streams, for each clip length, under one draw."""
    video = as_video(frames, dtype)
    if draw.jitters is None:
        whole = rgb_input(video, model.rgb_size, draw.box, None)
        return [whole[:, :, _window(model, draw, length)] for length in model.frames]
    # Colour jitter is drawn anew for each length, as in the published runs.
    return [
        rgb_input(video[:, _window(model, draw, length)], model.rgb_size, draw.box, jitter)
        for length, jitter in zip(model.frames, draw.jitters, strict=True)
    ]


def _window(model: ModelConfig, draw: Draw, length: int) -> slice:
    """Where a clip of `length` frames lies within the longest one."""
    start = 0 if length == model.frames[0] else draw.short_start
    return slice(start, start + length)


def _heatmaps(keypoints: Tensor, model: ModelConfig, boxes: list[Box] | None = None) -> FactoredHeatmaps:
    """Heatmaps as the keypoint streams read them: values in [-1, 1]."""
    size, grid, sigma = model.heatmap_size, model.heatmap_grid, model.heatmap_sigma
    return factored_heatmaps(keypoints, size, grid, sigma, boxes, low=-1.0, high=1.0)


def prepare_inputs(
    frames: Tensor | None,
    keypoints: Tensor | None,
    model: ModelConfig,
    draws: list[Draw],
    dtype: torch.dtype = torch.float32,
) -> Inputs:
    """Network inputs of every stream from raw clips.

    Args:
        frames: uint8 RGB [B, T, H, W, 3], T the longer clip length; None for a model without RGB streams.
        keypoints: float [B, T, J, 3], x and y in pixels of the heatmap grid; None without keypoint streams.
        model: says which streams, at which sizes.
        draws: one for the whole batch, or one a clip.
        dtype: of the result.

    Returns:
        {stream: [B, 3 or J, T, size, size]}, values in [-1, 1]; those of the keypoint streams as `FactoredHeatmaps`.
    """
    inputs: Inputs = {}
    if "rgb" in model.modalities:
        assert frames is not None
        parts = frames.split(1) if len(draws) > 1 else [frames]
        clips = [_rgb_inputs(part, model, draw, dtype) for part, draw in zip(parts, draws, strict=True)]
        for length, tensors in zip(model.frames, zip(*clips, strict=True), strict=True):
            inputs[f"rgb{length}"] = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
    if "keypoint" in model.modalities:
        assert keypoints is not None
        boxes = [
            Box(*(int(value * model.heatmap_grid / draw.frame_size) for value in draw.box))
            if draw.box is not None
            else Box(0, 0, model.heatmap_grid, model.heatmap_grid)
            for draw in draws
        ]
        whole = _heatmaps(keypoints.to(dtype), model, boxes)
        for length in model.frames:
            windows = [_window(model, draw, length) for draw in draws]
            part = whole.at(windows[0]) if len(draws) == 1 else whole.at_each(windows)
            inputs[f"keypoint{length}"] = part
    return inputs


def prepare_frames(frames: Tensor | None, keypoints: Tensor | None, model: ModelConfig) -> Inputs:
    """Frames as the streams of each modality read them, without augmentation.

    Args:
        frames: uint8 RGB [F, H, W, 3]; None for a model without RGB streams.
        keypoints: float [F, J, 3], x and y in pixels of the heatmap grid; None without keypoint streams.
        model: says at which sizes.

    Returns:
        {modality: [1, 3 or J, F, size, size]}, values in [-1, 1], channels last in memory; heatmaps as
        `FactoredHeatmaps`.
    """
    maps: Inputs = {}
    if frames is not None:
        maps["rgb"] = rgb_input(as_video(frames[None], torch.float32), model.rgb_size, None, None)
    if keypoints is not None:
        maps["keypoint"] = _heatmaps(keypoints[None].float(), model)
    return maps


def visible_inputs(inputs: Inputs, streams: Sequence[str]) -> tuple[Tensor | None, Tensor | None]:
    """Network inputs of any task as pictures.

    Args:
        streams: those of the model; of each modality the first one, which has the longest clips, is shown.

    Returns:
        Frames uint8 RGB [B, T, size, size, 3] and heatmaps float [B, T, size, size] summed over the keypoints, on the
        CPU; None for a modality that the model does not read.
    """
    shown = [next((s for s in streams if s.startswith(modality)), "") for modality in ("rgb", "keypoint")]
    longest = written_out({name: inputs[name] for name in shown if name in inputs})
    frames, heatmaps = map(longest.get, shown)
    if frames is not None:
        bgr = frames.permute(0, 2, 3, 4, 1).add(1).mul(127.5)  # [B, T, size, size, 3]
        frames = bgr.flip(4).round().clamp(0, 255).to("cpu", torch.uint8)
    if heatmaps is not None:
        heatmaps = heatmaps.add(1).div(2).sum(dim=1).float().cpu()
    return frames, heatmaps


def mix_clips(
    inputs: Inputs,
    labels: Tensor,
    config: IntraModalityMixupConfig,
    rng: np.random.Generator,
    part: int = 0,
) -> tuple[Inputs, Tensor | MixedLabels]:
    """Intra-modality mixup: with `config.probability` every clip is blended with another of its group.

    One lambda and one permutation for all streams. `config.group_size` clips that follow one another form a group,
    so that the result does not depend on how the global batch is split over processes.

    Args:
        inputs: {stream: [B, C, T, H, W] or `FactoredHeatmaps`}; labels: int64 [B].
        rng: the same for all parts of the global batch.
        part: which part of the global batch this is, 0 for the first B clips.

    Returns:
        The inputs and labels, mixed or as they were.
    """
    if rng.random() >= config.probability:
        return inputs, labels
    share = float(rng.beta(config.alpha, config.alpha))
    count = len(labels)
    orders = [group_permutation(count, config.group_size, rng) for _ in range(part + 1)]
    others = orders[part].to(labels.device)
    mixture = Mixture(others, share)
    mixed: Inputs = {
        name: x._replace(mixture=mixture) if isinstance(x, FactoredHeatmaps) else mixture.of(x)
        for name, x in inputs.items()
    }
    return mixed, MixedLabels(labels, labels[others], share)


def group_permutation(count: int, group_size: int, rng: np.random.Generator) -> Tensor:
    """A permutation of 0..count-1 that keeps every clip within its group of `group_size`: int64 [count]."""
    groups = [
        start + rng.permutation(min(group_size, count - start)) for start in range(0, count, group_size)
    ]
    return torch.from_numpy(np.concatenate(groups))
