"""What training minimises: the recognition losses of all heads plus the inter-modality mixup losses."""

from dataclasses import dataclass

import torch
from torch import Tensor

from modeling.config import LossConfig
from modeling.losses import (
    cosine_similarities,
    inter_modality_loss,
    inter_modality_weight,
    language_aware_labels,
    recognition_loss,
    select_candidates,
    uniform_labels,
)
from modeling.recognizer import Output


@dataclass
class MixedLabels:
    """Labels of a batch after intra-modality mixup: `first` (int64 [B]) with `share`, `second` with the rest."""

    first: Tensor
    second: Tensor
    share: float

    def pairs(self) -> list[tuple[Tensor, float]]:
        return [(self.first, self.share), (self.second, 1.0 - self.share)]


class Objective:
    """The training loss of a configuration.

    Args:
        config: which losses.
        num_glosses: N.
        gloss_embeddings: float [N, E], for language-aware smoothing.
    """

    def __init__(self, config: LossConfig, num_glosses: int, gloss_embeddings: Tensor | None):
        self.config = config
        smoothing = config.label_smoothing
        self.soft_labels: Tensor | None = None
        if smoothing.kind == "uniform":
            self.soft_labels = uniform_labels(num_glosses, smoothing.epsilon)
        elif smoothing.kind == "language":
            assert gloss_embeddings is not None
            similarities = cosine_similarities(gloss_embeddings)
            self.soft_labels = language_aware_labels(similarities, smoothing.epsilon, smoothing.temperature)

    def to(self, device: torch.device) -> "Objective":
        if self.soft_labels is not None:
            self.soft_labels = self.soft_labels.to(device)
        return self

    def __call__(
        self, output: Output, labels: Tensor | MixedLabels, epoch: int, epochs: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total loss, and its parts: `recognition/<head>` and `inter_modality/<head>` (unweighted).

        Args:
            output: of the recognizer, with auxiliary terms if inter-modality mixup is enabled.
            labels: int64 [B], or the labels of a mixed batch.
            epoch, epochs: position in training, for the decay of the inter-modality weight.
        """
        targets = labels.pairs() if isinstance(labels, MixedLabels) else [(labels, 1.0)]
        parts: dict[str, Tensor] = {}
        for name, logits in output.logits.items():
            terms = [share * recognition_loss(logits, y, self.soft_labels) for y, share in targets]
            parts[f"recognition/{name}"] = torch.stack(terms).sum()
        total = torch.stack(list(parts.values())).sum()
        inter = self.config.inter_modality_mixup
        if inter.enabled:
            mixed = {}
            for name, (clip, gloss) in output.auxiliary.items():
                candidates = None
                if inter.candidates is not None and inter.candidates < clip.shape[1]:
                    candidates = select_candidates(output.logits[name], targets[0][0], inter.candidates)
                mixed[f"inter_modality/{name}"] = inter_modality_loss(clip, gloss, targets, candidates)
            weight = inter_modality_weight(epoch, epochs, inter.weight, inter.decay)
            total = total + weight * torch.stack(list(mixed.values())).sum()
            parts |= mixed
        return total, parts
