"""Videos with keypoints and glosses drawn in."""

from pathlib import Path

import av
import numpy as np
import pytest

from report.fonts import DEFAULT, covering_font
from report.overlay import Caption, check_overlay, write_overlay
from utils.errors import UserError


def frames_of(path: Path) -> tuple[list[np.ndarray], float]:
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate or 0)
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)], rate


def grey(count: int, height: int, width: int) -> list[np.ndarray]:
    return [np.full((height, width, 3), 128, np.uint8) for _ in range(count)]


def test_captions_stand_below_while_they_last(tmp_path: Path) -> None:
    captions = [Caption(0, 2, [("cold", 0.9), ("winter", 0.1)]), Caption(3, 4, [("table", 0.5)])]
    write_overlay(tmp_path / "new" / "out.mp4", grey(5, 90, 60), None, 29.97, captions)
    frames, rate = frames_of(tmp_path / "new" / "out.mp4")
    assert len(frames) == 5 and rate == pytest.approx(29.97, abs=0.01)
    height, width = 90 * 7, 60 * 7  # enlarged to at least 400 pixels
    assert frames[0].shape[1] == width and frames[0].shape[0] > height
    written = [int((frame[height:] > 200).sum()) for frame in frames]
    assert written[0] > written[3] > 0 and written[2] == written[4] == 0
    assert abs(int(frames[0][height // 2, width // 2, 0]) - 128) < 6


def test_without_captions_a_video_keeps_its_size(tmp_path: Path) -> None:
    points = np.zeros((3, 133, 3), np.float32)
    points[:, 5:7] = [[10, 10, 1], [50, 10, 1]]
    write_overlay(tmp_path / "out.mp4", grey(3, 61, 81), points, 25)
    frames, _ = frames_of(tmp_path / "out.mp4")
    assert frames[0].shape == (60, 80, 3)
    assert frames[0][10, 30, 0] > 180 and frames[0][10, 30, 2] < 110  # the line between the shoulders


def test_long_and_foreign_glosses_fit(tmp_path: Path) -> None:
    captions = [
        Caption(0, 1, [("a very long gloss that nobody would ever sign in one go", 0.5), ("冬天", 0.2)])
    ]
    write_overlay(tmp_path / "out.mp4", grey(1, 40, 400), None, 25, captions)
    assert len(frames_of(tmp_path / "out.mp4")[0]) == 1


def test_a_font_is_found_for_every_text() -> None:
    assert covering_font(["cold", "Ärztin", "зима"]) == DEFAULT
    assert Path(covering_font(["冬天"])).is_file()
    assert covering_font(["\U0001f9ff\uf8ff\U000e0fff"]) == DEFAULT  # no font has these


def test_an_overlay_never_replaces_its_video(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    for bad in (video, tmp_path / "out.avi"):
        with pytest.raises(UserError, match="must be another file"):
            check_overlay(bad, video)
    check_overlay(tmp_path / "out.mp4", video)
