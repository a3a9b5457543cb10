"""Whole clips of a data set, and the keypoint store that grows clip by clip."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset.annotations import Clip, read_index
from dataset.config import DataConfig
from dataset.extraction import KeypointParts, RawClips
from dataset.keypoints import SafetensorsKeypoints
from tests.conftest import clip_keypoints, grey_of, number_of
from utils.errors import UserError


def raw_clips(folder: Path, **options: object) -> RawClips:
    return RawClips(DataConfig(index=str(folder / "clips.csv"), **options))  # type: ignore[arg-type]


def test_whole_clips_from_a_zip(clip_set: Path) -> None:
    raw = raw_clips(clip_set, videos=str(clip_set / "clips.zip"))
    for clip in read_index(clip_set / "clips.csv"):
        assert len(list(raw.frames(clip))) == raw.length(clip) == clip.frames


def test_the_annotated_part_of_a_video(clip_set: Path) -> None:
    raw = raw_clips(clip_set, videos=str(clip_set / "videos"))
    part = Clip("part", "cold", "train", "c6.mp4", start_frame=3, end_frame=8)
    assert [number_of(frame) for frame in raw.frames(part)] == [3, 4, 5, 6, 7] and raw.length(part) == 5
    rest = Clip("rest", "cold", "train", "c6.mp4", start_frame=12)
    assert [number_of(frame) for frame in raw.frames(rest)] == [12, 13, 14] and raw.length(rest) == 3


def test_clips_that_are_numbered_images(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for number in range(4):
            picture = np.full((6, 8, 3), grey_of(number), np.uint8)
            archive.writestr(f"a/{number + 1:03d}.png", cv2.imencode(".png", picture)[1].tobytes())
    options = {"clip_path": "{video}/{frame:03d}.png", "first_frame": 1}
    raw = raw_clips(tmp_path, videos=str(tmp_path / "images.zip"), **options)
    assert [number_of(frame) for frame in raw.frames(Clip("a", "x", "train", "a"))] == [0, 1, 2, 3]
    short = raw.frames(Clip("a", "x", "train", "a", frames=2))
    assert len(list(short)) == 2 and short.problem is None
    long = raw.frames(Clip("a", "x", "train", "a", frames=6))
    assert len(list(long)) == 4 and long.problem == "image of frame 4 is missing"


def test_a_missing_file_is_a_problem_of_its_clip(clip_set: Path) -> None:
    raw = raw_clips(clip_set, videos=str(clip_set / "clips.zip"))
    clip = Clip("gone", "cold", "train", "gone.mp4")
    frames = raw.frames(clip)
    assert raw.length(clip) == 0 and list(frames) == [] and frames.problem == "is missing"


NAMES = ["plain", "with/a slash", "Straße", "c" * 200]


def keep(parts: KeypointParts, names: list[str], problem: str | None = None) -> None:
    for name in names:
        parts.keep(name, clip_keypoints(NAMES.index(name), 3), (64, 48), problem)


def test_a_store_in_steps_is_the_one_made_at_once(tmp_path: Path) -> None:
    at_once, in_steps = tmp_path / "a" / "k.safetensors", tmp_path / "b" / "k.safetensors"
    parts = KeypointParts(at_once, "estimator", "1")
    keep(parts, NAMES)
    parts.merge()
    keep(KeypointParts(in_steps, "estimator", "1"), NAMES[2:3])  # killed before merging
    later = KeypointParts(in_steps, "estimator", "1")
    assert [name in later for name in NAMES] == [False, False, True, False]
    keep(later, NAMES[:1])
    later.merge()
    last = KeypointParts(in_steps, "estimator", "1")  # another split
    assert [name in last for name in NAMES] == [True, False, True, False]
    keep(last, [NAMES[3], NAMES[1]])
    last.merge()
    assert in_steps.read_bytes() == at_once.read_bytes()
    store = SafetensorsKeypoints(at_once)
    assert np.array_equal(store.read("with/a slash"), clip_keypoints(1, 3))
    assert store.frame_size("Straße") == (64, 48) and store.estimator == "estimator 1"
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["k.safetensors"]


def test_problems_stay_with_their_clips(tmp_path: Path) -> None:
    path = tmp_path / "k.safetensors"
    parts = KeypointParts(path, "estimator", "1")
    keep(parts, NAMES[:1])
    keep(parts, NAMES[1:2], problem="frame 2 is damaged")
    parts.merge()
    again = KeypointParts(path, "estimator", "1")
    keep(again, NAMES[2:3])
    again.merge()
    assert SafetensorsKeypoints(path).problems == {NAMES[1]: "frame 2 is damaged"}


@pytest.mark.parametrize("merged", [True, False])
def test_keypoints_of_two_estimators_are_not_mixed(tmp_path: Path, merged: bool) -> None:
    path = tmp_path / "k.safetensors"
    parts = KeypointParts(path, "estimator", "1")
    keep(parts, NAMES[:1])
    if merged:
        parts.merge()
    for other in (("estimator", "2"), ("another", "1")):
        with pytest.raises(UserError, match="holds keypoints of 'estimator 1', not of"):
            KeypointParts(path, *other)


def test_without_videos_there_is_nothing_to_extract(clip_set: Path) -> None:
    with pytest.raises(UserError, match=r"data\.videos: missing"):
        raw_clips(clip_set)


def test_nothing_done_makes_no_store(tmp_path: Path, mp4: Callable[[int], bytes]) -> None:
    KeypointParts(tmp_path / "k.safetensors", "estimator", "1").merge()
    assert list(tmp_path.iterdir()) == []
