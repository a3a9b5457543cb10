"""Layers that keep less for the backward pass against the plain ones."""

import copy

import pytest
import torch
from torch import Tensor, nn

from modeling.fast import for_training, recomputation
from modeling.fast.training import FastMixed, run_layers
from modeling.s3d import S3D, ConvBNReLU, Mixed


def clip(channels: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    x = torch.randn(2, channels, 4, 6, 6, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last_3d).requires_grad_()


def assert_trained_alike(module: nn.Module, x: Tensor) -> None:
    """The same output, gradients and running statistics with the pass over the module as without."""
    other = copy.deepcopy(module)
    for_training(module)
    theirs = copy.deepcopy(x.detach()).requires_grad_()
    ours, wanted = module(x), other(theirs)
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-12)
    upstream = torch.randn(ours.shape, dtype=ours.dtype, generator=torch.Generator().manual_seed(3))
    ours.backward(upstream)
    wanted.backward(upstream)
    torch.testing.assert_close(x.grad, theirs.grad, rtol=0, atol=1e-11)
    for (name, a), (_, b) in zip(module.named_parameters(), other.named_parameters(), strict=True):
        assert a.grad is not None and b.grad is not None, name
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-10)
    for (_, a), (_, b) in zip(module.named_buffers(), other.named_buffers(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("least", [0, 2**20])
def test_a_block_trains_as_the_plain_one(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recomputation, "ACTIVATION", least)
    torch.manual_seed(0)
    block = Mixed(8, (8, 8, 16, 8, 8, 8), momentum=0.1).double()
    with torch.no_grad():
        for module in block.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.weight.uniform_(-1, 1)
                module.bias.uniform_(-1, 1)
    assert_trained_alike(block, clip(8))
    assert type(block) is FastMixed


def test_nothing_but_the_input_of_batch_norm_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """One map a layer, and the input of the first."""
    monkeypatch.setattr(recomputation, "ACTIVATION", 0)
    torch.manual_seed(0)
    layers = [ConvBNReLU(8, 8, (1, 3, 3), momentum=0.1), ConvBNReLU(8, 8, (3, 1, 1), momentum=0.1)]
    for_training(nn.Sequential(*layers))
    kept: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        if tensor.ndim == 5 and tensor.shape[0] == 2:
            kept.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        run_layers(layers, clip(8, dtype=torch.float32))
    assert len(set(kept)) == 3


@pytest.mark.parametrize("window", [(3, 1, 1), (3, 2, 1), (2, 2, 0), ((1, 3, 3), (1, 2, 2), (0, 1, 1))])
def test_max_pool_is_torchs(window: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recomputation, "ACTIVATION", 0)
    ours, theirs = (clip(5).detach().relu().requires_grad_() for _ in range(2))  # ties among the zeros
    fast = nn.MaxPool3d(*window)
    for_training(fast)
    found, wanted = fast(ours), nn.MaxPool3d(*window)(theirs)
    assert torch.equal(found, wanted)
    upstream = torch.randn(found.shape, dtype=found.dtype, generator=torch.Generator().manual_seed(3))
    found.backward(upstream)
    wanted.backward(upstream)
    assert ours.grad is not None and theirs.grad is not None and torch.equal(ours.grad, theirs.grad)


def test_in_evaluation_running_statistics_are_used() -> None:
    torch.manual_seed(0)
    encoder = S3D(3, width=0.1).eval()
    for_training(encoder)
    x = torch.randn(1, 3, 16, 32, 32)
    with_gradients = encoder(x)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), with_gradients, rtol=0, atol=1e-6)
