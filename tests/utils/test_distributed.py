"""Processes without a launcher, and synchronised BatchNorm against the plain one."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.distributed import Processes, SyncBatchNormCPU, distribute, start_processes
from utils.errors import UserError


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_started_plainly_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    processes = start_processes("cpu")
    assert processes == Processes(0, 1, torch.device("cpu")) and processes.is_main
    assert processes.gather({"a": 1}) == [{"a": 1}]
    assert processes.mean(torch.tensor(3.0)) == 3.0
    assert processes.any(True) and not processes.any(False)
    processes.barrier()
    model = nn.BatchNorm3d(2)
    assert distribute(model, processes) is model


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_on_a_machine_without_it_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match=r"runtime\.device"):
        start_processes("cuda")


@pytest.mark.usefixtures("group")
def test_synchronised_batch_norm_of_one_process_is_batch_norm() -> None:
    torch.manual_seed(0)
    plain, ours = (
        nn.BatchNorm3d(3, eps=1e-3, momentum=0.1).double(),
        SyncBatchNormCPU(3, eps=1e-3, momentum=0.1).double(),
    )
    with torch.no_grad():
        for norm in (plain, ours):
            norm.weight.copy_(torch.tensor([0.5, 1.5, -1.0]))
            norm.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
    x = 5 + 2 * torch.randn(2, 3, 2, 3, 4, dtype=torch.float64)
    upstream = torch.randn_like(x)
    gradients = []
    for norm in (plain, ours):
        leaf = x.clone().requires_grad_()
        for _ in range(2):
            y = norm(leaf)
        gradients.append((y, *torch.autograd.grad(y, [leaf, norm.weight, norm.bias], upstream)))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(plain.state_dict(), ours.state_dict())
    torch.testing.assert_close(plain.eval()(x), ours.eval()(x))


@pytest.mark.usefixtures("group")
def test_synchronised_batch_norm_computes_bf16_in_fp32() -> None:
    plain, ours = nn.BatchNorm3d(3), SyncBatchNormCPU(3)
    x = (5 + 2 * torch.randn(2, 3, 2, 3, 4)).bfloat16()
    wanted, found = plain(x), ours(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted, rtol=2**-7, atol=2**-7)
    torch.testing.assert_close(ours.state_dict(), plain.state_dict())


@pytest.mark.parametrize("counts", [[5, 1], [2, 3, 7]], ids=str)
def test_synchronised_batch_norm_of_uneven_counts_is_that_of_all_values(
    counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs, gradients and running statistics, where threads stand for the processes. Two steps."""
    torch.manual_seed(0)
    steps = [3 + 2 * torch.randn(sum(counts), 4, dtype=torch.float64) for _ in range(2)]
    upstream = torch.randn(sum(counts), 4, dtype=torch.float64)
    ranks, exchanged = threading.local(), [torch.empty(0)] * len(counts)
    barrier = threading.Barrier(len(counts), timeout=10)

    def all_reduce(value: Tensor) -> None:
        exchanged[ranks.own] = value.clone()
        barrier.wait()
        value.copy_(torch.stack(exchanged).sum(dim=0))
        barrier.wait()

    def learn(norm: nn.Module, rank: int | None) -> list[Tensor]:
        found = []
        for values in steps:
            ranks.own = rank
            part = slice(None) if rank is None else slice(sum(counts[:rank]), sum(counts[: rank + 1]))
            leaf = values[part].clone().requires_grad_()
            y = norm(leaf)
            found += [y.detach(), torch.autograd.grad(y, leaf, upstream[part])[0]]
        return found

    monkeypatch.setattr("utils.distributed.dist.all_reduce", all_reduce)
    plain = nn.BatchNorm1d(4, momentum=0.1).double()
    wanted = learn(plain, None)
    norms = [SyncBatchNormCPU(4, momentum=0.1).double() for _ in counts]
    with ThreadPoolExecutor(len(counts)) as threads:
        found = list(threads.map(learn, norms, range(len(counts))))
    for values, parts in zip(wanted, zip(*found, strict=True), strict=True):
        torch.testing.assert_close(torch.cat(parts), values)
    for norm in norms:
        torch.testing.assert_close(norm.state_dict(), plain.state_dict())
