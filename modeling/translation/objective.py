"""What translation minimises, and the step that does it. Specification section 11."""

from typing import Protocol

import torch
from torch import Tensor, nn

from modeling.config import TrainingConfig
from modeling.continuous.objective import ctc_loss
from modeling.engine import TrainingStep
from modeling.translation.config import TranslationLossConfig
from modeling.translation.losses import smoothed_cross_entropy
from modeling.translation.network import TranslationOutput
from modeling.translation.text_model import PAD


class Sentences(Protocol):
    """A part of a batch, see `Translator.forward`."""

    features: dict[str, Tensor]
    steps: Tensor
    glosses: Tensor
    counts: Tensor
    labels: Tensor


class TranslationStep(TrainingStep[Sentences]):
    """One step of translation.

    Args:
        parallel, optimizer, config: see `TrainingStep`.
        loss: its smoothing.
    """

    def __init__(
        self,
        parallel: nn.Module,
        optimizer: torch.optim.Optimizer,
        config: TrainingConfig,
        loss: TranslationLossConfig,
    ):
        super().__init__(parallel, optimizer, config)
        self.smoothing = loss.label_smoothing

    def losses(self, part: Sentences, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of the translation loss and of the heads' CTC, and each of them."""
        output: TranslationOutput = self.parallel(
            part.features, part.steps, part.glosses, part.counts, part.labels
        )
        log_probabilities = output.logits.log_softmax(dim=2)
        loss = smoothed_cross_entropy(log_probabilities, part.labels, self.smoothing, PAD) / len(part.labels)
        parts = {"translation": loss}
        if output.recognition is not None:
            for name, logits in output.recognition.logits.items():
                parts[f"ctc/{name}"] = ctc_loss(
                    logits, output.recognition.steps[name], part.glosses, part.counts
                )
        return torch.stack(list(parts.values())).sum(), parts
