"""The loss of continuous recognition against sums over all paths, written out."""

import itertools

import pytest
import torch
from torch import Tensor

from modeling.continuous.config import ContinuousLossConfig
from modeling.continuous.network import ContinuousOutput, with_ensembles
from modeling.continuous.objective import ContinuousObjective, ctc_loss, distillation_loss


def paths_probability(logits: Tensor, glosses: list[int]) -> Tensor:
    """Of all paths [T] over classes that give these glosses, by going through all of them."""
    p, total = logits.softmax(dim=1), torch.zeros((), dtype=logits.dtype)
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        read = [c for before, c in zip((0, *path), path, strict=False) if c != before and c]
        if read == glosses:
            total = total + torch.stack([p[t, c] for t, c in enumerate(path)]).prod()
    return total


def test_ctc_sums_over_all_paths_of_the_valid_steps() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 3, dtype=torch.float64)
    found = ctc_loss(logits, torch.tensor([5, 4]), torch.tensor([[1, 1], [2, 0]]), torch.tensor([2, 1]))
    expected = -(paths_probability(logits[0], [1, 1]).log() + paths_probability(logits[1, :4], [2]).log()) / 2
    torch.testing.assert_close(found, expected)


def test_a_sentence_that_cannot_be_read_costs_nothing() -> None:
    logits = torch.randn(1, 2, 3, dtype=torch.float64, requires_grad=True)
    loss = ctc_loss(
        logits, torch.tensor([2]), torch.tensor([[1, 1]]), torch.tensor([2])
    )  # needs a blank between
    loss.backward()
    assert loss == 0 and logits.grad is not None and not logits.grad.any()


def test_distillation_is_summed_over_padded_steps_too() -> None:
    torch.manual_seed(0)
    logits, teacher = torch.randn(2, 2, 5, 3, dtype=torch.float64).unbind()
    p, q = teacher.softmax(dim=2), logits.softmax(dim=2)
    torch.testing.assert_close(distillation_loss(logits, p), (p * (p / q).log()).sum() / 2)


@pytest.mark.parametrize("distillation", [1.0, 0.0])
def test_the_total_weighs_its_parts(distillation: float) -> None:
    torch.manual_seed(0)
    names = ["rgb", "keypoint", "joint", "rgb_block2", "rgb_block3", "keypoint_block2", "keypoint_block3"]
    logits = {name: torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True) for name in names}
    output = ContinuousOutput(logits, dict.fromkeys(names, torch.tensor([6, 4])))
    glosses, counts = torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1])
    objective = ContinuousObjective(ContinuousLossConfig(distillation=distillation))
    total, parts = objective(output, glosses, counts)
    weights = dict.fromkeys(names[:3], 1.0) | dict.fromkeys(names[3:5], 0.2) | dict.fromkeys(names[5:], 0.5)
    expected = sum(weight * parts[f"ctc/{name}"] for name, weight in weights.items())
    if distillation:
        expected = expected + sum(parts[f"distillation/{name}"] for name in names[:3])
        teacher = with_ensembles(output).logits["ensemble_last"].softmax(dim=2)
        torch.testing.assert_close(parts["distillation/rgb"], distillation_loss(logits["rgb"], teacher))
    assert len(parts) == (10 if distillation else 7)
    torch.testing.assert_close(total, expected)


def test_the_teacher_gets_no_gradient() -> None:
    torch.manual_seed(0)
    names = ["rgb", "keypoint", "joint"]
    logits = {name: torch.randn(1, 6, 4, dtype=torch.float64, requires_grad=True) for name in names}
    output = ContinuousOutput(logits, dict.fromkeys(names, torch.tensor([6])))
    _, parts = ContinuousObjective(ContinuousLossConfig())(output, torch.tensor([[1]]), torch.tensor([1]))
    parts["distillation/rgb"].backward()
    assert logits["rgb"].grad is not None and logits["keypoint"].grad is None
