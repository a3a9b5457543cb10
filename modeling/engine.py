"""How a network computes, whatever the task: arithmetic, the passes of `modeling.fast`, and the step that trains it."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from modeling.augment import Inputs
from modeling.config import RuntimeConfig, TrainingConfig
from modeling.fast import factored_streams, for_gpu, for_prediction, for_training
from modeling.heatmaps import FactoredHeatmaps
from modeling.optimizer import learning_rate
from modeling.whole_batch_norm import take_down
from utils.errors import UserError

Part = TypeVar("Part")
Network = TypeVar("Network", bound=nn.Module)  # one with a `vknet`, see modeling/vknet.py


def encoder_dtype(runtime: RuntimeConfig, device: torch.device) -> torch.dtype:
    """The type in which encoders compute on a device.

    In fp32 CUDA's matrix units are kept from rounding to TF32.
    """
    if runtime.precision == "auto":
        dtype = torch.bfloat16 if has_bf16_units(device) else torch.float32
    else:
        dtype = torch.bfloat16 if runtime.precision == "bf16" else torch.float32
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = dtype is not torch.float32
    return dtype


def encoder_precision(runtime: RuntimeConfig, device: torch.device) -> str:
    """`encoder_dtype` as configurations call it: bf16 or fp32."""
    return "bf16" if encoder_dtype(runtime, device) is torch.bfloat16 else "fp32"


def has_bf16_units(device: torch.device) -> bool:
    """Whether a device computes faster in bf16 than in fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    units = torch.cpu.get_capabilities()
    return bool(units.get("avx512_bf16") or units.get("amx_bf16"))


def uses_fast(runtime: RuntimeConfig, device: torch.device) -> bool:
    """Whether a network on a device computes with the rewrites of `modeling.fast`.

    Raises:
        UserError: those of a CPU were asked for together with compilation.
    """
    if device.type == "cpu" and runtime.compile:
        if runtime.fast == "on":
            raise UserError("runtime.fast: on and runtime.compile exclude one another on a CPU")
        return False
    return runtime.fast != "off"


def reads_windows(runtime: RuntimeConfig, device: torch.device) -> bool:
    """Whether a network for prediction shares frames between crops, and so reads {stream: `Windows`}."""
    return device.type == "cpu" and uses_fast(runtime, device)


def accelerate(network: nn.Module, runtime: RuntimeConfig) -> str:
    """Make a network on its device ready for training, in place: the fast pass, compilation, or neither.

    Returns one line that says which, for the log. Names and values of weights stay.
    """
    device = next(network.parameters()).device
    line = "plain network"
    if uses_fast(runtime, device):
        line = for_training(network) if device.type == "cpu" else for_gpu(network)
    elif device.type == "cpu" and encoder_dtype(runtime, device) is torch.bfloat16:
        line += "; torch's gradients of small maps in bf16 can be wrong on a CPU, see docs/performance.md"
    return _compiled(network, runtime, line)


def prediction_copy(recognizer: Network, runtime: RuntimeConfig) -> tuple[Network, str]:
    """A copy of a network on its device, in evaluation mode, and one line that says how it differs from the plain one.

    It reads {stream: [B, C, T, H, W]}, or {stream: `Windows`} if `reads_windows`.
    """
    device = next(recognizer.parameters()).device
    if reads_windows(runtime, device):
        network, line = for_prediction(recognizer, encoder_dtype(runtime, device))
    else:
        network, line = copy.deepcopy(recognizer).eval(), "plain network"
        if uses_fast(runtime, device):
            line = for_gpu(network)
    network.to(memory_format=memory_format(runtime))  # type: ignore[call-overload]
    return network, _compiled(network, runtime, line)


def _compiled(network: nn.Module, runtime: RuntimeConfig, line: str) -> str:
    """The line about a network with what compilation, if asked for, adds to it."""
    if not runtime.compile:
        return line
    network.compile()
    return f"{line}, compiled"


def memory_format(runtime: RuntimeConfig) -> torch.memory_format:
    """Of the encoders' weights and maps."""
    return torch.channels_last_3d if runtime.memory_format == "channels_last" else torch.contiguous_format


