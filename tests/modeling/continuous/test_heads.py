"""Heads over time: masked BatchNorm, positions, and what padding does and does not change."""

import math

import pytest
import torch
from torch import nn

from modeling.continuous.heads import MaskedBatchNorm, SequenceHead, positions

LENGTHS = [5, 3]
MASK = torch.arange(5) < torch.tensor(LENGTHS)[:, None]


def test_batch_norm_sees_the_valid_steps_alone_and_lets_the_others_pass() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 4, dtype=torch.float64) * 3 + 1
    layer = MaskedBatchNorm(4).double().train()
    found = layer(x, MASK)
    valid = torch.cat([x[0, :5], x[1, :3]])
    mean, variance = valid.mean(dim=0), valid.var(dim=0, correction=0)
    torch.testing.assert_close(found[MASK], (valid - mean) / (variance + 1e-5).sqrt())
    assert torch.equal(found[~MASK], x[~MASK])
    torch.testing.assert_close(layer.norm.running_mean, 0.1 * mean)
    torch.testing.assert_close(layer.norm.running_var, 0.9 + 0.1 * valid.var(dim=0))


def test_in_evaluation_every_step_is_normalised_by_the_running_statistics() -> None:
    layer = MaskedBatchNorm(4).eval()
    assert layer.norm.running_mean is not None and layer.norm.running_var is not None
    layer.norm.running_mean.fill_(1.0)
    layer.norm.running_var.fill_(4.0)
    x = torch.randn(2, 5, 4)
    torch.testing.assert_close(layer(x, MASK), (x - 1) / math.sqrt(4 + 1e-5))


def test_gradients_of_padded_steps_do_not_reach_the_statistics() -> None:
    layer = MaskedBatchNorm(4).double().train()
    x = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    (layer(x, MASK)[MASK] ** 3).sum().backward()
    assert x.grad is not None and not x.grad[~MASK].any() and x.grad[MASK].abs().min() > 0


def test_positions_are_sines_on_even_and_cosines_on_odd_channels() -> None:
    found = positions(7, 6, torch.zeros(1, dtype=torch.float64))
    assert found.shape == (7, 6) and found[0].tolist() == [0, 1, 0, 1, 0, 1]
    for step in range(7):
        for pair in range(3):
            angle = step / 10000 ** (2 * pair / 6)
            expected = torch.tensor([math.sin(angle), math.cos(angle)], dtype=torch.float64)
            torch.testing.assert_close(found[step, 2 * pair : 2 * pair + 2], expected)


def test_a_head_follows_the_specification() -> None:
    torch.manual_seed(0)
    head = SequenceHead(["a"], 6, 9, 8, dropout=0.0).double().eval()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    inner = torch.relu(head.masked_bn(head.reduce(x), MASK)) + positions(5, 8, x)
    first, second = (head.feed_forward.layers[i] for i in (0, 3))
    assert isinstance(first, nn.Conv1d) and (first.out_channels, first.kernel_size) == (32, (3,))
    normed = nn.functional.layer_norm(inner, (8,), eps=1e-6).transpose(1, 2)
    inner = inner + second(first(normed).relu()).transpose(1, 2)
    expected = nn.functional.layer_norm(inner, (8,), eps=1e-6)
    torch.testing.assert_close(head.representation(x, MASK), expected)
    torch.testing.assert_close(head(x, MASK), head.classifier(expected))


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_for_training_alone(training: bool) -> None:
    head = SequenceHead(["a"], 6, 9, 8, dropout=0.5).train(training)
    x = torch.randn(2, 5, 6)
    assert torch.equal(head(x, MASK), head(x, MASK)) != training
