"""One step of training, and the prediction of one batch: what happens to raw clips on the device."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from modeling.augment import Draw, central_draw, mix_clips, prepare_inputs
from modeling.config import TrainingConfig
from modeling.losses import integration_momentum, inter_modality_weight
from modeling.objective import MixedLabels, Objective
from modeling.optimizer import learning_rate
from modeling.recognizer import Recognizer, predictions


def channels_last(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The memory format in which 3D convolutions and pooling are fastest."""
    return {name: x.contiguous(memory_format=torch.channels_last_3d) for name, x in inputs.items()}


class Prepared(NamedTuple):
    """A batch as the network reads it: {stream: [B, C, T, H, W] in [-1, 1]}, and labels int64 [B] or mixed ones."""

    inputs: dict[str, Tensor]
    labels: Tensor | MixedLabels


class TrainingStep:
    """Forward, backward, optimiser and integration for one batch.

    Args:
        recognizer: the model.
        parallel: the same model, possibly wrapped for several processes; its forward is what is called.
        objective: the loss.
        optimizer: over the recognizer's parameters.
        config: of the schedule.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        parallel: nn.Module,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        config: TrainingConfig,
    ):
        self.recognizer, self.parallel, self.objective = recognizer, parallel, objective
        self.optimizer, self.config = optimizer, config

    def prepare(
        self,
        frames: Tensor | None,
        keypoints: Tensor | None,
        labels: Tensor,
        draws: list[Draw],
        mixup_rng: np.random.Generator,
        part: int = 0,
    ) -> Prepared:
        """Augment and mix a batch of raw clips.

        Args:
            frames, keypoints: raw clips, see `prepare_inputs`; labels: int64 [B].
            draws: augmentation, one for the batch or one a clip.
            mixup_rng: for intra-modality mixup; the same on every process.
            part: which part of the global batch this is.
        """
        config, mixup = self.recognizer.config, self.objective.config.intra_modality_mixup
        with torch.no_grad():
            inputs = prepare_inputs(frames, keypoints, config, draws)
            return Prepared(*mix_clips(inputs, labels, mixup, mixup_rng, part))

    def schedule(self, epoch: int) -> dict[str, float]:
        """What changes from epoch to epoch: learning rate, weight of the inter-modality loss, integration's beta."""
        inter, epochs = self.objective.config.inter_modality_mixup, self.config.epochs
        values = {"learning_rate": learning_rate(self.config, epoch)}
        if inter.enabled:
            values["inter_modality_weight"] = inter_modality_weight(epoch, epochs, inter.weight, inter.decay)
            if inter.integrate:
                values["integration_beta"] = integration_momentum(epoch, epochs, inter.momentum)
        return values

    def __call__(self, batch: Prepared, epoch: int) -> dict[str, Tensor]:
        """Train on one batch; `epoch` is counted from 0.

        Returns:
            Detached losses: `total` and the parts of `Objective`.
        """
        self.parallel.train()
        schedule = self.schedule(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = schedule["learning_rate"]
        auxiliary = self.objective.config.inter_modality_mixup.enabled
        output = self.parallel(channels_last(batch.inputs), auxiliary=auxiliary)
        total, parts = self.objective(output, batch.labels, epoch, self.config.epochs)
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        if "integration_beta" in schedule:
            self.recognizer.integrate(schedule["integration_beta"])
        return {"total": total.detach(), **{name: value.detach() for name, value in parts.items()}}


def gradient_norm(model: nn.Module) -> Tensor:
    """Euclidean norm of all gradients of the last step, over all processes: a scalar on the device."""
    return nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])


@torch.inference_mode()
def predict_batch(
    recognizer: Recognizer, frames: Tensor | None, keypoints: Tensor | None, crops: int = 1
) -> dict[str, Tensor]:
    """Probabilities of every crop of whole clips.

    Args:
        frames, keypoints: raw clips, see `prepare_inputs`; the crops of a clip follow one another.
        crops: how many crops each clip has.

    Returns:
        {head or ensemble: [B, crops, N]}, rows summing to 1; a clip's prediction is the mean over its crops.
    """
    recognizer.eval()
    config = recognizer.config
    inputs = prepare_inputs(frames, keypoints, config, [central_draw(config)])
    output = recognizer(channels_last(inputs))
    return {name: values.unflatten(0, (-1, crops)) for name, values in predictions(output.logits).items()}
