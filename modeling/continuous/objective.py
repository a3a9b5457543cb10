"""What continuous recognition minimises: CTC of every head, and self-distillation.

Specification of the Two-Stream network, section 7.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.continuous.config import ContinuousLossConfig
from modeling.continuous.network import (
    PYRAMID_BLOCKS,
    REPORTED,
    ContinuousOutput,
    last_heads,
    pyramid_name,
    with_ensembles,
)

BLANK = 0  # its class


def ctc_loss(logits: Tensor, steps: Tensor, glosses: Tensor, counts: Tensor) -> Tensor:
    """Connectionist temporal classification, summed over the batch and divided by its size: a scalar.

    Args:
        logits: [B, T', V]; steps: int64 [B], how many of each are valid.
        glosses: int64 [B, L], classes; counts: int64 [B], how many of each are valid.
    """
    found = F.ctc_loss(
        logits.log_softmax(dim=2).transpose(0, 1),
        glosses,
        steps,
        counts,
        BLANK,
        reduction="sum",
        zero_infinity=True,
    )
    return found / len(logits)


def distillation_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student), summed over all steps, padded ones included, and divided by the batch size: a scalar.

    Args:
        logits: of the student, [B, T', V]; teacher: probabilities [B, T', V].
    """
    return F.kl_div(logits.log_softmax(dim=2), teacher, reduction="sum") / len(logits)


class ContinuousObjective:
    """The training loss of a configuration."""

    def __init__(self, config: ContinuousLossConfig):
        self.config = config

    def __call__(
        self, output: ContinuousOutput, glosses: Tensor, counts: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total loss, and its parts, unweighted: `ctc/<head>` and `distillation/<head>`.

        Args:
            output: of the network, with the pyramids' heads.
            glosses: int64 [B, L], classes; counts: int64 [B], how many of each are valid.
        """
        pyramids = {"rgb": self.config.rgb_pyramid, "keypoint": self.config.keypoint_pyramid}
        weights = {
            pyramid_name(stream, block): weight
            for stream, weight in pyramids.items()
            for block in PYRAMID_BLOCKS
        }
        parts, terms = {}, []
        for name, logits in output.logits.items():
            loss = ctc_loss(logits, output.steps[name], glosses, counts)
            parts[f"ctc/{name}"] = loss
            terms.append(weights.get(name, 1.0) * loss)
        last = last_heads(output)
        if len(last) > 1 and self.config.distillation:
            teacher = with_ensembles(output).logits[REPORTED].detach().softmax(dim=2)
            for name in last:
                loss = distillation_loss(output.logits[name], teacher)
                parts[f"distillation/{name}"] = loss
                terms.append(self.config.distillation * loss)
        return torch.stack(terms).sum(), parts
