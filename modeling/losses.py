"""The training losses: language-aware label smoothing, and the inter-modality mixup loss without its big tensor.

Specification sections 6 to 8 and 11. Functions take and give plain tensors and work in any floating type.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine_similarities(embeddings: Tensor) -> Tensor:
    """Cosine similarity of every pair of rows: [N, E] -> [N, N]."""
    unit = F.normalize(embeddings, dim=1)
    return unit @ unit.T


def smooth_labels(weights: Tensor, epsilon: float) -> Tensor:
    """Soft labels that spread `epsilon` over the wrong classes in proportion to `weights`.

    y[b, b] = 1 - epsilon; y[b, i] = epsilon * weights[b, i] / sum over k != b of weights[b, k].

    Args:
        weights: [N, N]; the diagonal is ignored.

    Returns:
        [N, N]; row b is the target distribution of a clip of gloss b.
    """
    own = torch.eye(weights.shape[0], dtype=torch.bool, device=weights.device)
    others = F.normalize(weights.masked_fill(own, 0.0), p=1.0, dim=1)
    return (epsilon * others).masked_fill(own, 1.0 - epsilon)


def language_aware_labels(similarities: Tensor, epsilon: float, temperature: float) -> Tensor:
    """Soft labels whose mass follows exp(similarity / temperature) of the glosses (paper section 3.2).

    `similarities`: [N, N] in [-1, 1]. See `smooth_labels` for the result.
    """
    return smooth_labels(torch.exp(similarities / temperature), epsilon)


def uniform_labels(count: int, epsilon: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Soft labels [N, N] with the mass spread evenly: epsilon / (N - 1) on every wrong class."""
    return smooth_labels(torch.ones(count, count, dtype=dtype), epsilon)


def recognition_loss(logits: Tensor, labels: Tensor, soft_labels: Tensor | None) -> Tensor:
    """Cross-entropy of logits [B, N] against labels int64 [B], or against their rows of soft_labels [N, N]."""
    if soft_labels is None:
        return F.cross_entropy(logits, labels)
    return F.cross_entropy(logits, soft_labels[labels])


BLOCK = 128  # So many rows of a vocabulary of 2,000 stay in the cache.
SMALLEST = 1e-30  # Sums below it may have lost terms that matter: the least that float32 holds is 1e-38.


class _LogSumExpOfSums(torch.autograd.Function):
    """lse[b, k] = log sum_n exp(clip[b, n] + gloss[k, n]): [B, K] from [B, N] and [K, N].

    The sums are the matrix product of exp(clip - its largest) and exp(gloss - its largest). Where the largest values of
    a pair lie so far apart that their products vanish, the terms are added before the exponential. Nothing larger than
    [BLOCK, N] exists but the gradient in gloss.
    """

    @staticmethod
    def forward(ctx: Any, clip: Tensor, gloss: Tensor) -> Tensor:
        peaks = [x.amax(dim=1, keepdim=True) for x in (clip, gloss)]  # [B, 1] and [K, 1]
        shares = (clip - peaks[0]).exp_()
        sums = clip.new_empty(len(clip), len(gloss))
        for part in _slices(len(gloss)):
            sums[:, part] = shares @ (gloss[part] - peaks[1][part]).exp_().T
        result = sums.log().add_(peaks[0]).add_(peaks[1].T)
        far = (sums < SMALLEST).nonzero()  # [M, 2]
        for b, k in (part.unbind(1) for part in far.split(BLOCK)):
            result[b, k] = torch.logsumexp(clip[b] + gloss[k], dim=1)
        ctx.save_for_backward(clip, gloss, result, *peaks, far)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        clip, gloss, result, clip_peaks, gloss_peaks, far = ctx.saved_tensors
        weights = grad * (clip_peaks + gloss_peaks.T - result).exp_()  # grad / sums
        weights[far[:, 0], far[:, 1]] = 0.0
        shares = (clip - clip_peaks).exp_()
        grad_clip, grad_gloss = torch.zeros_like(clip), torch.empty_like(gloss)
        for part in _slices(len(gloss)):
            exponentials = (gloss[part] - gloss_peaks[part]).exp_()
            grad_clip.addmm_(weights[:, part], exponentials)
            torch.mul(weights[:, part].T @ shares, exponentials, out=grad_gloss[part])
        grad_clip *= shares
        for b, k in (part.unbind(1) for part in far.split(BLOCK)):
            softmax = (clip[b] + gloss[k]).sub_(result[b, k, None]).exp_().mul_(grad[b, k, None])
            grad_clip.index_add_(0, b, softmax)
            grad_gloss.index_add_(0, k, softmax)
        return grad_clip, grad_gloss


def _slices(count: int) -> list[slice]:
    return [slice(first, first + BLOCK) for first in range(0, count, BLOCK)]


def inter_modality_loss(
    clip: Tensor,
    gloss: Tensor,
    targets: list[tuple[Tensor, float]],
    candidates: Tensor | None = None,
) -> Tensor:
    """Inter-modality mixup loss of one head (specification section 8), without a [B, K, N] tensor.

    The auxiliary logits of clip b mixed with gloss k are clip[b, n] + gloss[k, n]. Their target is 1/2 on k plus
    1/2 shared by the clip's labels; cross-entropy, averaged over clips and glosses.

    Args:
        clip: [B, N] and gloss: [N, N], from `Head.auxiliary_terms` over the whole vocabulary.
        targets: (labels int64 [B], share) pairs; shares add up to 1. One pair without intra-modality mixup.
        candidates: int64 [B, K], the glosses each clip is mixed with; None means all N.

    Returns:
        The loss, a scalar.
    """
    # Of all glosses: a product with each costs less than choosing rows of gloss.
    log_sum = _LogSumExpOfSums.apply(clip, gloss)  # [B, N]
    own = clip + gloss.diagonal()  # the logit of k itself, [B, N]
    if candidates is None:
        row_mean = gloss.mean(dim=0)
    else:
        log_sum, own = log_sum.gather(1, candidates), own.gather(1, candidates)
        row_mean = None
    loss = log_sum.mean() - 0.5 * own.mean()
    for labels, share in targets:
        clip_part = clip.gather(1, labels[:, None])[:, 0]  # [B]
        if row_mean is not None:
            gloss_part = row_mean[labels]  # mean over k of gloss[k, y]
        else:
            assert candidates is not None
            gloss_part = gloss[candidates, labels[:, None]].mean(dim=1)
        loss = loss - 0.5 * share * (clip_part + gloss_part).mean()
    return loss


def select_candidates(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The clip's own gloss, then the count - 1 others with the highest logits: int64 [B, count].

    Args:
        logits: [B, N] of the main classifier; labels: int64 [B]; count: 1..N.
    """
    ranked = logits.detach().scatter(1, labels[:, None], math.inf)
    return ranked.topk(count, dim=1).indices


def inter_modality_weight(epoch: int, epochs: int, weight: float, decay: bool) -> float:
    """w(e) = 1/2 (1 + cos(pi e / E)) w0, or w0 throughout without decay."""
    return 0.5 * (1.0 + math.cos(math.pi * epoch / epochs)) * weight if decay else weight


def integration_momentum(epoch: int, epochs: int, start: float) -> float:
    """beta(e) = 1 - (1 - start) (cos(pi e / E) + 1) / 2: from `start` up to 1."""
    return 1.0 - (1.0 - start) * (math.cos(math.pi * epoch / epochs) + 1.0) / 2.0
