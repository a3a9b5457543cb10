"""Isolated recognition on the device: from raw clips to what is learned in a step, and to what is predicted."""

import copy
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from modeling.augment import Draw, Inputs, central_draw, mix_clips, prepare_frames, prepare_inputs
from modeling.config import IntraModalityMixupConfig, ModelConfig, RuntimeConfig, TrainingConfig
from modeling.engine import Arithmetic, TrainingStep, prediction_copy, reads_windows
from modeling.heatmaps import FactoredHeatmaps
from modeling.losses import integration_momentum, inter_modality_weight
from modeling.objective import MixedLabels, Objective
from modeling.recognizer import Recognizer, predictions
from modeling.windows import Windows


class Prepared(NamedTuple):
    """A batch: {stream: [B, C, T, H, W] in [-1, 1]}, heatmaps in factors, and labels int64 [B] or mixed ones."""

    inputs: Inputs
    labels: Tensor | MixedLabels


class Preparation:
    """Makes of raw clips what the network learns from: augmented, mixed, and in parts.

    Args:
        model: what the network reads.
        mixup: of clips with one another.
        parts: in which a batch is computed.
    """

    def __init__(self, model: ModelConfig, mixup: IntraModalityMixupConfig, parts: int):
        self.model, self.mixup, self.parts = model, mixup, parts

    @torch.no_grad()  # in force only while a part is made
    def __call__(
        self,
        frames: Tensor | None,
        keypoints: Tensor | None,
        labels: Tensor,
        draws: list[Draw],
        mixup_rng: np.random.Generator,
        rank: int = 0,
    ) -> Iterator[Prepared]:
        """The parts of a batch, each made when it is asked for.

        Args:
            frames, keypoints: raw clips, see `prepare_inputs`; labels: int64 [B].
            draws: augmentation, one for the batch or one a clip.
            mixup_rng: the same on every process.
            rank: of this process; its clips are that part of the global batch.
        """
        size = len(labels) // self.parts
        for i in range(self.parts):
            clips = slice(i * size, (i + 1) * size)
            rng = copy.deepcopy(mixup_rng)
            # Nothing of a part has a name here, which would keep it while the next one is made.
            yield Prepared(
                *mix_clips(
                    prepare_inputs(
                        None if frames is None else frames[clips],
                        None if keypoints is None else keypoints[clips],
                        self.model,
                        draws[clips] if len(draws) > 1 else draws,
                    ),
                    labels[clips],
                    self.mixup,
                    rng,
                    rank * self.parts + i,
                )
            )


class RecognitionStep(TrainingStep[Prepared]):
    """One step of isolated recognition.

    Args:
        recognizer: the network itself.
        parallel, optimizer, config: see `TrainingStep`.
        objective: the loss.
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
        super().__init__(parallel, optimizer, config)
        self.recognizer, self.objective = recognizer, objective
        self.arithmetic = Arithmetic(runtime, recognizer)

    def losses(self, part: Prepared, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective, and its parts."""
        auxiliary = self.objective.config.inter_modality_mixup.enabled
        output = self.parallel(self.arithmetic.cast(part.inputs), auxiliary=auxiliary)
        return self.objective(output, part.labels, epoch, self.config.epochs)

    def schedule(self, epoch: int, share: float = 0.0) -> dict[str, float]:
        """Also the weight of the inter-modality loss and integration's beta."""
        inter, epochs = self.objective.config.inter_modality_mixup, self.config.epochs
        values = super().schedule(epoch, share)
        if inter.enabled:
            values["inter_modality_weight"] = inter_modality_weight(epoch, epochs, inter.weight, inter.decay)
            if inter.integrate:
                values["integration_beta"] = integration_momentum(epoch, epochs, inter.momentum)
        return values

    def after_step(self, schedule: dict[str, float]) -> None:
        """Integration of the auxiliary classifiers into the heads."""
        if "integration_beta" in schedule:
            self.recognizer.integrate(schedule["integration_beta"])


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
        self.config = recognizer.config
        self.fast = reads_windows(runtime, next(recognizer.parameters()).device)
        self.network, self.replaced = prediction_copy(recognizer, runtime)
        self.arithmetic = Arithmetic(runtime, self.network)

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
