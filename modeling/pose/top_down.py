"""Top-down pose estimation around the network: the person's crop before it, DARK decoding of heatmaps after it.

The geometry and the decoding are those of mmpose (`TopdownAffine`, `MSRAHeatmap` with `unbiased=True`), so that a
network gives the same keypoints here as there.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

INPUT_SIZE = (288, 384)  # width, height of the network's input
STRIDE = 4  # input pixels of one heatmap pixel
PADDING = 1.25  # the crop is this much larger than the person's box
_BLUR_TAPS, _BLUR_SIGMA = 11, 2.0  # DARK's modulation of the heatmaps (Zhang et al. 2020, section 3.2)


class Crop(NamedTuple):
    """A crop of the frame with the network's aspect ratio: centre and size in pixels of the frame."""

    x: float
    y: float
    width: float
    height: float


def crop_around(box: np.ndarray) -> Crop:
    """The crop of a person's box [left, top, right, bottom]: padded, then widened to the network's aspect ratio."""
    left, top, right, bottom = map(float, box)
    width, height = PADDING * (right - left), PADDING * (bottom - top)
    aspect = INPUT_SIZE[0] / INPUT_SIZE[1]
    if width > height * aspect:
        height = width / aspect
    else:
        width = height * aspect
    return Crop((left + right) / 2, (top + bottom) / 2, width, height)


def cut_out(frame: np.ndarray, crop: Crop) -> np.ndarray:
    """The crop of a frame, uint8 [H, W, 3], resized to the network's input, uint8 [384, 288, 3]; black outside."""
    zoom = INPUT_SIZE[0] / crop.width
    offset = (INPUT_SIZE[0] / 2 - zoom * crop.x, INPUT_SIZE[1] / 2 - zoom * crop.y)
    matrix = np.array([[zoom, 0.0, offset[0]], [0.0, zoom, offset[1]]])
    return cv2.warpAffine(frame, matrix, INPUT_SIZE, flags=cv2.INTER_LINEAR)


def to_frame(keypoints: np.ndarray, crop: Crop) -> np.ndarray:
    """Keypoints [K, 3] from heatmap pixels to pixels of the frame."""
    zoom = STRIDE * crop.width / INPUT_SIZE[0]
    corner = [crop.x - crop.width / 2, crop.y - crop.height / 2, 0.0]
    return (keypoints * np.array([zoom, zoom, 1.0]) + corner).astype(np.float32)


def decode_dark(heatmaps: Tensor) -> Tensor:
    """Sub-pixel positions of the peaks: the maximum, moved by one Newton step on the log of the blurred heatmap.

    Args:
        heatmaps: [B, K, H, W].

    Returns:
        [B, K, 3]: x, y in heatmap pixels, and the height of the peak. A heatmap that is nowhere positive gives -1, -1.
    """
    height, width = heatmaps.shape[2:]
    peaks, places = heatmaps.flatten(2).max(dim=2)  # [B, K]
    x, y = places % width, places // width

    blurred = _blur(heatmaps)
    blurred = blurred * (peaks / blurred.amax(dim=(2, 3)))[..., None, None]
    logs = blurred.clamp(min=1e-10).log()

    # The 5 x 5 neighbourhood of each peak; peaks too near the border are not moved.
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    steps = torch.arange(-2, 3, device=heatmaps.device)
    rows = (y.clamp(2, height - 3)[..., None] + steps)[..., :, None]  # [B, K, 5, 1]
    columns = (x.clamp(2, width - 3)[..., None] + steps)[..., None, :]
    near = logs.flatten(2).gather(2, (rows * width + columns).flatten(2)).unflatten(2, (5, 5))

    dx, dy = (near[..., 2, 3] - near[..., 2, 1]) / 2, (near[..., 3, 2] - near[..., 1, 2]) / 2
    dxx = (near[..., 2, 4] - 2 * near[..., 2, 2] + near[..., 2, 0]) / 4
    dyy = (near[..., 4, 2] - 2 * near[..., 2, 2] + near[..., 0, 2]) / 4
    dxy = (near[..., 3, 3] - near[..., 1, 3] - near[..., 3, 1] + near[..., 1, 1]) / 4
    determinant = dxx * dyy - dxy**2
    moved = inside & (determinant != 0)
    divisor = torch.where(moved, determinant, 1.0)
    offset_x = torch.where(moved, (dxy * dy - dyy * dx) / divisor, 0.0)
    offset_y = torch.where(moved, (dxy * dx - dxx * dy) / divisor, 0.0)

    positions = torch.stack([x + offset_x, y + offset_y, peaks], dim=2)
    nowhere = torch.tensor([-1.0, -1.0], device=heatmaps.device, dtype=heatmaps.dtype)
    positions[..., :2] = torch.where((peaks > 0)[..., None], positions[..., :2], nowhere)
    return positions


def _blur(heatmaps: Tensor) -> Tensor:
    """Gaussian blur of [B, K, H, W], zeros outside."""
    reach = _BLUR_TAPS // 2
    offsets = torch.arange(-reach, reach + 1, device=heatmaps.device, dtype=heatmaps.dtype)
    taps = torch.exp(-(offsets**2) / (2 * _BLUR_SIGMA**2))
    taps /= taps.sum()
    maps = heatmaps.flatten(0, 1)[:, None]
    maps = F.conv2d(maps, taps[None, None, None, :], padding=(0, reach))
    maps = F.conv2d(maps, taps[None, None, :, None], padding=(reach, 0))
    return maps[:, 0].unflatten(0, heatmaps.shape[:2])


def _mirrored() -> list[int]:
    """For each of the 133 points, the one it becomes in a mirrored picture."""
    body = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    feet = [20, 21, 22, 17, 18, 19]
    jaw, brows = list(range(16, -1, -1)), list(range(26, 16, -1))
    nose = [27, 28, 29, 30, 35, 34, 33, 32, 31]
    eyes = [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    lips = [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    face = [23 + point for point in jaw + brows + nose + eyes + lips]
    return body + feet + face + list(range(112, 133)) + list(range(91, 112))


MIRRORED = _mirrored()


def unmirror(heatmaps: Tensor) -> Tensor:
    """Heatmaps [B, 133, H, W] of a mirrored picture, brought back; moved one pixel right to meet the others."""
    back = heatmaps.flip(3)[:, MIRRORED]
    return torch.cat([back[..., :1], back[..., :-1]], dim=3)
