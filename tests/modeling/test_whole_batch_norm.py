"""BatchNorm over the parts of a batch: as over the whole batch, where it can be."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modeling.config import ModelConfig
from modeling.recognizer import Recognizer
from modeling.whole_batch_norm import WholeBatchNorm, take_down, use_whole_batches


def run(norm: nn.Module, parts: list[Tensor]) -> list[Tensor]:
    take_down(norm, [partial(norm, part) for part in parts])
    return [norm(part) for part in parts]


@pytest.mark.parametrize(
    ("plain", "shape"), [(nn.BatchNorm1d(3), (12, 3)), (nn.BatchNorm3d(3), (12, 3, 2, 4, 5))]
)
def test_one_layer_normalizes_and_follows_as_over_the_whole_batch(
    plain: nn.Module, shape: tuple[int, ...]
) -> None:
    plain.double()
    nn.init.normal_(plain.weight)  # type: ignore[arg-type]
    nn.init.normal_(plain.bias)  # type: ignore[arg-type]
    x, other = 2 + 3 * torch.randn(shape).double(), torch.randn(shape).double()
    parted = copy.deepcopy(plain)
    use_whole_batches(parted)
    assert type(parted) is WholeBatchNorm and parted.state_dict().keys() == plain.state_dict().keys()
    expected, found = plain(x), torch.cat(run(parted, list(x.split([2, 4, 6]))))
    torch.testing.assert_close(found, expected)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(parted.state_dict()[name], value)
    for result in (expected, found):
        (result * other).sum().backward()
    torch.testing.assert_close(parted.weight.grad, plain.weight.grad)
    torch.testing.assert_close(parted.bias.grad, plain.bias.grad)
    torch.testing.assert_close(parted.eval()(x), plain.eval()(x))


def test_gradients_of_parts_that_resemble_each_other_are_exact() -> None:
    """Each part is taken for all; here they are all alike."""
    plain = nn.BatchNorm1d(3).double()
    parted = copy.deepcopy(plain)
    use_whole_batches(parted)
    part, other = torch.randn(5, 3).double().requires_grad_(), torch.randn(5, 3).double()
    sum((y * other).sum() for y in run(parted, [part] * 3)).backward()
    found, part.grad = part.grad, None
    (plain(torch.cat([part] * 3)) * torch.cat([other] * 3)).sum().backward()
    torch.testing.assert_close(found, part.grad)


def test_a_network_computes_as_on_the_whole_batch() -> None:
    torch.manual_seed(0)
    config = ModelConfig(modalities=["rgb"], frames=[8], width=0.1, rgb_size=32, heatmap_size=32)
    plain = Recognizer(config, 63, 5).double().train()
    inputs = {"rgb8": torch.randn(8, 3, 8, 32, 32).double() * torch.linspace(0.2, 2, 8).view(-1, 1, 1, 1, 1)}

    def logits(network: nn.Module, clips: slice) -> Any:
        return network({name: x[clips] for name, x in inputs.items()}).logits["rgb8"]

    parts = [slice(start, start + 2) for start in range(0, 8, 2)]
    parted = copy.deepcopy(plain)
    use_whole_batches(parted)
    take_down(parted, [partial(logits, parted, part) for part in parts])
    found = torch.cat([logits(parted, part) for part in parts])
    expected = logits(plain, slice(0, 8))
    torch.testing.assert_close(found, expected)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(parted.state_dict()[name], value)


def test_a_part_that_fails_ends_the_others() -> None:
    norm = nn.BatchNorm1d(3)
    use_whole_batches(norm)
    with pytest.raises(ZeroDivisionError):
        take_down(norm, [lambda: norm(torch.ones(4, 3)), lambda: 1 / 0])
    assert norm.meeting is None
