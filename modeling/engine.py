"""One step of training, and the prediction of one batch: what happens to raw clips on the device."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from modeling.augment import Draw, Inputs, central_draw, mix_clips, prepare_frames, prepare_inputs
from modeling.config import RuntimeConfig, TrainingConfig
from modeling.fast import factored_streams, for_prediction, for_training
from modeling.heatmaps import FactoredHeatmaps
from modeling.losses import integration_momentum, inter_modality_weight
from modeling.objective import MixedLabels, Objective
from modeling.optimizer import learning_rate
from modeling.recognizer import Recognizer, predictions
from modeling.windows import Windows


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
    """Whether a network on a device computes with the rewrites of `modeling.fast`."""
    if runtime.fast == "auto":
        return device.type == "cpu" and not runtime.compile
    return runtime.fast == "on"


def accelerate(recognizer: Recognizer, runtime: RuntimeConfig) -> str:
    """Make a network on its device ready for training, in place: the fast pass, compilation, or neither.

    Returns one line that says which, for the log. Names and values of weights stay.
    """
    device = next(recognizer.parameters()).device
    if uses_fast(runtime, device):
        return for_training(recognizer)
    if runtime.compile:
        recognizer.compile()
    line = _plain(runtime)
    if device.type == "cpu" and encoder_dtype(runtime, device) is torch.bfloat16:
        line += "; torch's gradients of small maps in bf16 can be wrong on a CPU, see docs/performance.md"
    return line


def _plain(runtime: RuntimeConfig) -> str:
    return "plain network, compiled" if runtime.compile else "plain network"


class Arithmetic:
    """How the encoders of a model compute on a device.

    dtype: see `encoder_dtype`. factored: streams that read heatmaps in factors; the others read them written out.
    """

    def __init__(self, runtime: RuntimeConfig, recognizer: Recognizer):
        device = next(recognizer.parameters()).device
        last = runtime.memory_format == "channels_last"
        self.format = torch.channels_last_3d if last else torch.contiguous_format
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


class Prepared(NamedTuple):
    """A batch: {stream: [B, C, T, H, W] in [-1, 1]}, heatmaps in factors, and labels int64 [B] or mixed ones."""

    inputs: Inputs
    labels: Tensor | MixedLabels


class TrainingStep:
    """Forward, backward, optimiser and integration for one batch.

    Args:
        recognizer: the model, after `accelerate`.
        parallel: the same model, possibly wrapped for several processes; its forward is what is called.
        objective: the loss.
        optimizer: over the recognizer's parameters.
        config: of the schedule.
        runtime: arithmetic and memory format.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        parallel: nn.Module,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        config: TrainingConfig,
        runtime: RuntimeConfig,
    ):
        self.recognizer, self.parallel, self.objective = recognizer, parallel, objective
        self.optimizer, self.config = optimizer, config
        self.arithmetic = Arithmetic(runtime, recognizer)

    @torch.no_grad()  # in force only while a part is made
    def prepare(
        self,
        frames: Tensor | None,
        keypoints: Tensor | None,
        labels: Tensor,
        draws: list[Draw],
        mixup_rng: np.random.Generator,
        part: int = 0,
    ) -> Iterator[Prepared]:
        """Augment and mix a batch of raw clips; its `training.accumulate` parts, each when it is asked for.

        Args:
            frames, keypoints: raw clips, see `prepare_inputs`; labels: int64 [B].
            draws: augmentation, one for the batch or one a clip.
            mixup_rng: for intra-modality mixup; the same on every process.
            part: which part of the global batch this is.
        """
        config, mixup = self.recognizer.config, self.objective.config.intra_modality_mixup
        count = self.config.accumulate
        size = len(labels) // count
        for i in range(count):
            clips = slice(i * size, (i + 1) * size)
            rng = copy.deepcopy(mixup_rng)
            # Nothing of a part has a name here, which would keep it while the next one is made.
            yield Prepared(
                *mix_clips(
                    prepare_inputs(
                        None if frames is None else frames[clips],
                        None if keypoints is None else keypoints[clips],
                        config,
                        draws[clips] if len(draws) > 1 else draws,
                    ),
                    labels[clips],
                    mixup,
                    rng,
                    part * count + i,
                )
            )

    def schedule(self, epoch: int) -> dict[str, float]:
        """What changes from epoch to epoch: learning rate, weight of the inter-modality loss, integration's beta."""
        inter, epochs = self.objective.config.inter_modality_mixup, self.config.epochs
        values = {"learning_rate": learning_rate(self.config, epoch)}
        if inter.enabled:
            values["inter_modality_weight"] = inter_modality_weight(epoch, epochs, inter.weight, inter.decay)
            if inter.integrate:
                values["integration_beta"] = integration_momentum(epoch, epochs, inter.momentum)
        return values

    def __call__(self, batch: Iterable[Prepared], epoch: int) -> dict[str, Tensor]:
        """Train on one batch; `epoch` is counted from 0.

        At a learning rate of 0, that of the last epoch, weights stay as they are, so only the forward pass is run, for
        the losses and the statistics of BatchNorm.

        Args:
            batch: `training.accumulate` parts of the same size, as `prepare` makes them.

        Returns:
            Detached losses: `total` and the parts of `Objective`.
        """
        self.parallel.train()
        schedule = self.schedule(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = schedule["learning_rate"]
        self.optimizer.zero_grad()  # frees the gradients before the activations take their place
        learns = schedule["learning_rate"] > 0
        losses: list[dict[str, Tensor]] = []
        for part in batch:
            is_last = len(losses) + 1 == self.config.accumulate
            with torch.set_grad_enabled(learns), self._exchange(is_last):
                losses.append(self._losses(part, epoch))
            del part  # the next one is prepared in its memory
        if learns:
            self.optimizer.step()
        if "integration_beta" in schedule:
            self.recognizer.integrate(schedule["integration_beta"])
        return {name: torch.stack([part[name] for part in losses]).mean() for name in losses[0]}

    def _losses(self, part: Prepared, epoch: int) -> dict[str, Tensor]:
        """Losses of a part of a batch; their gradients are added up unless gradients are off."""
        auxiliary = self.objective.config.inter_modality_mixup.enabled
        output = self.parallel(self.arithmetic.cast(part.inputs), auxiliary=auxiliary)
        total, parts = self.objective(output, part.labels, epoch, self.config.epochs)
        if torch.is_grad_enabled():
            (total / self.config.accumulate).backward()
        return {"total": total.detach(), **{name: value.detach() for name, value in parts.items()}}

    def _exchange(self, is_last: bool) -> AbstractContextManager[None]:
        """Processes add up gradients by themselves, and average them with those of the last part."""
        if is_last or not isinstance(self.parallel, DistributedDataParallel):
            return nullcontext()
        return self.parallel.no_sync()


def gradient_norm(model: nn.Module) -> Tensor:
    """Euclidean norm of all gradients of the last step, over all processes: a scalar on the device; 0 without any."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return nn.utils.get_total_norm(gradients).to(next(model.parameters()).device)


class Predictor:
    """Probabilities of whole clips by a recognizer as it is now; make another one after it has been trained further.

    Args:
        recognizer: on the device to compute on.
        runtime: arithmetic and memory format; default: those that fit the device.

    Attributes:
        replaced: one line that says how the network differs from the plain one.
    """

    def __init__(self, recognizer: Recognizer, runtime: RuntimeConfig | None = None):
        runtime = runtime or RuntimeConfig()
        device = next(recognizer.parameters()).device
        self.config, self.fast = recognizer.config, uses_fast(runtime, device)
        if self.fast:
            self.network, self.replaced = for_prediction(recognizer, encoder_dtype(runtime, device))
        else:
            self.network, self.replaced = copy.deepcopy(recognizer).eval(), _plain(runtime)
        self.arithmetic = Arithmetic(runtime, self.network)
        self.network.to(memory_format=self.arithmetic.format)  # type: ignore[call-overload]
        if runtime.compile:
            self.network.compile()

    @torch.inference_mode()
    def __call__(
        self, frames: Tensor | None, keypoints: Tensor | None, windows: Tensor, crops: int = 1
    ) -> dict[str, Tensor]:
        """Predict every crop of some clips.

        Work is shared: each frame is prepared once, and crops of the same frames are computed once.

        Args:
            frames, keypoints: of all clips, see `prepare_frames`.
            windows: int64 [B * crops, T], the frames that each crop is made of; those of a clip follow one another.
            crops: how many crops each clip has.

        Returns:
            {head or ensemble: [B, crops, N]}, rows summing to 1; a clip's prediction is the mean over its crops.
        """
        maps = prepare_frames(frames, keypoints, self.config)
        windows, whose = torch.unique(windows, dim=0, return_inverse=True)
        start = central_draw(self.config).short_start
        inputs: dict[str, Windows | Tensor] = {}
        for length in self.config.frames:
            first = 0 if length == self.config.frames[0] else start
            used, places = torch.unique(windows[:, first : first + length], return_inverse=True)
            chosen: Inputs = {
                f"{modality}{length}": x.at(used) if isinstance(x, FactoredHeatmaps) else x[:, :, used]
                for modality, x in maps.items()
            }
            for stream, x in self.arithmetic.cast(chosen).items():
                shared = Windows(x, places)
                inputs[stream] = shared if self.fast else self.arithmetic.in_format(shared.clips())
        output = predictions(self.network(inputs).logits)
        return {name: values[whose].unflatten(0, (-1, crops)) for name, values in output.items()}
