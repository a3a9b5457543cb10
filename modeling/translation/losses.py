"""The loss of translation. Specification section 11."""

import torch
from torch import Tensor
from torch.nn import functional as F


def smoothed_cross_entropy(log_probabilities: Tensor, targets: Tensor, smoothing: float, pad: int) -> Tensor:
    """Cross-entropy with label smoothing as a Kullback-Leibler divergence, summed over all tokens.

    The target distribution, in single precision as published, is 1 - smoothing on the token, smoothing / (V - 2) on the
    others but padding, 0 on padding; nothing counts where the target is padding.

    Args:
        log_probabilities: float [B, L, V].
        targets: int64 [B, L]; pad: the class of padding.
    """
    share = smoothing / (log_probabilities.shape[-1] - 2)
    wanted = torch.full(log_probabilities.shape, share, device=targets.device)
    wanted[..., pad] = 0
    wanted.scatter_(-1, targets[..., None], 1 - smoothing)
    return F.kl_div(log_probabilities, wanted * (targets != pad)[..., None], reduction="sum")
