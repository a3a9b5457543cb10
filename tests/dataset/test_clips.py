"""The Dataset: what a batch holds of its clips."""

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dataset.annotations import Clip, read_annotations
from dataset.batch import DamageLog, Problem, Request
from dataset.clips import ClipBatch, ClipDataset, ClipFormat, ClipReader
from dataset.config import DataConfig
from dataset.keypoints import write_keypoints
from dataset.sampling import CROPS, evaluation_indices
from dataset.video import FileSource
from tests.conftest import SIDE, clip_keypoints, number_of, write_csv
from tests.dataset.test_video import image
from utils.errors import UserError

POINTS = [91, 71, 0]
BOTH = ClipFormat(frames=8, rgb=True, keypoint_indices=POINTS, grid=2 * SIDE)


def data_config(folder: Path, **changes: Any) -> DataConfig:
    config = DataConfig(
        index=str(folder / "clips.csv"),
        videos=str(folder / "clips.zip"),
        keypoints=str(folder / "keypoints.safetensors"),
        frame_size=SIDE,
    )
    return dataclasses.replace(config, **changes)


def dataset(
    folder: Path, split: str, crops: Any = None, format: ClipFormat = BOTH, **changes: Any
) -> ClipDataset:
    config = data_config(folder, **changes)
    annotations = read_annotations(config)
    return ClipDataset(annotations.split(split), annotations.vocabulary, ClipReader(config, format), crops)  # type: ignore[arg-type]


def whole(data: ClipDataset, *draw: int) -> ClipBatch:
    """All clips in one batch; with the seed and epoch of random windows, or at the crops."""
    return data[[Request(i, (draw[0], draw[1], i) if draw else None) for i in range(len(data))]]


