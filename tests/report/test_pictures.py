"""Pictures of clips and of confusions."""

import io

import numpy as np
import pytest
from PIL import Image

from report.pictures import CELL, RIGHT, WRONG, captioned, confusion_picture, filmstrip, jpeg, on_white, png


def test_frames_stand_over_their_heatmaps() -> None:
    """Frame n has the grey value 10 n; its heatmap a peak at column n."""
    frames = np.repeat(np.arange(16, dtype=np.uint8) * 10, 40 * 40 * 3).reshape(16, 40, 40, 3)
    heatmaps = np.zeros((16, 16, 16))
    heatmaps[np.arange(16), 8, np.arange(16)] = 2.0
    strip = filmstrip(frames, heatmaps)
    assert strip.shape == (256, 8 * 128, 3)
    chosen = [0, 2, 4, 6, 9, 11, 13, 15]
    assert [strip[64, 128 * i + 64, 0] for i in range(8)] == [10 * n for n in chosen]
    peaks = [int(strip[128 + 68, 128 * i : 128 * (i + 1)].sum(axis=1).argmax()) // 8 for i in range(8)]
    assert peaks == chosen


def test_one_of_the_two_is_enough_and_short_clips_show_every_frame() -> None:
    assert filmstrip(np.zeros((3, 9, 9, 3), np.uint8), None).shape == (128, 3 * 128, 3)
    assert filmstrip(None, np.zeros((20, 9, 9))).shape == (128, 8 * 128, 3)


@pytest.mark.parametrize("names", [["a", "b", "c"], ["冬天", "a rather long gloss", ""]])
def test_confusions_are_where_they_belong(names: list[str]) -> None:
    matrix = np.array([[4, 0, 0], [1, 3, 0], [0, 0, 0]])
    picture = confusion_picture(matrix, names)
    left = picture.shape[1] - 1 - 3 * CELL

    def colour(row: int, column: int) -> tuple[int, ...]:
        return tuple(picture[CELL * row + 4, left + CELL * column + 4].tolist())

    assert colour(0, 0) == (*RIGHT, 255)
    assert colour(1, 0) == (*WRONG, 140 + 29) and colour(1, 1) == (*RIGHT, 140 + 86)
    assert colour(0, 1)[3] == colour(2, 2)[3] == 0


def test_files_hold_what_was_drawn() -> None:
    picture = np.zeros((4, 6, 4), np.uint8)
    picture[1, 2] = (10, 20, 30, 255)
    assert (np.asarray(Image.open(io.BytesIO(png(picture)))) == picture).all()
    white = on_white(picture)
    assert (
        white.shape == (4, 6, 3)
        and white[0, 0].tolist() == [255] * 3
        and white[1, 2].tolist() == [10, 20, 30]
    )
    found = np.asarray(Image.open(io.BytesIO(jpeg(np.full((8, 8, 3), (200, 10, 10), np.uint8)))))
    assert np.abs(found[4, 4].astype(int) - (200, 10, 10)).max() < 8


def test_captions_leave_the_picture_alone() -> None:
    picture = np.full((20, 200, 3), 77, np.uint8)
    both = captioned(picture, "cold")
    assert (both[-20:] == 77).all() and both[:-20].min() < 100 < both[:-20].max()


def test_a_long_caption_is_made_to_fit() -> None:
    picture = captioned(np.zeros((20, 200, 3), np.uint8), "a caption of many words " * 3)
    assert picture[:-20].min() < 100 and (picture[:-20, -5:] == 255).all()
