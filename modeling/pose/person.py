"""Where the person is in a frame: everywhere, or where a detector sees one."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import fasterrcnn_resnet50_fpn

MIN_SCORE = 0.5
MIN_AREA = 1600.0  # pixels of the frame
_COCO_PERSON = 1


class PersonFinder(Protocol):
    """`name` goes into the estimator's version."""

    name: str

    def boxes(self, frames: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """[left, top, right, bottom] in pixels for each frame, uint8 RGB [H, W, 3]; None where nobody is seen."""
        ...


class WholeFrame:
    """For data sets that are already framed on the signer."""

    name = "whole-frame"

    def boxes(self, frames: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        return [np.array([0.0, 0.0, frame.shape[1], frame.shape[0]]) for frame in frames]


class PersonDetector:
    """torchvision's Faster R-CNN (ResNet-50 FPN, COCO classes).

    Args:
        weights: its state dict, e.g. of fasterrcnn_resnet50_fpn_coco-258fb6c6.pth.

    Raises:
        RuntimeError: the weights do not fit; the message names the tensors.
    """

    name = "fasterrcnn_resnet50_fpn"

    def __init__(self, weights: dict[str, Tensor], device: torch.device):
        self._model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
        self._model.load_state_dict(weights)
        self._model.to(device).eval()
        self._device = device

    @torch.inference_mode()
    def boxes(self, frames: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        pictures = [
            torch.from_numpy(frame).to(self._device).permute(2, 0, 1).float().div_(255) for frame in frames
        ]
        return [
            choose_person(found["boxes"].cpu(), found["labels"].cpu(), found["scores"].cpu())
            for found in self._model(pictures)
        ]


def choose_person(boxes: Tensor, labels: Tensor, scores: Tensor) -> np.ndarray | None:
    """The surest person of a frame's detections with a score of 0.5 and an area of 1600 pixels or more.

    Args:
        boxes: [N, 4] left, top, right, bottom. labels: int64 [N], COCO categories. scores: [N].
    """
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    eligible = (labels == _COCO_PERSON) & (scores >= MIN_SCORE) & (area >= MIN_AREA)
    if not eligible.any():
        return None
    return boxes[scores.masked_fill(~eligible, -1.0).argmax()].numpy()