def test_evaluation_crops_of_a_clip_follow_one_another(clip_set: Path) -> None:
    data = dataset(clip_set, "test", crops=list(CROPS))
    batch = whole(data)
    frames, keypoints = batch.crops()
    assert frames is not None and keypoints is not None
    assert frames.shape[:2] == (6, 8) and batch.labels.tolist() == [0, 1]
    for row in range(6):
        wanted = evaluation_indices(14 + row // 3, 8, CROPS[row % 3]).tolist()
        assert [number_of(frame.numpy()) for frame in frames[row]] == wanted
        assert (keypoints[row, :, 0, 0] / 2).tolist() == wanted


def test_frames_that_crops_share_are_read_once(clip_set: Path) -> None:
    data = dataset(clip_set, "test", crops=list(CROPS))  # 14 and 15 frames, 8 to a crop
    batch = whole(data)
    assert batch.frames is not None and batch.keypoints is not None
    assert len(batch.frames) == len(batch.keypoints) == 14 + 15
    assert batch.windows.shape == (6, 8) and batch.windows[3:].min() == 14


def one_clip(reader: ClipReader, clip: Clip) -> tuple[list[int], str | None]:
    """Numbers of the frames that the central crop shows, and the problem."""
    sample = reader.read_crops(clip, ["central"])
    frames, _ = sample.crops()
    assert frames is not None
    return [number_of(frame) for frame in frames[0]], sample.problem


RGB = ClipFormat(frames=8, rgb=True, keypoint_indices=None, grid=SIDE)


@pytest.mark.parametrize(
    ("clip", "drop", "wanted"),
    [
        (Clip("c6", "x", "test", "c6.mp4", 15), 0, list(range(3, 11))),
        (Clip("c6", "x", "test", "c6.mp4", 15), 2, list(range(2, 10))),
        (Clip("c6", "x", "test", "c6.mp4"), 0, list(range(3, 11))),  # counted
        (Clip("c6", "x", "test", "c6.mp4", None, None, 5, 15), 0, list(range(6, 14))),
        (Clip("c6", "x", "test", "c6.mp4", None, None, 5, None), 0, list(range(6, 14))),
        (Clip("c6", "x", "test", "c6.mp4", None, None, None, 4), 0, [0, 0, 0, 1, 2, 3, 3, 3]),
        (Clip("c6", "x", "test", "c6.mp4", 2), 5, [0] * 8),  # at least one frame is left
    ],
)
def test_part_of_the_video_that_is_the_clip(clip_set: Path, clip: Clip, drop: int, wanted: list[int]) -> None:
    reader = ClipReader(data_config(clip_set, drop_last_frames=drop), RGB)
    assert one_clip(reader, clip) == (wanted, None)


def test_clip_paths_are_made_from_name_and_video(clip_set: Path) -> None:
    reader = ClipReader(data_config(clip_set, videos=str(clip_set), clip_path="videos/{name}.mp4"), RGB)
    assert one_clip(reader, Clip("c0", "x", "test", "elsewhere", 9))[0] == list(range(8))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("zipped", [False, True])
def test_numbered_images_start_at_the_configured_number(tmp_path: Path, first: int, zipped: bool) -> None:
    (tmp_path / "images").mkdir()
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for number in range(10):
            name = f"v/image_{number + first:05d}.png"
            (tmp_path / "images" / "v").mkdir(exist_ok=True)
            (tmp_path / "images" / name).write_bytes(image(number))
            archive.writestr(name, image(number))
    config = DataConfig(
        index="x",
        videos=str(tmp_path / ("images.zip" if zipped else "images")),
        clip_path="{video}image_{frame:05d}.png",
        first_frame=first,
        frame_size=SIDE,
    )
    reader = ClipReader(config, RGB)
    clip = Clip("a", "x", "train", "v/", 10)
    reader.check([clip])
    assert one_clip(reader, clip) == (list(range(1, 9)), None)
    short = dataclasses.replace(clip, frames=14)
    shown, problem = one_clip(reader, short)
    assert shown == [3, 4, 5, 6, 7, 8, 9, 9] and problem == "image of frame 10 is missing"
    with pytest.raises(UserError, match="need the column frames"):
        reader.read_crops(dataclasses.replace(clip, frames=None), ["central"])


def test_keypoints_alone_need_no_videos(clip_set: Path) -> None:
    format = ClipFormat(8, rgb=False, keypoint_indices=POINTS, grid=SIDE)
    data = dataset(clip_set, "test", ["central"], format, videos=None)
    batch = whole(data)
    assert batch.frames is None and batch.keypoints is not None
    assert batch.keypoints.shape == (16, 3, 3) and batch.windows.shape == (2, 8)


def test_rgb_alone_needs_no_keypoints(clip_set: Path) -> None:
    batch = whole(dataset(clip_set, "test", ["central"], RGB, keypoints=None))
    assert batch.keypoints is None and batch.frames is not None


def test_published_keypoints_are_scaled_from_the_configured_frame_size(
    tmp_path: Path, clip_set: Path
) -> None:
    import pickle

    (tmp_path / "k.pkl").write_bytes(pickle.dumps({"c0": clip_keypoints(10, 9)}))
    config = data_config(clip_set, keypoints=str(tmp_path / "k.pkl"), keypoints_frame_size=512)
    reader = ClipReader(config, ClipFormat(8, rgb=False, keypoint_indices=POINTS, grid=256))
    points = reader.read_crops(Clip("c0", "x", "train", "c0.mp4", 9), ["start"]).crops()[1]
    assert points is not None
    assert points[0, :, 0, 0].tolist() == [t / 2 for t in range(8)] and (points[..., 1] == 5).all()


def test_clip_missing_from_the_zip(clip_set: Path) -> None:
    reader = ClipReader(data_config(clip_set), RGB)
    clips = [Clip("c0", "cold", "train", "c0.mp4"), Clip("gone", "cold", "train", "gone.mp4")]
    with pytest.raises(UserError, match=r"clips\.zip: 1 of 2 clips \(gone\): no file 'gone\.mp4'"):
        ClipDataset(clips, ["cold"], reader, None)


def test_clip_without_keypoints(clip_set: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    write_keypoints(path, {"c0": clip_keypoints(0, 9)}, {"c0": (SIDE, SIDE)}, "truth", "1")
    with pytest.raises(
        UserError, match=r"some\.safetensors: no keypoints for 4 of 5 clips \(c1, c2, c3, \.\.\.\)"
    ):
        dataset(clip_set, "train", keypoints=str(path))


def test_too_few_keypoints_are_a_problem_of_the_clip(clip_set: Path, tmp_path: Path) -> None:
    write_keypoints(
        tmp_path / "k.safetensors", {"c0": clip_keypoints(0, 5)}, {"c0": (SIDE, SIDE)}, "truth", "1"
    )
    reader = ClipReader(data_config(clip_set, keypoints=str(tmp_path / "k.safetensors")), BOTH)
    sample = reader.read_crops(Clip("c0", "x", "train", "c0.mp4", 9), ["start"])
    assert sample.problem == "has 9 frames but keypoints for only 5"
    _, keypoints = sample.crops()
    assert keypoints is not None
    assert (keypoints[0, :, 0, 0] / 2).tolist() == [0, 1, 2, 3, 4, 4, 4, 4]


def clips_with(tmp_path: Path, clip_set: Path, name: str, content: bytes) -> str:
    """The videos with another content for one of them."""
    path = tmp_path / "clips.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(7):
            original = (clip_set / "videos" / f"c{i}.mp4").read_bytes()
            archive.writestr(f"c{i}.mp4", content if f"c{i}" == name else original)
    return str(path)


def test_damaged_video_is_a_problem_of_its_clip_in_the_batch(clip_set: Path, tmp_path: Path) -> None:
    content = bytearray((clip_set / "videos/c4.mp4").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 30] = bytes(30)
    data = dataset(clip_set, "train", videos=clips_with(tmp_path, clip_set, "c4", bytes(content)))
    batch = whole(data, 5, 0)
    assert [(x.sample, x.unreadable) for x in batch.problems] == [(4, False)]
    assert batch.samples == [0, 1, 2, 3, 4]


def test_unreadable_video_is_replaced_in_training_by_a_clip_that_the_draw_decides(
    clip_set: Path, tmp_path: Path
) -> None:
    data = dataset(clip_set, "train", videos=clips_with(tmp_path, clip_set, "c3", b"nothing"))
    seen = set()
    for epoch in range(20):
        batch, again = whole(data, 5, epoch), whole(data, 5, epoch)
        assert batch.samples == again.samples and batch.error is None
        assert batch.samples[:3] + batch.samples[4:] == [0, 1, 2, 4] and batch.samples[3] != 3
        assert batch.labels.tolist() == [data.labels[clip] for clip in batch.samples]
        assert {x.sample for x in batch.problems if x.unreadable} == {3}
        seen.add(batch.samples[3])
    assert seen == {0, 1, 2, 4}


def test_unreadable_video_is_left_out_of_an_evaluation(clip_set: Path, tmp_path: Path) -> None:
    videos = clips_with(tmp_path, clip_set, "c5", b"nothing")
    batch = whole(dataset(clip_set, "test", crops=["central"], videos=videos))
    assert batch.samples == [1] and batch.labels.tolist() == [1] and batch.windows.shape == (1, 8)
    assert batch.error is None and [(x.sample, x.unreadable) for x in batch.problems] == [(0, True)]


def test_split_of_which_nothing_can_be_read_ends_the_run(clip_set: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        for i in range(7):
            archive.writestr(f"c{i}.mp4", b"nothing")
    batch = whole(dataset(clip_set, "train", videos=str(tmp_path / "clips.zip")), 5, 0)
    assert batch.error is not None and "11 clips one after the other cannot be read" in batch.error


@pytest.mark.parametrize("video", ["../secret.mp4", "/etc/passwd", "a/../../secret.mp4"])
def test_paths_do_not_leave_the_folder_of_videos(tmp_path: Path, video: str) -> None:
    (tmp_path / "videos/a").mkdir(parents=True)
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    source = FileSource(tmp_path / "videos")
    assert video not in source
    with pytest.raises(UserError, match="no file"):
        source.read(video)


def batch_with(*problems: Problem, error: str | None = None) -> ClipBatch:
    return ClipBatch([], None, None, torch.empty(0), list(problems), error, torch.empty(0))


def test_damage_log_reports_each_clip_once_and_stops_past_the_share() -> None:
    clips = [Clip(f"c{i}", "x", "train", "") for i in range(10)]
    damage = DamageLog([clip.name for clip in clips], 0.2)
    short, empty, lost = Problem(3, "ends early"), Problem(4, "empty"), Problem(5, "no file", True)
    assert damage.note(batch_with()) == []
    assert damage.note(batch_with(short)) == ["damaged clip 'c3': ends early"]
    assert damage.note(batch_with(short, empty)) == ["damaged clip 'c4': empty"]
    with pytest.raises(UserError, match=r"3 of 10 clips are damaged.*max_damaged_share 0\.2.*'c5'"):
        damage.note(batch_with(lost))
    assert damage.damaged == {3: False, 4: False, 5: True}


def test_damage_log_can_refuse_the_first_clip_that_cannot_be_read() -> None:
    damage = DamageLog(["a", "b"], 1.0, "; do this")
    assert damage.note(batch_with(Problem(0, "ends early"))) == ["damaged clip 'a': ends early"]
    with pytest.raises(UserError, match=r"^clip 'b' cannot be read: no file; do this$"):
        damage.note(batch_with(Problem(1, "no file", unreadable=True)))


def test_damage_log_raises_the_error_of_a_batch() -> None:
    with pytest.raises(UserError, match="what happened"):
        DamageLog([], 1.0).note(batch_with(error="what happened"))


def test_index_without_frames_takes_lengths_from_video_or_keypoints(clip_set: Path, tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "clips.csv", [{"name": "c6", "gloss": "x", "split": "train", "video": "c6.mp4"}]
    )
    for format in (BOTH, ClipFormat(8, rgb=False, keypoint_indices=POINTS, grid=2 * SIDE)):
        data = dataset(clip_set, "train", ["end"], format, index=str(path))
        batch = whole(data)
        _, keypoints = batch.crops()
        assert keypoints is not None
        assert (keypoints[0, :, 0, 0] / 2).tolist() == list(np.arange(7, 15))
