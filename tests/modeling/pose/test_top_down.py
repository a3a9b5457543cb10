"""The geometry of a person's crop, and DARK decoding against a plain loop over its formula."""

import cv2
import numpy as np
import pytest
import torch

from modeling.pose.top_down import (
    INPUT_SIZE,
    MIRRORED,
    crop_around,
    cut_out,
    decode_dark,
    to_frame,
    unmirror,
)


def dark_by_loop(heatmap: np.ndarray) -> tuple[float, float, float]:
    """One heatmap [H, W] after Zhang et al. 2020: blur, rescale to the old maximum, log, one Newton step."""
    peak = float(heatmap.max())
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    if peak <= 0:
        return -1.0, -1.0, peak
    padded = np.pad(heatmap, 5)
    blurred = cv2.GaussianBlur(padded, (11, 11), 2.0)[5:-5, 5:-5]
    logs = np.log(np.maximum(blurred * (peak / blurred.max()), 1e-10)).astype(np.float64)
    if not (1 < x < heatmap.shape[1] - 2 and 1 < y < heatmap.shape[0] - 2):
        return float(x), float(y), peak
    gradient = np.array([logs[y, x + 1] - logs[y, x - 1], logs[y + 1, x] - logs[y - 1, x]]) / 2
    xx = (logs[y, x + 2] - 2 * logs[y, x] + logs[y, x - 2]) / 4
    yy = (logs[y + 2, x] - 2 * logs[y, x] + logs[y - 2, x]) / 4
    xy = (logs[y + 1, x + 1] - logs[y - 1, x + 1] - logs[y + 1, x - 1] + logs[y - 1, x - 1]) / 4
    offset = -np.linalg.solve(np.array([[xx, xy], [xy, yy]]), gradient)
    return float(x + offset[0]), float(y + offset[1]), peak


def gaussian(x: float, y: float, height: int = 96, width: int = 72, sigma: float = 3.0) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)).astype(np.float32)


def test_dark_decoding_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform([0, 0], [71, 95], size=(40, 2))
    maps = np.stack([gaussian(x, y) for x, y in places])
    maps = maps * rng.uniform(0.1, 1, (40, 1, 1)) + 0.01 * rng.standard_normal(maps.shape)
    maps = maps.astype(np.float32)
    maps[3] = -1.0  # nowhere positive
    maps[4] = gaussian(0, 50)  # at the border
    expected = np.array([dark_by_loop(heatmap) for heatmap in maps])
    found = decode_dark(torch.from_numpy(maps)[None])[0].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_dark_decoding_finds_the_middle_of_a_gaussian() -> None:
    x, y, peak = decode_dark(torch.from_numpy(gaussian(30.4, 50.7))[None, None])[0, 0].tolist()
    assert x == pytest.approx(30.4, abs=1e-3) and y == pytest.approx(50.7, abs=1e-3)
    assert peak == pytest.approx(gaussian(30.4, 50.7).max())


@pytest.mark.parametrize(
    ("box", "crop"),
    [
        ([0, 0, 256, 256], (128, 128, 320 * 0.75 / 0.75, 320 / 0.75)),  # wider than 3:4: the height grows
        ([10, 20, 40, 120], (25, 70, 125 * 0.75, 125)),  # narrower: the width grows
    ],
)
def test_a_crop_is_padded_and_widened_to_three_by_four(box: list[float], crop: tuple[float, ...]) -> None:
    assert crop_around(np.array(box)) == pytest.approx(crop)


def test_what_is_found_in_the_crop_goes_back_to_its_place_in_the_frame() -> None:
    """A bright spot in the frame is cut out, found where the network would, and brought back."""
    place = np.array([171.0, 88.0])
    frame = (255 * gaussian(*place, height=240, width=320, sigma=6)).astype(np.uint8)
    crop = crop_around(np.array([100.0, 30.0, 260.0, 230.0]))
    picture = cut_out(np.stack([frame] * 3, axis=2), crop)
    assert picture.shape == (INPUT_SIZE[1], INPUT_SIZE[0], 3)
    # Input pixel 4 k is heatmap pixel k, as mmpose has it.
    heatmap = torch.from_numpy(picture[::4, ::4, 0].astype(np.float32))
    found = to_frame(decode_dark(heatmap[None, None])[0].numpy(), crop)[0]
    assert found[:2] == pytest.approx(place, abs=0.05)


def test_outside_the_frame_the_crop_is_black() -> None:
    picture = cut_out(np.full((100, 100, 3), 200, np.uint8), crop_around(np.array([0.0, 0.0, 100.0, 100.0])))
    assert picture[:20].max() == 0 and picture[190:194, 140:148].min() == 200


def test_mirroring_swaps_the_sides() -> None:
    assert sorted(MIRRORED) == list(range(133))
    assert [MIRRORED[MIRRORED[i]] for i in range(133)] == list(range(133))
    pairs = {0: 0, 5: 6, 9: 10, 17: 20, 23: 39, 40: 49, 50: 50, 59: 68, 71: 77, 80: 80, 83: 87, 91: 112}
    assert {i: MIRRORED[i] for i in pairs} == pairs


def test_a_mirrored_heatmap_comes_back() -> None:
    """The spot of point 5 in a mirrored picture is that of point 6; the map is also moved one pixel right."""
    heatmaps = torch.zeros(1, 133, 4, 6)
    heatmaps[0, 5, 2, 1] = 1.0
    back = unmirror(heatmaps)
    assert back.nonzero().tolist() == [[0, 6, 2, 5]]
