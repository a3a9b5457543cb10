"""HRNet-W48 for the 133 whole-body keypoints (COCO-WholeBody, 384 x 288, DARK), the method's own estimator.

The network is timm's, whose backbone has the tensors of mmpose's under the same names, plus the 1x1 head. Checkpoints
of mmpose 0.x and 1.x load.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal

import numpy as np
import timm
import torch
from torch import Tensor, nn

from modeling.pose.estimator import NUM_KEYPOINTS
from modeling.pose.person import PersonFinder
from modeling.pose.top_down import crop_around, cut_out, decode_dark, to_frame, unmirror
from utils.errors import UserError

_MEAN = (123.675, 116.28, 103.53)  # of ImageNet, RGB in 0..255
_STD = (58.395, 57.12, 57.375)
_HEADS = ("keypoint_head.final_layer.", "head.final_layer.")  # mmpose 0.x, 1.x


class HRNetW48(nn.Module):
    """uint8 RGB [B, 3, H, W] -> heatmaps [B, 133, H / 4, W / 4]."""

    backbone: Any  # timm's HighResolutionNet
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model("hrnet_w48", pretrained=False, head="none")
        last = self.backbone.stage4[-1]
        last.fuse_layers = last.fuse_layers[:1]  # only the highest resolution is read
        self.final_layer = nn.Conv2d(48, NUM_KEYPOINTS, 1)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[:, None, None], persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        normalised = (pictures.float() - self.mean) / self.std
        return self.final_layer(self.backbone.forward_features(normalised)[0])

    def load_mmpose(self, checkpoint: Mapping[str, Tensor], source: str) -> None:
        """Take the weights of an mmpose checkpoint (its `state_dict`).

        Raises:
            UserError: a tensor is missing, is one too many, or has another shape.
        """
        weights = {}
        for name, value in checkpoint.items():
            for head in _HEADS:
                if name.startswith(head):
                    name = "final_layer." + name.removeprefix(head)
            weights[name] = value
        own = self.state_dict()
        missing = sorted(own.keys() - weights.keys())
        unknown = sorted(weights.keys() - own.keys())
        other = sorted(name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape)
        faults = [
            f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            for names, what in ((missing, "missing"), (unknown, "unknown"), (other, "of another shape"))
            if names
        ]
        if faults:
            raise UserError(f"{source}: not HRNet-W48 for 133 keypoints; tensors: {'; '.join(faults)}")
        self.load_state_dict(weights)


class HRNetEstimator:
    """See `Estimator`.

    Args:
        model: with its weights.
        person: where to look.
        checkpoint: what to call the weights in `version`.
        flip_test: average the heatmaps with those of the mirrored picture.
        batch_size: frames at a time.
        precision: of the network.
    """

    name = "hrnet_w48_dark_384x288"

    def __init__(
        self,
        model: HRNetW48,
        person: PersonFinder,
        checkpoint: str,
        device: torch.device,
        flip_test: bool,
        batch_size: int,
        precision: Literal["fp32", "bf16"],
    ):
        self.model = model.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self._person, self._device = person, device
        self._flip_test, self._batch_size, self._precision = flip_test, batch_size, precision
        options = [checkpoint, person.name, *(["flip"] if flip_test else []), precision]
        self.version = " ".join(options)

    def estimate(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Estimator.estimate`."""
        stream = iter(frames)
        while batch := list(islice(stream, self._batch_size)):
            boxes = self._person.boxes(batch)
            crops = {i: crop_around(box) for i, box in enumerate(boxes) if box is not None}
            keypoints = np.zeros((len(batch), NUM_KEYPOINTS, 3), np.float32)
            if crops:
                pictures = np.stack([cut_out(batch[i], crop) for i, crop in crops.items()])
                peaks = decode_dark(self._heatmaps(torch.from_numpy(pictures).permute(0, 3, 1, 2)))
                for (i, crop), found in zip(crops.items(), peaks.cpu().numpy(), strict=True):
                    keypoints[i] = to_frame(found, crop)
            yield from keypoints

    @torch.inference_mode()
    def _heatmaps(self, pictures: Tensor) -> Tensor:
        pictures = pictures.to(self._device)
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._precision == "bf16"):
            heatmaps = self.model(pictures)
            if self._flip_test:
                heatmaps = (heatmaps + unmirror(self.model(pictures.flip(3)))) / 2
        return heatmaps.float()
