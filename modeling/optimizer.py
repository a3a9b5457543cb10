"""The optimiser and the learning rate of the recipe (specification section 9)."""

import math

import torch
from torch import nn

from modeling.config import TrainingConfig

RISE = 0.25  # the share of a training in which the rate of `one_cycle` rises


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam or AdamW over all parameters, biases and BatchNorm included."""
    build = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return build(
        model.parameters(),
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,
    )


def learning_rate(config: TrainingConfig, epoch: int, share: float = 0.0) -> float:
    """The rate in force during an epoch, counted from 0, when a share of it in [0, 1] is over.

    `cosine` is annealing, stepped once before each epoch: epoch e runs at the (e + 1)-th value, the last one at 0.
    `one_cycle` changes within epochs: a straight rise for a quarter of the training, then half a cosine down to 0.
    """
    if config.schedule == "cosine":
        return _falling(config.learning_rate, (epoch + 1) / config.epochs)
    passed = (epoch + share) / config.epochs
    if passed < RISE:
        return config.learning_rate * passed / RISE
    return _falling(config.learning_rate, (passed - RISE) / (1.0 - RISE))


def _falling(highest: float, passed: float) -> float:
    """Half a cosine, from `highest` to 0."""
    return highest * (1.0 + math.cos(math.pi * passed)) / 2.0
