"""Optimiser and learning rate of the recipe (specification section 9)."""

import math

import pytest
import torch
from torch import nn

from modeling.config import TrainingConfig
from modeling.optimizer import build_optimizer, learning_rate


def test_epoch_e_runs_at_the_next_value_of_the_cosine_and_the_last_at_zero() -> None:
    config = TrainingConfig()
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100)
    for epoch in range(100):
        optimizer.step()
        schedule.step()
        assert learning_rate(config, epoch) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
    assert learning_rate(config, 0) == pytest.approx(0.5e-3 * (1 + math.cos(math.pi / 100)))
    assert learning_rate(config, 99) == pytest.approx(0.0, abs=1e-18)


def test_one_cycle_rises_for_a_quarter_and_falls_to_zero() -> None:
    config = TrainingConfig(schedule="one_cycle", epochs=8)
    rates = [learning_rate(config, step // 10, (step % 10) / 10) for step in range(80)]
    assert rates[0] == 0
    assert rates[10] == pytest.approx(0.5e-3)
    assert max(rates) == rates[20] == config.learning_rate
    assert rates[50] == pytest.approx(0.5e-3)
    assert sorted(rates[20:], reverse=True) == rates[20:]
    assert learning_rate(config, 7, 1.0) == pytest.approx(0, abs=1e-18)


def test_adam_decays_in_the_gradient_and_adamw_apart_from_it() -> None:
    """With a zero gradient and L2, Adam's first step is the full learning rate; AdamW shrinks by lr * decay."""
    after = {}
    for name in ("adam", "adamw"):
        layer = nn.Linear(1, 1)
        nn.init.constant_(layer.weight, 2.0)
        optimizer = build_optimizer(
            layer, TrainingConfig(optimizer=name, learning_rate=0.1, weight_decay=0.5)
        )  # type: ignore[arg-type]
        layer.weight.grad = torch.zeros_like(layer.weight)
        optimizer.step()
        after[name] = float(layer.weight.detach())
    assert after["adam"] == pytest.approx(1.9, abs=1e-4)
    assert after["adamw"] == pytest.approx(2.0 * (1 - 0.1 * 0.5), abs=1e-6)


def test_every_parameter_is_trained_with_the_recipe() -> None:
    model = nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4))
    optimizer = build_optimizer(model, TrainingConfig())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (
            1e-3,
            (0.9, 0.998),
            1e-8,
            1e-3,
        )
