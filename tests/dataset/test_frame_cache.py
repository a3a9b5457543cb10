"""Decoded frames kept on disk are those of the video, whatever happens to the folder or the video."""

import dataclasses
import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dataset.clips import ClipReader
from dataset.config import DataConfig, Picture
from dataset.frame_cache import FrameCache
from dataset.video import decode_video
from tests.conftest import SIDE
from tests.dataset.test_clips import BOTH, data_config, dataset
from tests.dataset.test_loader import assert_same, training_batches
from utils.config import ConfigError
from utils.errors import UserError

Writer = Callable[[int], bytes]


def test_kept_frames_are_the_decoded_ones(tmp_path: Path, mp4: Writer) -> None:
    cache = FrameCache(tmp_path / "frames", Picture(SIDE, SIDE))
    for indices in (np.array([0, 3]), np.array([2, 11])):  # decoded, then kept
        decoded = decode_video(mp4(12), indices, Picture(SIDE, SIDE))
        room = np.full((3, SIDE, SIDE, 3), 7, np.uint8)
        given = cache.decode(mp4(12), indices, room).frames
        assert (
            np.array_equal(given, decoded.frames) and np.shares_memory(given, room) and (room[2] == 7).all()
        )
        kept = cache.decode(mp4(12), indices)
        assert np.array_equal(kept.frames, decoded.frames) and kept.problem is None
    (file,) = (tmp_path / "frames").iterdir()
    assert len(np.load(file)) == 12


def test_another_size_or_video_is_kept_apart(tmp_path: Path, mp4: Writer) -> None:
    for size, frames in ((SIDE, 12), (16, 12), (SIDE, 9)):
        found = FrameCache(tmp_path, Picture(size, size)).decode(mp4(frames), np.array([1]))
        assert np.array_equal(
            found.frames, decode_video(mp4(frames), np.array([1]), Picture(size, size)).frames
        )
    assert len(list(tmp_path.iterdir())) == 3


def test_damage_is_reported_every_time_and_not_kept(tmp_path: Path, mp4: Writer) -> None:
    cache = FrameCache(tmp_path, Picture(SIDE, SIDE))
    broken = mp4(12)[: len(mp4(12)) // 2]
    cache.decode(mp4(9), np.array([2]))  # this one is kept
    for content, indices in ((broken, np.array([11])), (mp4(9), np.array([10])), (b"", np.array([0]))):
        for _ in range(2):
            kept, decoded = (
                cache.decode(content, indices),
                decode_video(content, indices, Picture(SIDE, SIDE)),
            )
            assert kept.problem == decoded.problem is not None
            assert np.array_equal(kept.frames, decoded.frames)


def test_training_batches_do_not_depend_on_it(tmp_path: Path, clip_set: Path) -> None:
    plain = training_batches(dataset(clip_set, "train"))
    for workers in (0, 2):
        cached = dataset(clip_set, "train", frame_cache=str(tmp_path / "frames"))
        for a, b in zip(plain, training_batches(cached, workers), strict=True):
            assert_same(a, b)


def test_a_full_disk_is_told_in_one_line(
    tmp_path: Path, mp4: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match=r"^data\.frame_cache: .* cannot be written \(No space left"):
        FrameCache(tmp_path, Picture(SIDE, SIDE)).decode(mp4(12), np.array([1]))
    assert not list(tmp_path.iterdir())


def test_its_size_is_announced(tmp_path: Path, clip_set: Path) -> None:
    data = dataset(clip_set, "train", frame_cache=str(tmp_path / "frames"))
    assert isinstance(data.reader, ClipReader) and data.reader.cache is not None
    frames = data.reader.video_frames(data.clips)
    assert frames == sum(range(9, 14))
    line = FrameCache(tmp_path / "frames", Picture(1000, 1000)).announcement(frames)
    assert "frames" in line and f"{frames * 3e6 / 1e9:.2f} GB" in line


def test_frames_of_a_video_that_is_cut_are_counted_in_the_file(tmp_path: Path, clip_set: Path) -> None:
    data = dataset(clip_set, "train")
    halves = [dataclasses.replace(data.clips[0], start_frame=s, end_frame=s + 4) for s in (0, 4)]
    assert ClipReader(data_config(clip_set), BOTH).video_frames(halves) == 9


def test_numbered_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="video files"):
        DataConfig(index="clips.csv", clip_path="{video}/{frame:04d}.png", frame_cache="frames")
