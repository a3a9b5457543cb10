"""BatchNorm over a whole batch that is computed in parts.

A first pass without gradients computes all parts side by side: at every layer they meet, and the statistics are those
of all of them (and of all processes). It holds one map of every part at a time. The second pass, part by part with
gradients, normalises by these statistics, so outputs are those of the whole batch. Gradients through the statistics
are not quite: each part knows its own share, which is taken for those of the others, too.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError, local

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


class Meeting:
    """Of the parts of a batch, each in a thread of its own, at one layer after the other."""

    def __init__(self, parts: int):
        self.brought: list[Tensor] = [torch.empty(0)] * parts
        self.barrier, self.own = Barrier(parts), local()

    def sum(self, x: Tensor) -> Tensor:
        """Of what every part brings, over all processes."""
        self.brought[self.own.part] = x
        first = self.barrier.wait() == 0
        if first:
            total = torch.stack(self.brought).sum(dim=0)
            if distributed.is_initialized():
                distributed.all_reduce(total)
            self.total = total
        self.barrier.wait()
        return self.total


class WholeBatchNorm(_BatchNorm):
    """[B, C, ...] or [N, C]; in training it normalises by what `take_down` found.

    whole: mean and variance [C] of the whole batch. meeting: while they are being found.
    """

    whole: tuple[Tensor, Tensor] | None = None
    meeting: Meeting | None = None

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        dtype, x = x.dtype, x.to(self.weight.dtype)
        with torch.no_grad():
            axes = [axis for axis in range(x.dim()) if axis != 1]
            variance, mean = torch.var_mean(x, dim=axes, correction=0)
            if self.meeting is not None:
                m, v = mean.double(), variance.double()  # a small variance about a large mean
                count = torch.full_like(m, x.numel() // x.shape[1])
                total = self.meeting.sum(torch.stack([m * count, (v + m.square()) * count, count]))
                whole = total[0] / total[2]
                spread = (total[1] / total[2] - whole.square()).clamp(min=0)
                self.whole = whole.to(mean.dtype), spread.to(mean.dtype)
                if self.meeting.own.part == 0:
                    self._follow(*self.whole, total[2].to(mean.dtype))
        assert self.whole is not None, "its statistics are taken down before"
        whole_mean, whole_variance = self.whole
        deviation = (whole_variance + self.eps).rsqrt()
        scale = self.weight * ((variance + self.eps).sqrt() * deviation)
        shift = self.bias + self.weight * ((mean - whole_mean) * deviation)
        shape = [-1] + [1] * (x.dim() - 2)
        own = F.batch_norm(x, None, None, training=True, eps=self.eps)  # with the gradients of its statistics
        return torch.addcmul(shift.view(shape), own, scale.view(shape)).to(dtype)

    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1


def use_whole_batches(network: nn.Module) -> None:
    """Give every BatchNorm of a network, also one over several processes, this class; names and values stay."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = WholeBatchNorm


def take_down(network: nn.Module, parts: Sequence[Callable[[], object]]) -> None:
    """Find the statistics of a batch at every layer. `parts`: each computes the network on a part of it."""
    layers = [module for module in network.modules() if isinstance(module, WholeBatchNorm)]
    meeting = Meeting(len(parts))

    def compute(part: int) -> None:
        meeting.own.part = part
        try:
            with torch.no_grad():
                parts[part]()
        except BaseException:
            meeting.barrier.abort()  # the others would wait for it
            raise

    for layer in layers:
        layer.meeting = meeting
    try:
        with ThreadPoolExecutor(len(parts)) as threads:
            problems = [
                future.exception() for future in [threads.submit(compute, i) for i in range(len(parts))]
            ]
    finally:
        for layer in layers:
            layer.meeting = None
    real = [problem for problem in problems if problem and not isinstance(problem, BrokenBarrierError)]
    if real:
        raise real[0]
