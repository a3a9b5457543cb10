"""Keypoints -> Gaussian heatmaps, exactly and without ever making a full-size map.

A Gaussian is the outer product of two one-dimensional ones, and cropping and bilinear resizing act on each axis
alone. So two one-dimensional factors per keypoint are rendered on the raw grid, cropped and resized, and multiplied at
the size the network reads (specification sections 2 and 11).
"""

from collections.abc import Mapping, Sequence
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
        """[B, ...] -> [B, ...]; clip by clip, so that there is no third copy."""
        result = torch.empty_like(x)
        for clip, other in enumerate(self.others.tolist()):
            torch.lerp(x[other], x[clip], self.share, out=result[clip])
        return result


class FactoredHeatmaps(NamedTuple):
    """Heatmaps that are not written out: low + rows[b, t, y, j] * columns[b, t, x, j], then mixed.

    rows, columns: [B, T, size, J].
    """

    rows: Tensor
    columns: Tensor
    low: float
    mixture: Mixture | None = None

    @property
    def dtype(self) -> torch.dtype:
        return self.rows.dtype

    @property
    def device(self) -> torch.device:
        return self.rows.device

    def to(self, dtype: torch.dtype) -> "FactoredHeatmaps":
        return self._replace(rows=self.rows.to(dtype), columns=self.columns.to(dtype))

    def at(self, frames: slice | Tensor) -> "FactoredHeatmaps":
        """Those of some frames."""
        return self._replace(rows=self.rows[:, frames], columns=self.columns[:, frames])

    def at_each(self, windows: list[slice]) -> "FactoredHeatmaps":
        """Those of a window of each clip, all of one length; before they are mixed."""
        rows, columns = (
            torch.stack([clip[window] for clip, window in zip(x, windows, strict=True)])
            for x in (self.rows, self.columns)
        )
        return self._replace(rows=rows, columns=columns)

    def maps(self) -> Tensor:
        """[B, J, T, size, size], in memory format channels_last_3d."""
        low = torch.tensor(self.low, dtype=self.dtype, device=self.device)
        maps = torch.addcmul(low, self.rows[..., :, None, :], self.columns[..., None, :, :])
        if self.mixture is not None:
            maps = self.mixture.of(maps)
        return maps.permute(0, 4, 1, 2, 3)  # from [B, T, size, size, J]


def written_out(inputs: Mapping[str, Tensor | FactoredHeatmaps]) -> dict[str, Tensor]:
    """{stream: [B, C, T, H, W]} from inputs of which some are in factors."""
    return {name: x.maps() if isinstance(x, FactoredHeatmaps) else x for name, x in inputs.items()}


def _factor(centres: Tensor, starts: Tensor, lengths: Tensor, size: int, sigma: float) -> Tensor:
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
    return blended.contiguous()  # the layout of the maps follows that of the factors


def factored_heatmaps(
    keypoints: Tensor,
    size: int,
    grid: int = 256,
    sigma: float = 8.0,
    boxes: Sequence[Box] | None = None,
    low: float = 0.0,
    high: float = 1.0,
) -> FactoredHeatmaps:
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
    columns = _factor(x, left, width, size, sigma)
    rows = _factor(y, top, height, size, sigma).mul_(high - low)
    return FactoredHeatmaps(rows, columns, low)


def render_heatmaps(keypoints: Tensor, size: int, *arguments: Any, **options: Any) -> Tensor:
    """`factored_heatmaps` written out: [B, J, T, size, size], in memory format channels_last_3d."""
    return factored_heatmaps(keypoints, size, *arguments, **options).maps()
