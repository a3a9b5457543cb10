"""Processes of a distributed run: start, rank, reductions, and BatchNorm statistics over all of them.

Started by `torchrun` or `torch.distributed.launch` (both set RANK, WORLD_SIZE and LOCAL_RANK), or plainly as a
single process. gloo on CPU, nccl on CUDA.
"""

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.modules.batchnorm import _BatchNorm

from utils.errors import UserError


@dataclass(frozen=True)
class Processes:
    """Where this process stands among the others, and its device."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """The picklable values of all processes, by rank."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        if self.count > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
            value /= self.count
        return value

    def agree(self, figures: dict[str, Tensor], stop: bool) -> tuple[dict[str, float], bool]:
        """The means of some scalars over all processes, and whether any was asked to stop, in one reduction."""
        values = [*figures.values(), torch.tensor(float(stop), device=self.device)]
        *means, stopping = self.mean(torch.stack(values)).tolist()
        return dict(zip(figures, means, strict=True)), stopping > 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.count == 1:
            return flag
        value = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value)

    def largest(self, value: int) -> int:
        """The largest of the processes' values."""
        return max(self.gather(value))

    def barrier(self) -> None:
        if self.count > 1:
            dist.barrier()

    @contextmanager
    def telling_the_lost(self) -> Iterator[None]:
        """Say in one line that another process is gone, which torch tells as it finds out, in many words.

        Raises:
            UserError: another process of the group has ended.
        """
        try:
            yield
        except RuntimeError as error:
            if self.count > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error)):
                raise UserError(
                    f"process {self.rank} of {self.count}: another process has ended, so this one does; look for its "
                    "message. The same command continues from the last checkpoint"
                ) from None
            raise


def choose_device(device: str) -> torch.device:
    """The device to compute on: `auto` (CUDA if there is one), `cpu` or `cuda`.

    Raises:
        UserError: CUDA was asked for and there is none.
    """
    # oneDNN keeps 1,024 prepared operations by default, fewer than one training step of the full model needs: each
    # step would prepare them all anew (measured on small clips: 1.8 times as slow). Read at the first convolution.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
    _keep_freed_memory()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("runtime.device: cuda was asked for but this machine has none; use cpu or auto")
    return torch.device(device)


def _keep_freed_memory() -> None:
    """Let the C library keep the memory of freed tensors for the next ones, as torch does on a GPU.

    By default it returns much of it to the system, which then clears every page again for the next step. Only glibc has
    the switches; elsewhere nothing happens.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    trim_threshold, mmap_max = -1, -4  # names in malloc.h
    libc.mallopt(trim_threshold, -1)
    libc.mallopt(mmap_max, 0)


def start_processes(device: str, timeout: timedelta | None = None) -> Processes:
    """Join the process group the launcher announced, if any.

    Args:
        device: see `choose_device`.
        timeout: how long processes wait for one another; None: as long as torch thinks right.
    """
    place = choose_device(device)
    rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if place.type == "cuda":
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(place)
    if count > 1:
        backend = "nccl" if place.type == "cuda" else "gloo"
        dist.init_process_group(
            backend, store=_launcher_store(), rank=rank, world_size=count, timeout=timeout
        )
    return Processes(rank, count, place)


def _launcher_store() -> dist.Store | None:
    """Where processes find one another, if a launcher that may start them again keeps it; None: torch makes its own.

    torch 2.13 also reads there where the processes of the start before were, and waits for them.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    starts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return dist.PrefixStore(f"start {starts}", dist.TCPStore(address, port, is_master=False))


def stop_processes() -> None:
    """Leave the group; every process must come here."""
    if dist.is_initialized():
        # gloo's threads free the tensors of the last collectives, for which they need Python's lock. Whoever drops the
        # group, or a network that refers to it, holds the lock and waits for the threads: they must be done before.
        dist.barrier()
        time.sleep(0.5)
        dist.destroy_process_group()


class _Reduce(torch.autograd.Function):
    """Sum over processes, forward and backward."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        total = grad.clone()
        dist.all_reduce(total)
        return total


class SyncBatchNormCPU(_BatchNorm):
    """BatchNorm whose training statistics cover the values of all processes, for gloo: [B, C, ...] or [N, C].

    `nn.SyncBatchNorm` works on CUDA only. Processes may hold different numbers of values.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        dtype, x = x.dtype, x.to(self.weight.dtype)
        dims = [axis for axis in range(x.dim()) if axis != 1]
        shape = [-1] + [1] * (x.dim() - 2)
        own = x.new_tensor([x.numel() // x.shape[1]])
        sums, count = _Reduce.apply(torch.cat([x.sum(dim=dims), own])).split([x.shape[1], 1])
        centred = x - (sums / count).view(shape)
        variance = _Reduce.apply(centred.square().sum(dim=dims)) / count
        with torch.no_grad():
            self.running_mean.lerp_(sums / count, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(dtype)


def distribute(model: nn.Module, processes: Processes) -> nn.Module:
    """The model made ready for training on all processes: synchronised BatchNorm and averaged gradients."""
    if processes.count == 1:
        return model
    if processes.device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        devices = [processes.device.index]
    else:
        for module in model.modules():
            if type(module) in (nn.BatchNorm1d, nn.BatchNorm3d):
                module.__class__ = SyncBatchNormCPU
        devices = None
    return nn.parallel.DistributedDataParallel(
        model, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True
    )
