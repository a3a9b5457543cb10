"""The optimiser and the learning rate of the recipe (specification section 9)."""

import math

import torch
from torch import nn

from modeling.config import TrainingConfig
from utils.errors import UserError

RISE = 0.25  # the share of a training in which the rate of `one_cycle` rises


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam or AdamW over all parameters, biases and BatchNorm included.

    Groups of parameters with a rate of their own have its share of `learning_rate` as `share`.

    Raises:
        UserError: no parameter has a name that begins as configured.
    """
    build = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    left, groups = dict(model.named_parameters()), []
    for start, rate in config.part_rates.items():
        part = {name: left.pop(name) for name in list(left) if name.startswith(start)}
        if not part:
            raise UserError(
                f"training.part_rates: this network has no weights whose names begin with {start!r}"
            )
        groups.append({"params": list(part.values()), "share": rate / config.learning_rate})
    groups.append({"params": list(left.values()), "share": 1.0})
    return build(
        groups,
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,
    )


def learning_rate(config: TrainingConfig, epoch: int, share: float = 0.0) -> float:
    """The rate in force during an epoch, counted from 0, when a share of it in [0, 1] is over.

    `cosine` is annealing, stepped once before each epoch: epoch e runs at the (e + 1)-th value, the last one of a
    period at 0.
    `one_cycle` changes within epochs: a straight rise for a quarter of the training, then half a cosine down to 0.
    """
    period = config.period or config.epochs
    if config.schedule == "cosine":
        return _falling(config.learning_rate, (epoch + 1) / period)
    passed = (epoch + share) / period
    if passed < RISE:
        return config.learning_rate * passed / RISE
    return _falling(config.learning_rate, (passed - RISE) / (1.0 - RISE))


def _falling(highest: float, passed: float) -> float:
    """Half a cosine, from `highest` to 0."""
    return highest * (1.0 + math.cos(math.pi * passed)) / 2.0
