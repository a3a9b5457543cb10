"""An encoder of somebody else: registered from outside, it trains and predicts without a change to our files."""

import copy
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from modeling.augment import Draw
from modeling.config import LossConfig, ModelConfig, RuntimeConfig, TrainingConfig
from modeling.encoders import ENCODERS
from modeling.engine import accelerate
from modeling.objective import Objective
from modeling.optimizer import build_optimizer
from modeling.recognition import Predictor, Preparation, RecognitionStep
from modeling.recognizer import Recognizer
from utils.errors import UserError


class ToyEncoder(nn.Module):
    """Two blocks of stock layers, each of which halves time, height and width."""

    def __init__(self, in_channels: int, width: float, momentum: float):
        super().__init__()
        self.block_channels = [8, 12]
        self.blocks = nn.ModuleList()
        for inputs, outputs in ((in_channels, 8), (8, 12)):
            conv = nn.Conv3d(inputs, outputs, 3, stride=2, padding=1)
            again = nn.Conv3d(
                outputs, outputs, (1, 3, 3), padding=(0, 1, 1), bias=False
            )  # one that the passes know
            self.blocks.append(
                nn.Sequential(conv, nn.GELU(), nn.MaxPool3d(3, 1, 1), again, nn.GroupNorm(2, outputs))
            )


MODEL = ModelConfig(
    frames=[16, 8], encoder="toy", rgb_size=64, heatmap_size=32, heatmap_grid=32, heatmap_sigma=2.0
)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(ENCODERS, "toy", ToyEncoder)
    yield


def recognizer() -> Recognizer:
    torch.manual_seed(0)
    return Recognizer(MODEL, 5, 3)


def raw_clips() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    frames = torch.randint(256, (2, 16, 32, 32, 3), generator=rng, dtype=torch.uint8)
    return frames, 32 * torch.rand(2, 16, 5, 3, generator=rng)


def train(model: Recognizer, runtime: RuntimeConfig) -> dict[str, Tensor]:
    config, loss = TrainingConfig(batch_size=2), LossConfig()
    accelerate(model, runtime)
    optimizer = build_optimizer(model, config)
    step = RecognitionStep(model, model, Objective(loss, 3, None), optimizer, config, runtime)
    prepare = Preparation(MODEL, loss.intra_modality_mixup, parts=1)
    return step(prepare(*raw_clips(), torch.tensor([0, 2]), [Draw(4)], np.random.default_rng(0)), 0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_trains_and_predicts(precision: Literal["fp32", "bf16"]) -> None:
    """The same with the passes of modeling/fast, which leave it alone, and without."""
    exact = 1e-5 if precision == "fp32" else 0.02
    results = []
    for fast in ("auto", "off"):
        runtime = RuntimeConfig(precision=precision, fast=fast)  # type: ignore[arg-type]
        model = recognizer()
        before = copy.deepcopy(dict(model.named_parameters()))
        losses = train(model, runtime)
        gradients = {
            name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None
        }
        assert gradients.keys() == before.keys()
        assert all(not torch.equal(before[name], weight) for name, weight in model.named_parameters())
        frames, keypoints = (x.flatten(0, 1) for x in raw_clips())
        steps = torch.arange(16)
        windows = torch.stack([steps, (steps - 3).clamp(0), steps + 16, steps + 13])
        found = Predictor(recognizer(), runtime)(frames, keypoints, windows, crops=2)
        results.append((losses, found, gradients))
    (losses, found, ours), (plain_losses, wanted, theirs) = results
    torch.testing.assert_close(losses, plain_losses, rtol=exact, atol=exact)
    torch.testing.assert_close(found, wanted, rtol=0, atol=exact)
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() <= 10 * exact * gradient.norm() + 1e-7, name


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(UserError, match=r"^model\.encoder: 'foo' is not known; known: s3d, toy$"):
        Recognizer(ModelConfig(encoder="foo"), 5, 3)
