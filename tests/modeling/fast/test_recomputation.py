"""Training is the same whatever is kept for the backward pass, and what has a recipe is not kept."""

import weakref

import pytest
import torch
from torch import Tensor, nn

from modeling.fast import for_training, recomputation
from modeling.fast.recomputation import combine, recipe_of, with_recipe
from modeling.heatmaps import factored_heatmaps
from modeling.vknet import VKNet


def trained(factored: bool) -> tuple[dict[str, Tensor], int]:
    """Gradients and statistics after a step of a small network, and how many values were kept of its maps."""
    torch.manual_seed(0)
    network = VKNet({"rgb": 3, "keypoint": 5}, [16, 8], width=0.1, momentum=0.1).double()
    for_training(network)
    points = 64 * torch.rand(2, 16, 5, 2, dtype=torch.float64)
    heatmaps = factored_heatmaps(points, 32, grid=64, sigma=4.0)
    video = torch.randn(2, 3, 16, 64, 64, dtype=torch.float64)
    inputs = {}
    for length, window in ((16, slice(0, 16)), (8, slice(4, 12))):
        inputs[f"rgb{length}"] = video[:, :, window].contiguous(memory_format=torch.channels_last_3d)
        part = heatmaps.at(window)
        inputs[f"keypoint{length}"] = part if factored else part.maps()
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.ndim == 5 and len(tensor) == 2:
            kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        features = network(inputs)
    torch.stack(list(features.values())).square().sum().backward()
    state = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return state | dict(network.named_buffers()), sum(kept.values())


@pytest.mark.parametrize("factored", [False, True])
def test_training_does_not_depend_on_what_is_kept(factored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, most = trained(factored)  # these maps are too small to compute any again
    monkeypatch.setattr(recomputation, "ACTIVATION", 0)
    some_again, some = trained(factored)
    monkeypatch.setattr(recomputation, "CONVOLUTION", 0)
    all_again, few = trained(factored)
    assert few < some < most
    for name, value in wanted.items():
        torch.testing.assert_close(some_again[name], value, rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(all_again[name], value, rtol=1e-7, atol=1e-10)


def test_a_recipe_is_let_go_when_it_has_been_used() -> None:
    conv = nn.Conv3d(2, 2, (1, 3, 3), padding=(0, 1, 1), bias=False)
    for_training(conv)
    x = torch.randn(1, 2, 2, 4, 4, requires_grad=True)
    source = x.detach().clone()
    held = weakref.ref(source)
    y = conv(with_recipe(x.square(), lambda source=source: source.square()))
    del source
    assert held() is not None
    y.sum().backward()
    assert held() is None and y.grad_fn is not None


def test_a_map_of_maps_has_a_recipe_if_all_of_them_have_one() -> None:
    def joined(*maps: Tensor) -> Tensor:
        return torch.cat(maps, dim=1)

    a, b = torch.randn(1, 2, 1, 1, 1), torch.randn(1, 3, 1, 1, 1)
    assert recipe_of(combine(joined, with_recipe(a, lambda: a), b)) is None
    with_recipe(b, lambda: 2 * b)
    recipe = recipe_of(combine(joined, a, b))
    assert recipe is not None and torch.equal(recipe(), torch.cat([a, 2 * b], dim=1))
    assert recipe_of(combine(joined, a, b, worth=lambda x: x.numel() > 5)) is None


def test_a_map_that_was_changed_has_no_recipe() -> None:
    x = with_recipe(torch.ones(2), lambda: torch.ones(2))
    assert recipe_of(x) is not None
    x += 1
    assert recipe_of(x) is None