class Arithmetic:
    """How the encoders of a model compute on a device.

    dtype: see `encoder_dtype`. factored: streams that read heatmaps in factors; the others read them written out.
    """

    def __init__(self, runtime: RuntimeConfig, recognizer: nn.Module):
        device = next(recognizer.parameters()).device
        self.format = memory_format(runtime)
        self.dtype = encoder_dtype(runtime, device)
        self.factored = factored_streams(recognizer)

    def cast(self, inputs: Inputs) -> Inputs:
        """Inputs of the streams as their encoders read them, also in type and memory format."""
        return {name: self._cast(x, name in self.factored) for name, x in inputs.items()}

    def in_format(self, x: Tensor) -> Tensor:
        """A tensor [B, C, T, H, W] in the type and memory format of the encoders."""
        return x.to(self.dtype, memory_format=self.format)

    def _cast(self, x: Tensor | FactoredHeatmaps, factored: bool) -> Tensor | FactoredHeatmaps:
        if isinstance(x, FactoredHeatmaps):
            return x.to(self.dtype) if factored else self.in_format(x.maps())
        return self.in_format(x)


class TrainingStep(ABC, Generic[Part]):
    """Forward, backward and optimiser for one batch; a task adds its losses.

    Args:
        parallel: the network after `accelerate`, possibly wrapped for several processes.
        optimizer: over its parameters.
        config: of the schedule.
    """

    def __init__(
        self,
        parallel: nn.Module,
        optimizer: torch.optim.Optimizer,
        config: TrainingConfig,
    ):
        self.parallel, self.optimizer, self.config = parallel, optimizer, config
        self._now: dict[str, float] = {}  # the schedule of the batch in work

    @abstractmethod
    def losses(self, part: Part, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """What is minimised on a part of a batch, a scalar, and figures to show beside it, by name."""

    def schedule(self, epoch: int, share: float = 0.0) -> dict[str, float]:
        """What changes during training: the learning rate, and what else a task has.

        `epoch` is counted from 0; `share` of it, in [0, 1], is over.
        """
        return {"learning_rate": learning_rate(self.config, epoch, share)}

    def after_step(self, schedule: dict[str, float]) -> None:
        """What a task does to the weights once the optimiser is through; `schedule`: that of the epoch."""

    def __call__(self, parts: Iterable[Part], epoch: int, share: float = 0.0) -> dict[str, Tensor]:
        """Train on one batch: `learn`, then `update`."""
        losses = self.learn(parts, epoch, share)
        self.update()
        return losses

    def learn(self, parts: Iterable[Part], epoch: int, share: float = 0.0) -> dict[str, Tensor]:
        """Losses and gradients of one batch; the weights stay as they are.

        At a learning rate of 0, that of the last epoch, only the forward pass is run, for the
        losses and the statistics of BatchNorm.

        Args:
            parts: `training.accumulate` of them, of the same size.
            epoch, share: see `schedule`.

        Returns:
            Detached losses: `total` and the other figures of `losses`.
        """
        self.parallel.train()
        self._now = self.schedule(epoch, share)
        self.optimizer.zero_grad()  # frees the gradients before the activations take their place
        if self.config.normalizes_whole_batches:
            parts = list(parts)
            take_down(self.parallel, [partial(self.losses, part, epoch) for part in parts])
        found: list[dict[str, Tensor]] = []
        for part in parts:
            is_last = len(found) + 1 == self.config.accumulate
            with torch.set_grad_enabled(self._now["learning_rate"] > 0), self._exchange(is_last):
                found.append(self._learn(part, epoch))
            del part  # the next one is prepared in its memory, unless they are all kept
        return {name: torch.stack([losses[name] for losses in found]).mean() for name in found[0]}

    def update(self) -> None:
        """Change the weights by the gradients of the batch that was learned from last."""
        rate = self._now["learning_rate"]
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)  # earlier versions had none
        if rate > 0:
            self.optimizer.step()
        self.after_step(self._now)

    def _learn(self, part: Part, epoch: int) -> dict[str, Tensor]:
        """Losses of a part of a batch; their gradients are added up unless gradients are off."""
        total, figures = self.losses(part, epoch)
        if torch.is_grad_enabled():
            (total / self.config.accumulate).backward()
        return {"total": total.detach(), **{name: value.detach() for name, value in figures.items()}}

    def _exchange(self, is_last: bool) -> AbstractContextManager[None]:
        """Processes add up gradients by themselves, and average them with those of the last part."""
        if is_last or not isinstance(self.parallel, DistributedDataParallel):
            return nullcontext()
        return self.parallel.no_sync()


def gradient_norm(model: nn.Module) -> Tensor:
    """Euclidean norm of all gradients of the last batch, over all processes: a scalar on the device; 0 without any."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return nn.utils.get_total_norm(gradients).to(next(model.parameters()).device)
