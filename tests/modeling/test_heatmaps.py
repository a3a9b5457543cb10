"""Heatmaps against the dense definition: render at full size, crop, resize (specification section 2)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.plain import dense_heatmaps
from modeling.heatmaps import Box, render_heatmaps


def random_keypoints(seed: int, grid: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    points = (1.6 * torch.rand(1, 2, 3, 3, generator=rng, dtype=torch.float64) - 0.3) * grid  # some outside
    points[0, 1, 0] = 0.0  # nobody found
    return points


@settings(max_examples=12)
@given(
    st.integers(0, 10**6),
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(20, 150),
    st.integers(20, 150),
)
def test_cropped_heatmaps_are_the_dense_definition(
    seed: int, top: int, left: int, height: int, width: int
) -> None:
    box = Box(top, left, height, width)
    points = random_keypoints(seed, 256)
    torch.testing.assert_close(
        render_heatmaps(points, 112, 256, 8.0, box and [box]),
        dense_heatmaps(points, 112, 256, 8.0, box),
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("size", "grid", "sigma"), [(112, 256, 8.0), (256, 256, 8.0), (32, 64, 3.0), (48, 32, 2.0)]
)
def test_whole_heatmaps_are_the_dense_definition(size: int, grid: int, sigma: float) -> None:
    points = random_keypoints(3, grid)
    wanted = dense_heatmaps(points, size, grid, sigma, Box(0, 0, grid, grid))
    torch.testing.assert_close(render_heatmaps(points, size, grid, sigma), wanted, rtol=0, atol=1e-12)


def test_undetected_points_give_a_blob_in_the_corner() -> None:
    maps = render_heatmaps(torch.zeros(1, 1, 63, 3), 256, 256)
    assert maps.shape == (1, 63, 1, 256, 256)
    assert (maps[0, :, 0, 0, 0] == 1).all()
    assert maps[0, 0, 0, 0, 8] == pytest.approx(0.6065, abs=1e-4)  # exp(-1/2) at one sigma


def test_confidence_is_ignored() -> None:
    points = random_keypoints(1, 256)
    unsure = points.clone()
    unsure[..., 2] = 0.0
    assert torch.equal(render_heatmaps(points, 112), render_heatmaps(unsure, 112))
