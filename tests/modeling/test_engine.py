"""One training step and the prediction of a batch, on a tiny network."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from modeling.augment import central_draw, draw_augmentation
from modeling.config import (
    AugmentConfig,
    InterModalityMixupConfig,
    IntraModalityMixupConfig,
    LabelSmoothingConfig,
    LossConfig,
    ModelConfig,
    TrainingConfig,
)
from modeling.engine import TrainingStep, predict_batch
from modeling.objective import Objective
from modeling.optimizer import build_optimizer
from modeling.recognizer import Recognizer

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


def train_once(model: Recognizer, integrate: bool, epoch: int, epochs: int) -> dict[str, Tensor]:
    loss = LossConfig(
        LabelSmoothingConfig("language"),
        IntraModalityMixupConfig(probability=1.0),
        InterModalityMixupConfig(enabled=True, integrate=integrate, momentum=0.9),
    )
    config = TrainingConfig(epochs=epochs, batch_size=2, learning_rate=0.01)
    objective = Objective(loss, 3, model.gloss_embeddings)
    step = TrainingStep(model, model, objective, build_optimizer(model, config), config)
    draw = draw_augmentation(AugmentConfig(), MODEL, 32, np.random.default_rng(0))
    batch = step.prepare(*raw_batch(2), torch.tensor([0, 2]), [draw], np.random.default_rng(3))
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
    model = recognizer()
    before = copy.deepcopy(dict(model.named_parameters()))
    losses = train_once(model, integrate=False, epoch=9, epochs=10)
    assert all(
        torch.allclose(before[name], value, rtol=0, atol=1e-12) for name, value in model.named_parameters()
    )
    assert len([name for name in losses if name.startswith("recognition/")]) == 7
    assert len([name for name in losses if name.startswith("inter_modality/")]) == 7
    assert not any(value.requires_grad for value in losses.values())


def test_the_crops_of_a_clip_stay_together() -> None:
    model = recognizer().eval()
    frames, keypoints = raw_batch(6)
    together = predict_batch(model, frames, keypoints, crops=3)
    apart = predict_batch(model, frames, keypoints)
    for name, values in together.items():
        assert values.shape == (2, 3, 3)
        for clip in range(2):
            torch.testing.assert_close(values[clip], apart[name][3 * clip : 3 * clip + 3, 0])
        torch.testing.assert_close(values.sum(dim=2), torch.ones(2, 3))


def test_prediction_of_a_clip_does_not_depend_on_its_batch() -> None:
    model = recognizer().train()  # prediction itself must switch to evaluation
    frames, keypoints = raw_batch(3)
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    together = predict_batch(model, frames, keypoints)
    alone = predict_batch(model, frames[1:2], keypoints[1:2])
    for name, values in together.items():
        torch.testing.assert_close(values[1:2], alone[name], rtol=0, atol=1e-6)
    assert all(torch.equal(value, statistics[name]) for name, value in model.named_buffers())


@pytest.mark.parametrize("start", [4])
def test_evaluation_takes_the_middle_of_the_clip(start: int) -> None:
    assert central_draw(MODEL).short_start == start
