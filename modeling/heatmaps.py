"""Keypoints -> Gaussian heatmaps, exactly and without ever making a full-size map.

A Gaussian is the outer product of two one-dimensional ones, and cropping and bilinear resizing act on each axis
alone. So two profiles per keypoint are rendered on the raw grid, cropped and resized, and multiplied at the size
the network reads (specification sections 2 and 11).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Box(NamedTuple):
    """A crop in pixels: rows top .. top + height - 1, columns left .. left + width - 1."""

    top: int
    left: int
    height: int
    width: int


def _profiles(centres: Tensor, grid: int, start: int, length: int, size: int, sigma: float) -> Tensor:
    """One-dimensional Gaussians around `centres` [...], cropped and linearly resized: [..., size]."""
    positions = torch.arange(start, start + length, dtype=centres.dtype, device=centres.device)
    profile = (positions - centres[..., None]).square_().mul_(-0.5 / sigma**2).exp_()  # [..., length]
    if length == size:
        return profile
    flat = profile.reshape(-1, 1, length)
    return F.interpolate(flat, size, mode="linear", align_corners=False).view(*centres.shape, size)


def render_heatmaps(
    keypoints: Tensor, size: int, grid: int = 256, sigma: float = 8.0, box: Box | None = None
) -> Tensor:
    """Heatmaps with peak 1, one channel a keypoint.

    Equal to rendering exp(-((x - cx)^2 + (y - cy)^2) / (2 sigma^2)) on a grid x grid map, cropping it to `box`
    and resizing it bilinearly, without antialiasing, to size x size. No confidence threshold is applied.

    Args:
        keypoints: float [B, T, J, 2 or more]: x, y in pixels of the grid.
        size: height and width of the result.
        grid: side of the raw map.
        sigma: standard deviation in pixels of the grid.
        box: crop on the grid; None keeps all of it.

    Returns:
        [B, J, T, size, size] in the type of `keypoints`, values in [0, 1].
    """
    top, left, height, width = box or Box(0, 0, grid, grid)
    points = keypoints.transpose(1, 2)  # [B, J, T, ...]
    columns = _profiles(points[..., 0], grid, left, width, size, sigma)  # [B, J, T, size]
    rows = _profiles(points[..., 1], grid, top, height, size, sigma)
    return rows[..., :, None] * columns[..., None, :]
