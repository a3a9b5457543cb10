"""The yardstick of the benchmarks around the plain network, as the definitions and the published code have it.

Eager fp32, contiguous tensors, dense heatmaps for each clip length, auxiliary logits [B, K, N] written out, an
optimiser that goes from tensor to tensor. The network is a plain `Recognizer`; the tests compare the rest with ours.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from modeling.augment import Draw, central_draw
from modeling.config import ModelConfig, TrainingConfig
from modeling.heads import Head
from modeling.heatmaps import Box
from modeling.objective import Objective
from modeling.optimizer import build_optimizer
from modeling.recognizer import Recognizer

Targets = list[tuple[Tensor, float]]


def dense_heatmaps(keypoints: Tensor, size: int, grid: int, sigma: float, box: Box) -> Tensor:
    """Rendered at full size, cropped, resized: [B, T, J, 2 or more] -> [B, J, T, size, size] (section 2)."""
    axis = torch.arange(grid, dtype=keypoints.dtype, device=keypoints.device)
    x, y = keypoints[..., 0, None, None], keypoints[..., 1, None, None]  # [B, T, J, 1, 1]
    maps = torch.exp(-((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * sigma**2))
    top, left, height, width = box
    crop = maps[..., top : top + height, left : left + width].flatten(0, 1)  # [B*T, J, height, width]
    resized = F.interpolate(crop, (size, size), mode="bilinear", align_corners=False, antialias=False)
    return resized.unflatten(0, keypoints.shape[:2]).transpose(1, 2)


def dense_inter_modality(logits: Tensor, targets: Targets, candidates: Tensor) -> Tensor:
    """Section 8 with all targets written out, for logits [B, K, N] of candidates int64 [B, K]."""
    wanted = torch.zeros_like(logits)
    wanted.scatter_(2, candidates[:, :, None], 0.5)
    for labels, share in targets:
        places = labels[:, None, None].expand(-1, candidates.shape[1], 1)
        wanted.scatter_add_(2, places, torch.full_like(wanted[:, :, :1], 0.5 * share))
    return -(wanted * logits.log_softmax(dim=2)).sum(dim=2).mean()


def auxiliary_logits(head: Head, feature: Tensor, gloss_embeddings: Tensor) -> Tensor:
    """Every clip's feature plus every mapped gloss through the auxiliary classifier: [B, K, N]."""
    assert head.mapper is not None and head.auxiliary is not None
    return head.auxiliary(feature[:, None] + head.mapper(gloss_embeddings)[None])


def prepare(frames: Tensor, keypoints: Tensor, model: ModelConfig, draw: Draw) -> dict[str, Tensor]:
    """Network inputs from clips uint8 [B, T, H, W, 3] and keypoints [B, T, J, 3], without colour jitter."""
    box = draw.box or Box(0, 0, draw.frame_size, draw.frame_size)
    grid = model.heatmap_grid
    inputs = {}
    for length in model.frames:
        start = 0 if length == model.frames[0] else draw.short_start
        clip = frames[:, start : start + length].permute(0, 1, 4, 2, 3).float() / 255
        clip = clip[..., box.top : box.top + box.height, box.left : box.left + box.width]
        clip = F.interpolate(clip.flatten(0, 1), (model.rgb_size,) * 2, mode="bilinear", align_corners=False)
        clip = clip.unflatten(0, (-1, length)).transpose(1, 2)[:, [2, 1, 0]]
        inputs[f"rgb{length}"] = ((clip - 0.5) / 0.5).contiguous()
        points = keypoints[:, start : start + length]
        crop = Box(*(int(value * grid / draw.frame_size) for value in box))
        maps = dense_heatmaps(points, model.heatmap_size, grid, model.heatmap_sigma, crop)
        inputs[f"keypoint{length}"] = ((maps - 0.5) / 0.5).contiguous()
    return inputs


@torch.no_grad()
def predict(recognizer: Recognizer, frames: Tensor, keypoints: Tensor) -> Tensor:
    """Reported probabilities [B, N] of the full model, in evaluation mode."""
    recognizer.eval()
    inputs = prepare(frames, keypoints, recognizer.config, central_draw(recognizer.config))
    logits = recognizer(inputs).logits
    return torch.stack([x.softmax(1) for name, x in logits.items() if name.startswith("joint")]).mean(0)


class TrainingStep:
    """Forward, backward, Adam and integration of the full method, at epoch 0, without intra-modality mixup."""

    def __init__(self, recognizer: Recognizer, objective: Objective, config: TrainingConfig):
        self.recognizer, self.objective, self.config = recognizer, objective, config
        self.optimizer = build_optimizer(recognizer, config)
        for group in self.optimizer.param_groups:
            group.update(fused=False, foreach=False)

    def __call__(self, frames: Tensor, keypoints: Tensor, labels: Tensor, draw: Draw) -> Tensor:
        """The loss of one step."""
        recognizer = self.recognizer.train()
        with torch.no_grad():
            inputs = prepare(frames, keypoints, recognizer.config, draw)
        found = recognizer.vknet(inputs)
        assert recognizer.gloss_embeddings is not None and self.objective.soft_labels is not None
        total = torch.zeros((), device=labels.device)
        for module in recognizer.heads.values():
            head = cast(Head, module)
            logits = head(found)
            total = total + F.cross_entropy(logits, self.objective.soft_labels[labels])
            candidates = torch.arange(logits.shape[1], device=labels.device).expand(len(labels), -1)
            mixed = auxiliary_logits(head, head.feature(found), recognizer.gloss_embeddings)
            total = total + dense_inter_modality(mixed, [(labels, 1.0)], candidates)
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        momentum = self.objective.config.inter_modality_mixup.momentum
        for module in recognizer.heads.values():
            head = cast(Head, module)
            assert head.auxiliary is not None
            with torch.no_grad():
                for main, auxiliary in zip(
                    head.classifier.parameters(), head.auxiliary.parameters(), strict=True
                ):
                    main.copy_(momentum * main + (1 - momentum) * auxiliary)
        return total.detach()
