"""A batch computed in parts, one after the other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from modeling.augment import Draw
from modeling.config import IntraModalityMixupConfig, LossConfig, ModelConfig, RuntimeConfig, TrainingConfig
from modeling.objective import Objective
from modeling.optimizer import build_optimizer
from modeling.recognition import Preparation, RecognitionStep
from modeling.recognizer import Recognizer
from modeling.whole_batch_norm import use_whole_batches

MODEL = ModelConfig(
    modalities=["keypoint"], frames=[8], width=0.01, heatmap_size=32, heatmap_grid=32, heatmap_sigma=2.0
)
CLIPS, GLOSSES = 4, 3
LOSS = LossConfig(intra_modality_mixup=IntraModalityMixupConfig(probability=1.0, group_size=2))


def recognizer() -> Recognizer:
    torch.manual_seed(0)
    return Recognizer(MODEL, 5, GLOSSES, None, auxiliary=False)


def training_step(
    model: Recognizer, accumulate: int, parallel: nn.Module | None = None, **more: Any
) -> RecognitionStep:
    config = TrainingConfig(epochs=10, batch_size=CLIPS, accumulate=accumulate, **more)
    objective, optimizer = Objective(LOSS, GLOSSES, None), build_optimizer(model, config)
    return RecognitionStep(model, parallel or model, objective, optimizer, config, RuntimeConfig())


def train(
    step: RecognitionStep, clips: slice = slice(CLIPS), part: int = 0, mixup: float = 1.0
) -> dict[str, Tensor]:
    keypoints = 32 * torch.rand(CLIPS, 8, 5, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 2, 1, 1])
    draws = [Draw(jitter) for jitter in range(CLIPS)]
    rng = np.random.default_rng(3)
    mixing = replace(LOSS.intra_modality_mixup, probability=mixup)
    prepare = Preparation(MODEL, mixing, step.config.accumulate)
    return step(prepare(None, keypoints[clips], labels[clips], draws[clips], rng, part), 0)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def test_parts_are_trained_on_as_processes_would() -> None:
    """Losses and gradients are the means over the parts, each with its own share of clips, draws and mixup."""
    whole = recognizer()
    losses = train(training_step(whole, accumulate=2))
    halves = [recognizer(), recognizer()]
    of_halves = [
        train(training_step(model, accumulate=1), slice(2 * part, 2 * part + 2), part)
        for part, model in enumerate(halves)
    ]
    for name, loss in losses.items():
        torch.testing.assert_close(loss, (of_halves[0][name] + of_halves[1][name]) / 2)
    first, second = map(gradients, halves)
    assert first
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradient, (first[name] + second[name]) / 2)


@pytest.mark.parametrize("wrapped", [False, True])
def test_batchnorm_may_cover_all_parts(wrapped: bool, tmp_path: Path) -> None:
    """Then the losses and the statistics are those of the batch in one piece. Up to 2e-4 of rounding was seen in single
    precision; test_whole_batch_norm.py compares in double."""
    whole, parted = recognizer(), recognizer()
    expected = train(training_step(whole, accumulate=1), mixup=0)
    use_whole_batches(parted)
    if wrapped:
        dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        parallel = DistributedDataParallel(parted, broadcast_buffers=False) if wrapped else parted
        found = train(training_step(parted, 2, parallel, accumulate_norm="batch"), mixup=0)
    finally:
        if wrapped:
            dist.destroy_process_group()
    by_parts = train(training_step(recognizer(), 2), mixup=0)
    assert found.keys() == expected.keys()
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss, rtol=1e-3, atol=1e-5)
        assert abs(by_parts[name] - loss) > 5e-3 * loss
    for name, value in whole.named_buffers():
        torch.testing.assert_close(parted.get_buffer(name), value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_processes_exchange_gradients_once_a_step(tmp_path: Path, accumulate: int) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        model = recognizer()
        parallel = DistributedDataParallel(model)
        sent: list[int] = []

        def count(state: Any, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
            sent.append(bucket.buffer().numel())
            return allreduce_hook(state, bucket)

        parallel.register_comm_hook(None, count)
        train(training_step(model, accumulate, parallel))
        assert sum(sent) == sum(weight.numel() for weight in model.parameters())
    finally:
        dist.destroy_process_group()
