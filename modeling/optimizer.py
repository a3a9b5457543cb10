"""The optimiser and the learning rate of the recipe (specification section 9)."""

import math

import torch
from torch import nn

from modeling.config import TrainingConfig


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


def learning_rate(config: TrainingConfig, epoch: int) -> float:
    """The rate in force during an epoch, counted from 0.

    Cosine annealing, stepped once before each epoch: epoch e runs at the (e + 1)-th value, the last one at 0.
    """
    return config.learning_rate * (1.0 + math.cos(math.pi * (epoch + 1) / config.epochs)) / 2.0
