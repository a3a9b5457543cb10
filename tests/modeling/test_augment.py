"""Augmentation, normalisation and intra-modality mixup (specification sections 2 and 7)."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as TF

from modeling import augment
from modeling.augment import (
    Draw,
    Jitter,
    central_draw,
    draw_augmentation,
    group_permutation,
    mix_clips,
)
from modeling.config import AugmentConfig, ColorJitterConfig, IntraModalityMixupConfig, ModelConfig
from modeling.heatmaps import Box, render_heatmaps, written_out
from modeling.objective import MixedLabels

MODEL = ModelConfig(frames=[16, 8], rgb_size=64, heatmap_size=32, heatmap_grid=32, heatmap_sigma=2.0)
SIDE = 48


def prepare_inputs(*arguments: Any) -> dict[str, Tensor]:
    """Those of the package, heatmaps written out."""
    return written_out(augment.prepare_inputs(*arguments))


def raw_clips(batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """uint8 [B, 16, 48, 48, 3] and keypoints [B, 16, 5, 3] on the grid of 32."""
    rng = torch.Generator().manual_seed(seed)
    frames = torch.randint(256, (batch, 16, SIDE, SIDE, 3), generator=rng, dtype=torch.uint8)
    return frames, 32 * torch.rand(batch, 16, 5, 3, generator=rng)


def test_rgb_is_bgr_in_minus_one_to_one() -> None:
    red = torch.zeros(1, 16, SIDE, SIDE, 3, dtype=torch.uint8)
    red[..., 0] = 255
    red[..., 1] = 51
    x = prepare_inputs(red, raw_clips(1)[1], MODEL, [central_draw(MODEL)])["rgb16"]
    assert x.shape == (1, 3, 16, 64, 64)
    for channel, value in enumerate((-1.0, -0.6, 1.0)):  # blue, green, red
        torch.testing.assert_close(x[:, channel], torch.full_like(x[:, channel], value))


def test_evaluation_is_a_plain_bilinear_resize() -> None:
    frames, keypoints = raw_clips()
    inputs = prepare_inputs(frames, keypoints, MODEL, [central_draw(MODEL)])
    for t in (0, 15):
        video = frames[:, t].permute(0, 3, 1, 2).float() / 255
        wanted = F.interpolate(video, (64, 64), mode="bilinear", align_corners=False, antialias=False)
        torch.testing.assert_close(inputs["rgb16"][:, :, t], wanted.flip(1) * 2 - 1, rtol=0, atol=1e-5)
    wanted = render_heatmaps(keypoints, 32, 32, 2.0) * 2 - 1
    torch.testing.assert_close(inputs["keypoint16"], wanted)
    assert set(inputs) == {"rgb16", "keypoint16", "rgb8", "keypoint8"}
    assert central_draw(ModelConfig()).short_start == 16  # frames 16..47 of 64


@pytest.mark.parametrize("start", [0, 3, 8])
def test_short_clip_is_a_slice_of_the_long_one(start: int) -> None:
    inputs = prepare_inputs(*raw_clips(), MODEL, [Draw(start, Box(4, 9, 30, 36), SIDE)])
    for modality in ("rgb", "keypoint"):
        assert torch.equal(inputs[f"{modality}8"], inputs[f"{modality}16"][:, :, start : start + 8])
        assert inputs[f"{modality}16"].std() > 0


def test_crop_box_is_scaled_and_truncated_for_the_heatmaps() -> None:
    frames, keypoints = raw_clips()
    inputs = prepare_inputs(frames, keypoints, MODEL, [Draw(0, Box(4, 9, 30, 37), SIDE)])
    video = frames[:, 5, 4:34, 9:46].permute(0, 3, 1, 2).float() / 255
    wanted = F.interpolate(video, (64, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(inputs["rgb16"][:, :, 5], wanted.flip(1) * 2 - 1, rtol=0, atol=1e-5)
    box = Box(2, 6, 20, 24)  # times 32 / 48: 2.67, 6, 20, 24.67
    wanted = render_heatmaps(keypoints, 32, 32, 2.0, [box]) * 2 - 1
    torch.testing.assert_close(inputs["keypoint16"], wanted)
    # A model without RGB streams sees the same part of the signer.
    alone = dataclasses.replace(MODEL, modalities=["keypoint"], frames=[16])
    maps = prepare_inputs(None, keypoints, alone, [Draw(0, Box(4, 9, 30, 37), SIDE)])
    torch.testing.assert_close(maps["keypoint16"], wanted)


def test_colour_jitter_is_applied_in_its_order_with_own_factors_for_each_length() -> None:
    frames, keypoints = raw_clips(1)
    factors = dict(brightness=1.3, contrast=0.7, saturation=1.2, hue=0.05)
    order = ("contrast", "hue", "brightness", "saturation")
    jitters = (Jitter(**factors, order=order), Jitter(1.0, 1.0, 1.0, 0.0, order))
    frames = frames.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)[:, :, :64, :64]
    inputs = prepare_inputs(frames, keypoints, MODEL, [Draw(4, jitters=jitters)])
    video = frames[0, 7].permute(2, 0, 1).float() / 255
    torch.testing.assert_close(inputs["rgb8"][0, :, 3], video.flip(0) * 2 - 1, rtol=0, atol=1e-4)
    for name in order:
        video = getattr(TF, f"adjust_{name}")(video, factors[name])
    torch.testing.assert_close(inputs["rgb16"][0, :, 7], video.flip(0) * 2 - 1, rtol=0, atol=1e-4)


def test_one_draw_serves_the_batch_and_several_serve_a_clip_each() -> None:
    frames, keypoints = raw_clips(2)
    frames, keypoints = (
        frames[:1].repeat(2, 1, 1, 1, 1),
        keypoints[:1].repeat(2, 1, 1, 1),
    )  # twice the same clip
    draws = [Draw(0, Box(0, 0, 30, 40), SIDE), Draw(8, Box(10, 5, 33, 41), SIDE)]
    shared = prepare_inputs(frames, keypoints, MODEL, draws[:1])
    apart = prepare_inputs(frames, keypoints, MODEL, draws)
    for name in shared:
        assert torch.equal(shared[name][0], shared[name][1])
        assert not torch.equal(apart[name][0], apart[name][1])
        for b, draw in enumerate(draws):
            alone = prepare_inputs(frames[b : b + 1], keypoints[b : b + 1], MODEL, [draw])[name]
            assert torch.equal(apart[name][b : b + 1], alone)


def test_single_modalities_need_only_their_own_input() -> None:
    frames, keypoints = raw_clips()
    rgb = dataclasses.replace(MODEL, modalities=["rgb"], frames=[16])
    keypoint = dataclasses.replace(MODEL, modalities=["keypoint"], frames=[16])
    both = prepare_inputs(frames, keypoints, MODEL, [central_draw(MODEL)])
    assert torch.equal(prepare_inputs(frames, None, rgb, [Draw(0)])["rgb16"], both["rgb16"])
    assert torch.equal(prepare_inputs(None, keypoints, keypoint, [Draw(0)])["keypoint16"], both["keypoint16"])


def test_inputs_are_not_changed_in_place() -> None:
    frames, keypoints = raw_clips()
    before = frames.clone(), keypoints.clone()
    prepare_inputs(frames, keypoints, MODEL, [Draw(2, Box(1, 2, 30, 30), SIDE)])
    assert torch.equal(frames, before[0]) and torch.equal(keypoints, before[1])


@given(st.integers(0, 10**6), st.integers(16, 512))
def test_draws_stay_within_the_configured_ranges(seed: int, side: int) -> None:
    config = AugmentConfig(color_jitter=ColorJitterConfig(probability=1.0))
    draw = draw_augmentation(config, ModelConfig(), side, np.random.default_rng(seed))
    assert 0 <= draw.short_start <= 32 and draw.frame_size == side
    top, left, height, width = draw.box or (0, 0, 0, 0)
    assert top >= 0 and left >= 0 and top + height <= side and left + width <= side
    rounding = 1.5 / side
    assert 0.7 - 2 * rounding <= height * width / side**2 <= 1.0
    assert 0.75 * (1 - 2 * rounding) <= width / height <= 1.3 * (1 + 2 * rounding) or height == width == side
    assert draw.jitters is not None and len(draw.jitters) == 2
    for jitter in draw.jitters:
        assert all(0.6 <= getattr(jitter, name) <= 1.4 for name in ("brightness", "contrast", "saturation"))
        assert -0.1 <= jitter.hue <= 0.1
        assert sorted(jitter.order) == ["brightness", "contrast", "hue", "saturation"]
    assert draw.jitters[0] != draw.jitters[1]


def test_draws_cover_the_ranges_and_the_gate_has_its_probability() -> None:
    rngs = [np.random.default_rng(i) for i in range(2000)]
    draws = [draw_augmentation(AugmentConfig(), ModelConfig(), 256, rng) for rng in rngs]
    assert {d.short_start for d in draws} == set(range(33))
    assert np.mean([d.jitters is not None for d in draws]) == pytest.approx(0.3, abs=0.04)
    boxes = [d.box for d in draws if d.box is not None]
    areas = np.array([b.height * b.width / 256**2 for b in boxes])
    ratios = np.array([math.log(b.width / b.height) for b in boxes])
    assert areas.min() < 0.71 and areas.max() > 0.95
    assert ratios.min() < math.log(0.8) and ratios.max() > math.log(1.2)
    assert {b.top == 0 for b in boxes} == {True, False}


def test_a_draw_depends_on_its_generator_alone() -> None:
    def draw(seed: int) -> Draw:
        return draw_augmentation(AugmentConfig(), MODEL, 256, np.random.default_rng(seed))

    assert draw(3) == draw(3) != draw(4)


@given(st.integers(1, 40), st.integers(2, 8), st.integers(0, 10**6))
def test_group_permutation_permutes_within_groups(count: int, group: int, seed: int) -> None:
    order = group_permutation(count, group, np.random.default_rng(seed)).tolist()
    assert sorted(order) == list(range(count))
    assert all(i // group == j // group for i, j in enumerate(order))


def test_group_permutation_moves_clips_to_every_place_of_their_group() -> None:
    rng = np.random.default_rng(0)
    orders = np.array([group_permutation(8, 4, rng).tolist() for _ in range(200)])
    assert all(set(orders[:, i]) == set(range(4 * (i // 4), 4 * (i // 4) + 4)) for i in range(8))
    assert (orders[:, :4] != orders[:, 4:] - 4).any()  # groups are permuted independently


ALWAYS = IntraModalityMixupConfig(probability=1.0)


def small_inputs(batch: int) -> tuple[dict[str, Tensor], Tensor]:
    rng = torch.Generator().manual_seed(0)
    inputs = {name: torch.randn(batch, 3, 2, 2, 2, generator=rng) for name in ("rgb64", "keypoint32")}
    return inputs, torch.arange(batch)


def test_mixup_blends_all_streams_with_one_share_and_one_order() -> None:
    inputs, labels = small_inputs(4)
    mixed, targets = mix_clips(inputs, labels, ALWAYS, np.random.default_rng(2))
    assert isinstance(targets, MixedLabels) and 0 < targets.share < 1
    assert torch.equal(targets.first, labels) and sorted(targets.second.tolist()) == [0, 1, 2, 3]
    assert targets.second.tolist() != [0, 1, 2, 3]
    for name, x in inputs.items():
        wanted = targets.share * x + (1 - targets.share) * x[targets.second]  # label = place in the batch
        torch.testing.assert_close(mixed[name], wanted)


@pytest.mark.parametrize("parts", [2, 3])
def test_mixup_of_the_parts_is_mixup_of_the_global_batch(parts: int) -> None:
    inputs, labels = small_inputs(24)
    whole, targets = mix_clips(inputs, labels, ALWAYS, np.random.default_rng(7))
    assert isinstance(targets, MixedLabels)
    size = 24 // parts
    for part in range(parts):
        piece = slice(part * size, (part + 1) * size)
        mixed, own = mix_clips(
            {name: x[piece] for name, x in inputs.items()},
            labels[piece],
            ALWAYS,
            np.random.default_rng(7),
            part,
        )
        assert isinstance(own, MixedLabels)
        assert own.share == targets.share
        assert torch.equal(own.second, targets.second[piece])
        assert all(torch.equal(mixed[name], whole[name][piece]) for name in inputs)


def test_mixup_happens_with_its_probability() -> None:
    inputs, labels = small_inputs(2)
    config = IntraModalityMixupConfig(probability=0.75)
    results = [mix_clips(inputs, labels, config, np.random.default_rng(i))[1] for i in range(1000)]
    assert np.mean([isinstance(r, MixedLabels) for r in results]) == pytest.approx(0.75, abs=0.05)
    shares = np.array([r.share for r in results if isinstance(r, MixedLabels)])
    assert shares.mean() == pytest.approx(0.5, abs=0.05)
    assert shares.var() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), abs=0.015)  # Beta(0.8, 0.8)


def test_without_mixup_everything_stays() -> None:
    inputs, labels = small_inputs(4)
    same, targets = mix_clips(inputs, labels, IntraModalityMixupConfig(), np.random.default_rng(0))
    assert targets is labels and all(same[name] is inputs[name] for name in inputs)
