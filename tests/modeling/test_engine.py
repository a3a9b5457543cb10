"""One training step and the prediction of a batch, on a tiny network."""

import copy
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from modeling.augment import Draw, central_draw, draw_augmentation, prepare_inputs
from modeling.config import (
    AugmentConfig,
    InterModalityMixupConfig,
    IntraModalityMixupConfig,
    LabelSmoothingConfig,
    LossConfig,
    Modality,
    ModelConfig,
    RuntimeConfig,
    TrainingConfig,
)
from modeling.engine import accelerate, gradient_norm, uses_fast
from modeling.heatmaps import Box, written_out
from modeling.objective import Objective
from modeling.optimizer import build_optimizer
from modeling.recognition import Predictor, Preparation, RecognitionStep
from modeling.recognizer import Recognizer, predictions
from utils.errors import UserError

MODEL = ModelConfig(
    frames=[16, 8], width=0.01, rgb_size=64, heatmap_size=32, heatmap_grid=32, heatmap_sigma=2.0
)


def recognizer() -> Recognizer:
    torch.manual_seed(0)
    return Recognizer(MODEL, 5, 3, torch.randn(3, 4), auxiliary=True)


def raw_batch(clips: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    frames = torch.randint(256, (clips, 16, 32, 32, 3), generator=rng, dtype=torch.uint8)
    return frames, 32 * torch.rand(clips, 16, 5, 3, generator=rng)


def train_once(
    model: Recognizer, integrate: bool, epoch: int, epochs: int, runtime: RuntimeConfig | None = None
) -> dict[str, Tensor]:
    loss = LossConfig(
        LabelSmoothingConfig("language"),
        IntraModalityMixupConfig(probability=1.0),
        InterModalityMixupConfig(enabled=True, integrate=integrate, momentum=0.9),
    )
    config = TrainingConfig(epochs=epochs, batch_size=2, learning_rate=0.01)
    objective = Objective(loss, 3, model.gloss_embeddings)
    runtime = runtime or RuntimeConfig()
    accelerate(model, runtime)
    step = RecognitionStep(model, model, objective, build_optimizer(model, config), config, runtime)
    draw = draw_augmentation(AugmentConfig(), MODEL, 32, np.random.default_rng(0))
    prepare = Preparation(MODEL, loss.intra_modality_mixup, parts=1)
    batch = prepare(*raw_batch(2), torch.tensor([0, 2]), [draw], np.random.default_rng(3))
    return step(batch, epoch)


def test_integration_follows_the_optimiser_step() -> None:
    plain, integrated = recognizer(), recognizer()
    before = copy.deepcopy(plain.state_dict())
    train_once(plain, integrate=False, epoch=0, epochs=10)
    train_once(integrated, integrate=True, epoch=0, epochs=10)
    assert any(
        not torch.equal(before[name], value)
        for name, value in plain.heads.state_dict(prefix="heads.").items()
    )
    plain.integrate(0.9)
    torch.testing.assert_close(integrated.state_dict(), plain.state_dict())


def test_the_last_epoch_runs_at_learning_rate_zero() -> None:
    """So it computes no gradients; losses and statistics are those of any epoch."""
    learning, model = recognizer(), recognizer()
    before = copy.deepcopy(dict(model.named_parameters()))
    wanted = train_once(learning, integrate=False, epoch=0, epochs=10)
    losses = train_once(model, integrate=False, epoch=9, epochs=10)
    assert gradient_norm(model) == 0 < gradient_norm(learning)
    for name, value in model.named_parameters():
        assert value.grad is None
        assert torch.equal(before[name], value)
    torch.testing.assert_close(dict(model.named_buffers()), dict(learning.named_buffers()))
    for name in set(losses) - {"total"}:
        # BatchNorm over the few values of these clips enlarges differences of rounding.
        torch.testing.assert_close(losses[name], wanted[name], rtol=1e-3, atol=0)
    assert len([name for name in losses if name.startswith("recognition/")]) == 7
    assert len([name for name in losses if name.startswith("inter_modality/")]) == 7
    assert not any(value.requires_grad for value in losses.values())


def predict(model: Recognizer, clips: int, windows: Tensor, crops: int = 1) -> dict[str, Tensor]:
    frames, keypoints = raw_batch(clips)
    return Predictor(model)(frames.flatten(0, 1), keypoints.flatten(0, 1), windows, crops)


def with_statistics(model: Recognizer) -> Recognizer:
    """Running statistics and scales that folding them into the convolutions could get wrong."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                assert tensor is not None
                torch.nn.init.uniform_(tensor, 0.5, 1.5)
    return model


def test_the_crops_of_a_clip_stay_together() -> None:
    model, windows = recognizer(), torch.arange(6 * 16).view(6, 16)
    together, apart = predict(model, 6, windows, crops=3), predict(model, 6, windows)
    for name, values in together.items():
        assert values.shape == (2, 3, 3)
        for clip in range(2):
            torch.testing.assert_close(values[clip], apart[name][3 * clip : 3 * clip + 3, 0])
        torch.testing.assert_close(values.sum(dim=2), torch.ones(2, 3))


def test_prediction_of_a_clip_does_not_depend_on_its_batch() -> None:
    model = recognizer().train()  # prediction itself must switch to evaluation
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    together = predict(model, 3, torch.arange(3 * 16).view(3, 16))
    alone = predict(model, 3, torch.arange(16, 32)[None])
    for name, values in together.items():
        torch.testing.assert_close(values[1:2], alone[name], rtol=0, atol=1e-6)
    assert model.training
    assert all(torch.equal(value, statistics[name]) for name, value in model.named_buffers())


def test_crops_that_share_frames_are_predicted_as_if_alone() -> None:
    """Windows of a short clip, padded on either side, two of them the same."""
    model = with_statistics(recognizer())
    steps = torch.arange(16)
    windows = torch.stack([steps.clamp(0, 10), (steps - 2).clamp(0, 10), steps.clamp(0, 10), steps + 16])
    together = predict(model, 2, windows, crops=4)
    for row in range(4):
        alone = predict(model, 2, windows[row : row + 1])
        for name, values in together.items():
            torch.testing.assert_close(values[0, row], alone[name][0, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("modalities", "frames"),
    [(["rgb"], [16]), (["keypoint"], [16]), (["rgb", "keypoint"], [16]), (["rgb", "keypoint"], [16, 8])],
)
def test_predictor_computes_what_the_plain_network_computes(
    modalities: list[Modality], frames: list[int]
) -> None:
    torch.manual_seed(0)
    config = replace(MODEL, modalities=modalities, frames=frames)
    model = with_statistics(Recognizer(config, 5, 3)).eval()
    clips, points = raw_batch(2)
    raw = (clips if "rgb" in modalities else None, points if "keypoint" in modalities else None)
    inputs = prepare_inputs(*raw, config, [central_draw(config)])
    with torch.no_grad():
        wanted = predictions(model(written_out(inputs)).logits)
    found = Predictor(model)(
        *(None if x is None else x.flatten(0, 1) for x in raw), torch.arange(32).view(2, 16)
    )
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        torch.testing.assert_close(found[name][:, 0], values, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("fast", "device", "compile", "wanted"),
    [
        ("auto", "cpu", False, True),
        ("auto", "cpu", True, False),
        ("auto", "cuda", False, True),
        ("auto", "cuda", True, True),
        ("on", "cuda", True, True),
        ("on", "cuda", False, True),
        ("off", "cpu", False, False),
    ],
)
def test_where_the_fast_pass_is_used(
    fast: Literal["auto", "on", "off"], device: str, compile: bool, wanted: bool
) -> None:
    assert uses_fast(RuntimeConfig(fast=fast, compile=compile), torch.device(device)) == wanted


def test_what_is_compiled_on_a_cpu_is_the_plain_network() -> None:
    with pytest.raises(UserError, match="exclude one another on a CPU"):
        uses_fast(RuntimeConfig(fast="on", compile=True), torch.device("cpu"))


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_the_fast_pass_changes_no_number(mixup: float) -> None:
    """Predictions, losses and gradients with the pass, which reads heatmaps in factors, and without."""
    torch.manual_seed(0)
    model = with_statistics(Recognizer(MODEL, 5, 3, torch.randn(3, 4), auxiliary=True))
    frames, keypoints = raw_batch(2)
    windows = torch.arange(32).view(2, 16)
    loss = LossConfig(
        intra_modality_mixup=IntraModalityMixupConfig(probability=mixup),
        inter_modality_mixup=InterModalityMixupConfig(enabled=True),
    )
    results = {}
    for fast in ("off", "on", "auto"):
        runtime = RuntimeConfig(fast=fast)  # type: ignore[arg-type]
        predictor = Predictor(model, runtime)
        other = copy.deepcopy(model)
        assert ("fast pass for training" in accelerate(other, runtime)) == (fast != "off")
        assert ("fast pass for prediction" in predictor.replaced) == (fast != "off")
        training = TrainingConfig(batch_size=2)
        objective, optimizer = Objective(loss, 3, None), build_optimizer(other, training)
        step = RecognitionStep(other, other, objective, optimizer, training, runtime)
        factored = {"keypoint16", "keypoint8", "rgb16", "rgb8"} if fast != "off" else set()
        assert predictor.arithmetic.factored == step.arithmetic.factored == factored
        found = predictor(frames.flatten(0, 1), keypoints.flatten(0, 1), windows)
        draws = [Draw(0, Box(1, 2, 28, 27), 32), Draw(5)]
        prepare = Preparation(other.config, loss.intra_modality_mixup, parts=1)
        batch = prepare(frames, keypoints, torch.tensor([0, 2]), draws, np.random.default_rng(3))
        losses = step(batch, 0)
        gradients = {name: weight.grad for name, weight in other.named_parameters()}
        results[fast] = (found, losses, gradients)
    wanted, plain_losses, theirs = results["off"]
    for fast in ("on", "auto"):
        found, losses, ours = results[fast]
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
        # BatchNorm over the few values of these clips enlarges differences of rounding; see fast/test_passes.py.
        torch.testing.assert_close(losses, plain_losses, rtol=1e-4, atol=1e-4)
        stem = "vknet.encoders.keypoint16.blocks.0.0.spatial.conv.weight"
        assert ours[stem] is not None and theirs[stem] is not None
        cosine = torch.nn.functional.cosine_similarity(ours[stem].flatten(), theirs[stem].flatten(), dim=0)
        assert cosine > 0.999


def test_the_plain_predictor_is_not_changed_by_later_training() -> None:
    model, (frames, keypoints) = recognizer(), (x.flatten(0, 1) for x in raw_batch(2))
    predictor, windows = Predictor(model, RuntimeConfig(fast="off")), torch.arange(32).view(2, 16)
    before = predictor(frames, keypoints, windows)
    train_once(model, integrate=True, epoch=0, epochs=10)
    torch.testing.assert_close(predictor(frames, keypoints, windows), before, rtol=0, atol=0)


@pytest.mark.parametrize("fast", ["auto", "off"])
def test_bf16_predicts_nearly_the_same(fast: Literal["auto", "off"]) -> None:
    model, windows = with_statistics(recognizer()), torch.arange(32).view(2, 16)
    frames, keypoints = (x.flatten(0, 1) for x in raw_batch(2))
    exact = Predictor(model, RuntimeConfig(precision="fp32", fast=fast))(frames, keypoints, windows)
    coarse = Predictor(model, RuntimeConfig(precision="bf16", fast=fast))(frames, keypoints, windows)
    for name, values in exact.items():
        assert coarse[name].dtype == torch.float32 and not torch.equal(coarse[name], values)
        torch.testing.assert_close(coarse[name], values, rtol=0, atol=0.02)


def test_bf16_training_keeps_weights_and_statistics_in_fp32() -> None:
    exact, coarse = recognizer(), recognizer()
    losses = train_once(exact, True, 0, 10, RuntimeConfig(precision="fp32"))
    rounded = train_once(coarse, True, 0, 10, RuntimeConfig(precision="bf16"))
    assert rounded["total"].isfinite() and not torch.equal(losses["total"], rounded["total"])
    assert all(value.dtype in (torch.float32, torch.int64) for value in coarse.state_dict().values())
    # After one convolution, before rounding adds up: bf16 keeps 8 bits.
    first = "vknet.encoders.rgb16.blocks.0.0.spatial.bn.running_var"
    torch.testing.assert_close(coarse.state_dict()[first], exact.state_dict()[first], rtol=2**-7, atol=0)


@pytest.mark.parametrize("fast", ["auto", "off"])
def test_memory_format_does_not_change_the_prediction(fast: Literal["auto", "off"]) -> None:
    model, windows = with_statistics(recognizer()), torch.arange(32).view(2, 16)
    frames, keypoints = (x.flatten(0, 1) for x in raw_batch(2))
    last = Predictor(model, RuntimeConfig(fast=fast))(frames, keypoints, windows)
    runtime = RuntimeConfig(memory_format="contiguous", fast=fast)
    first = Predictor(model, runtime)(frames, keypoints, windows)
    for name, values in last.items():
        torch.testing.assert_close(first[name], values, rtol=0, atol=1e-6)


@pytest.mark.parametrize("start", [4])
def test_evaluation_takes_the_middle_of_the_clip(start: int) -> None:
    assert central_draw(MODEL).short_start == start
