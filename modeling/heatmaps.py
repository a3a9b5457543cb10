"""Keypoints -> Gaussian heatmaps, exactly and without ever making a full-size map.

A Gaussian is the outer product of two one-dimensional ones, and cropping and bilinear resizing act on each axis
alone. So two profiles per keypoint are rendered on the raw grid, cropped and resized, and multiplied at the size
the network reads (specification sections 2 and 11).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Box(NamedTuple):
    """A crop in pixels: rows top .. top + height - 1, columns left .. left + width - 1."""

    top: int
    left: int
    height: int
    width: int


class Mixture(NamedTuple):
    """`share` of each clip and the rest of another, `others` int64 [B]."""

    others: Tensor
    share: float

    def of(self, x: Tensor) -> Tensor:
        """[B, ...] -> [B, ...]."""
        return torch.lerp(x[self.others], x, self.share)

    def gradient(self, grad: Tensor) -> Tensor:
        """The gradient of `of` in x."""
        return (self.share * grad).index_add_(0, self.others, grad, alpha=1.0 - self.share)


class Profiles(NamedTuple):
    """Heatmaps that are not written out: low + rows[b, t, y, j] * columns[b, t, x, j], then mixed.

    rows, columns: [B, T, size, J].
    """

    rows: Tensor
    columns: Tensor
    low: float
    mixture: Mixture | None = None

    def to(self, dtype: torch.dtype) -> "Profiles":
        return self._replace(rows=self.rows.to(dtype), columns=self.columns.to(dtype))

    def at(self, frames: slice | Tensor) -> "Profiles":
        """Those of some frames."""
        return self._replace(rows=self.rows[:, frames], columns=self.columns[:, frames])

    def at_each(self, windows: list[slice]) -> "Profiles":
        """Those of a window of each clip, all of one length; before they are mixed."""
        rows, columns = (
            torch.stack([clip[window] for clip, window in zip(x, windows, strict=True)])
            for x in (self.rows, self.columns)
        )
        return self._replace(rows=rows, columns=columns)

    def maps(self) -> Tensor:
        """[B, J, T, size, size], in memory format channels_last_3d."""
        low = torch.tensor(self.low, dtype=self.rows.dtype, device=self.rows.device)
        maps = torch.addcmul(low, self.rows[..., :, None, :], self.columns[..., None, :, :])
        if self.mixture is not None:
            maps = self.mixture.of(maps)
        return maps.permute(0, 4, 1, 2, 3)  # from [B, T, size, size, J]


def _profile(centres: Tensor, starts: Tensor, lengths: Tensor, size: int, sigma: float) -> Tensor:
    """One-dimensional Gaussians, cropped and linearly resized.

    Each resized value blends the two grid positions it falls between, so only these are evaluated.

    Args:
        centres: [B, T, 1, J].
        starts, lengths: of the crop along this axis, [B or 1].

    Returns:
        [B, T, size, J].
    """
    places = torch.arange(size, dtype=centres.dtype, device=centres.device)
    places = ((places + 0.5) * (lengths[:, None] / size) - 0.5).clamp_(min=0)  # [B or 1, size]
    before = places.floor()
    after = torch.minimum(before + 1, lengths[:, None] - 1)

    def gaussian(positions: Tensor) -> Tensor:
        offset = (positions + starts[:, None])[:, None, :, None] - centres
        return offset.square_().mul_(-0.5 / sigma**2).exp_()

    blended = torch.lerp(gaussian(before), gaussian(after), (places - before)[:, None, :, None])
    return blended.contiguous()  # the layout of the maps follows that of the profiles


def heatmap_profiles(
    keypoints: Tensor,
    size: int,
    grid: int = 256,
    sigma: float = 8.0,
    boxes: Sequence[Box] | None = None,
    low: float = 0.0,
    high: float = 1.0,
) -> Profiles:
    """Heatmaps, one for each keypoint.

    Equal to rendering exp(-((x - cx)^2 + (y - cy)^2) / (2 sigma^2)) on a grid x grid map, cropping it and resizing
    it bilinearly, without antialiasing, to size x size. No confidence threshold is applied.

    Args:
        keypoints: float [B, T, J, 2 or more]: x, y in pixels of the grid.
        size: height and width of the result.
        grid: side of the raw map.
        sigma: standard deviation in pixels of the grid.
        boxes: crops on the grid, one for all clips or one a clip; None keeps all of it.
        low, high: value far from the keypoint, and at its peak.

    Returns:
        Those of every clip and frame, in the type of `keypoints`.
    """
    crops = torch.tensor(boxes or [Box(0, 0, grid, grid)], dtype=keypoints.dtype, device=keypoints.device)
    top, left, height, width = crops.unbind(dim=1)  # [B or 1] each
    x, y = keypoints[..., None, :, 0], keypoints[..., None, :, 1]  # [B, T, 1, J]
    columns = _profile(x, left, width, size, sigma)
    rows = _profile(y, top, height, size, sigma).mul_(high - low)
    return Profiles(rows, columns, low)


def render_heatmaps(keypoints: Tensor, size: int, *arguments: Any, **options: Any) -> Tensor:
    """`heatmap_profiles` written out: [B, J, T, size, size], in memory format channels_last_3d."""
    return heatmap_profiles(keypoints, size, *arguments, **options).maps()
