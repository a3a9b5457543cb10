"""The Dataset and its loaders: what a batch holds depends on the seed and the position alone."""

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dataset.annotations import Clip, read_annotations
from dataset.clips import (
    Batch,
    ClipDataset,
    ClipFormat,
    ClipReader,
    DamageLog,
    TrainingSchedule,
    evaluation_loader,
    training_loader,
)
from dataset.config import DataConfig
from dataset.keypoints import write_keypoints
from dataset.sampling import CROPS, evaluation_indices
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


def training_batches(data: ClipDataset, workers: int = 0, **schedule: Any) -> list[Batch]:
    plan = {"batch_size": 4, "epochs": 2, "seed": 5, **schedule}
    loader = training_loader(data, TrainingSchedule(len(data), **plan), workers, pin=False)
    return list(loader)  # type: ignore[arg-type]


def assert_same(a: Batch, b: Batch) -> None:
    assert a.clips == b.clips and torch.equal(a.labels, b.labels)
    assert a.frames is not None and b.frames is not None and torch.equal(a.frames, b.frames)
    assert a.keypoints is not None and b.keypoints is not None and torch.equal(a.keypoints, b.keypoints)


@pytest.fixture(scope="module")
def reference(clip_set: Path) -> list[Batch]:
    return training_batches(dataset(clip_set, "train"))


def test_a_training_batch_holds_frames_keypoints_and_labels_of_its_clips(reference: list[Batch]) -> None:
    assert len(reference) == 4  # two epochs of five clips in batches of four
    for batch in reference:
        frames, keypoints = batch.crops()
        assert frames is not None and keypoints is not None
        assert frames.shape == (4, 8, SIDE, SIDE, 3) and frames.dtype == torch.uint8
        assert keypoints.shape == (4, 8, 3, 3) and keypoints.dtype == torch.float32
        assert batch.problems == [] and batch.error is None
        for row, clip in enumerate(batch.clips):
            shown = [number_of(frame.numpy()) for frame in frames[row]]
            assert shown == list(range(shown[0], shown[0] + 8)) and shown[-1] < 9 + clip - 1
            # Frames and keypoints are of the same moments; the grid is twice the raw frame.
            assert (keypoints[row, :, :, 0] == 2 * torch.tensor(shown)[:, None]).all()
            assert (keypoints[row, :, :, 1] == 2 * clip).all()
            assert keypoints[row, 0, :, 2].tolist() == POINTS
            assert int(batch.labels[row]) == [0, 2, 1, 0, 2][clip]  # cold, table, winter


def test_batches_do_not_depend_on_the_number_of_workers(clip_set: Path, reference: list[Batch]) -> None:
    for ours, theirs in zip(training_batches(dataset(clip_set, "train"), workers=2), reference, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_batches_from_a_step_on_are_those_of_the_whole_run(
    clip_set: Path, reference: list[Batch], step: int
) -> None:
    resumed = training_batches(dataset(clip_set, "train"), first_step=step)
    for ours, theirs in zip(resumed, reference[step:], strict=True):
        assert_same(ours, theirs)


def test_parts_of_two_processes_make_the_batch_of_one(clip_set: Path, reference: list[Batch]) -> None:
    data = dataset(clip_set, "train")
    parts = [training_batches(data, rank=rank, processes=2) for rank in (0, 1)]
    for first, second, whole in zip(*parts, reference, strict=True):
        assert first.clips + second.clips == whole.clips
        for name in ("frames", "keypoints", "labels"):
            assert torch.equal(torch.cat([getattr(first, name), getattr(second, name)]), getattr(whole, name))


def test_another_seed_gives_other_batches(clip_set: Path, reference: list[Batch]) -> None:
    other = training_batches(dataset(clip_set, "train"), seed=6)
    assert [b.clips for b in other] != [b.clips for b in reference]


def test_windows_are_drawn_anew_in_every_epoch(clip_set: Path) -> None:
    batches = training_batches(dataset(clip_set, "train"), epochs=12, batch_size=5)
    keypoints = [(b.clips.index(4), b.crops()[1]) for b in batches]
    starts = {int(x[row, 0, 0, 0]) // 2 for row, x in keypoints if x is not None}
    assert starts == set(range(5))  # 13 frames: all windows of 8 but the last


@given(
    clips=st.integers(1, 40), local=st.integers(1, 5), processes=st.integers(1, 3), epochs=st.integers(1, 3),
    seed=st.integers(0, 1000), data=st.data(),
)  # fmt: skip
def test_schedule_shows_every_clip_in_every_epoch_and_resumes_anywhere(
    clips: int, local: int, processes: int, epochs: int, seed: int, data: st.DataObject
) -> None:
    size = local * processes
    whole = list(TrainingSchedule(clips, size, epochs, seed))
    per_epoch = -(-clips // size)
    assert len(whole) == epochs * per_epoch == len(TrainingSchedule(clips, size, epochs, seed))
    assert all(len(batch) == size for batch in whole)
    for epoch in range(epochs):
        shown = [r.clip for batch in whole[epoch * per_epoch : (epoch + 1) * per_epoch] for r in batch]
        assert sorted(shown[:clips]) == list(range(clips))
    draws = [r.draw for batch in whole for r in batch]
    assert len(set(draws)) == len(draws)
    step = data.draw(st.integers(0, len(whole)))
    rank = data.draw(st.integers(0, processes - 1))
    resumed = TrainingSchedule(clips, size, epochs, seed, step, rank, processes)
    assert len(resumed) == len(whole) - step
    assert list(resumed) == [batch[rank * local : (rank + 1) * local] for batch in whole[step:]]


def test_orders_differ_between_epochs() -> None:
    first, second = (batch for batch in TrainingSchedule(30, 30, 2, 0))
    assert [r.clip for r in first] != [r.clip for r in second] != list(range(30))


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_covers_every_clip_once_in_the_same_batches(
    clip_set: Path, processes: int, workers: int
) -> None:
    data = dataset(clip_set, "train", crops=["central"])
    loaders = [evaluation_loader(data, 2, workers, False, rank, processes) for rank in range(processes)]
    batches = [batch.clips for loader in loaders for batch in loader]  # type: ignore[attr-defined]
    assert sorted(batches) == [[0, 1], [2, 3], [4]]


def test_evaluation_crops_of_a_clip_follow_one_another(clip_set: Path) -> None:
    data = dataset(clip_set, "test", crops=list(CROPS))
    (batch,) = list(evaluation_loader(data, 8, 0, False))
    assert isinstance(batch, Batch)
    frames, keypoints = batch.crops()
    assert frames is not None and keypoints is not None
    assert frames.shape[:2] == (6, 8) and batch.labels.tolist() == [0, 1]
    for row in range(6):
        wanted = evaluation_indices(14 + row // 3, 8, CROPS[row % 3]).tolist()
        assert [number_of(frame.numpy()) for frame in frames[row]] == wanted
        assert (keypoints[row, :, 0, 0] / 2).tolist() == wanted


def test_frames_that_crops_share_are_read_once(clip_set: Path) -> None:
    data = dataset(clip_set, "test", crops=list(CROPS))  # 14 and 15 frames, 8 to a crop
    (batch,) = list(evaluation_loader(data, 8, 0, False))
    assert isinstance(batch, Batch) and batch.frames is not None and batch.keypoints is not None
    assert len(batch.frames) == len(batch.keypoints) == 14 + 15
    assert batch.windows.shape == (6, 8) and batch.windows[3:].min() == 14


def one_clip(reader: ClipReader, clip: Clip) -> tuple[list[int], str | None]:
    """Numbers of the frames that the central crop shows, and the problem."""
    sample = reader.read(clip, ["central"], None)
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
        reader.read(dataclasses.replace(clip, frames=None), ["central"], None)


def test_keypoints_alone_need_no_videos(clip_set: Path) -> None:
    format = ClipFormat(8, rgb=False, keypoint_indices=POINTS, grid=SIDE)
    data = dataset(clip_set, "test", ["central"], format, videos=None)
    (batch,) = list(evaluation_loader(data, 8, 0, False))
    assert isinstance(batch, Batch) and batch.frames is None and batch.keypoints is not None
    assert batch.keypoints.shape == (16, 3, 3) and batch.windows.shape == (2, 8)


def test_rgb_alone_needs_no_keypoints(clip_set: Path) -> None:
    (batch,) = list(
        evaluation_loader(dataset(clip_set, "test", ["central"], RGB, keypoints=None), 8, 0, False)
    )
    assert isinstance(batch, Batch) and batch.keypoints is None and batch.frames is not None


def test_published_keypoints_are_scaled_from_the_configured_frame_size(
    tmp_path: Path, clip_set: Path
) -> None:
    import pickle

    (tmp_path / "k.pkl").write_bytes(pickle.dumps({"c0": clip_keypoints(10, 9)}))
    config = data_config(clip_set, keypoints=str(tmp_path / "k.pkl"), keypoints_frame_size=512)
    reader = ClipReader(config, ClipFormat(8, rgb=False, keypoint_indices=POINTS, grid=256))
    points = reader.read(Clip("c0", "x", "train", "c0.mp4", 9), ["start"], None).crops()[1]
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


@pytest.mark.parametrize("workers", [0, 1])
def test_mistakes_found_while_reading_reach_the_main_process(
    clip_set: Path, tmp_path: Path, workers: int
) -> None:
    names = [f"c{i}" for i in range(5)]
    arrays = {name: clip_keypoints(0, 0 if name == "c2" else 20) for name in names}
    write_keypoints(tmp_path / "k.safetensors", arrays, dict.fromkeys(names, (SIDE, SIDE)), "truth", "1")
    data = dataset(clip_set, "train", keypoints=str(tmp_path / "k.safetensors"))
    batches = training_batches(data, workers, batch_size=5, epochs=1)
    with pytest.raises(UserError, match="keypoints of clip 'c2' have no frames"):
        DamageLog(data.clips, 1.0).note(batches[0])


def test_too_few_keypoints_are_a_problem_of_the_clip(clip_set: Path, tmp_path: Path) -> None:
    write_keypoints(
        tmp_path / "k.safetensors", {"c0": clip_keypoints(0, 5)}, {"c0": (SIDE, SIDE)}, "truth", "1"
    )
    reader = ClipReader(data_config(clip_set, keypoints=str(tmp_path / "k.safetensors")), BOTH)
    sample = reader.read(Clip("c0", "x", "train", "c0.mp4", 9), ["start"], None)
    assert sample.problem == "has 9 frames but keypoints for only 5"
    _, keypoints = sample.crops()
    assert keypoints is not None
    assert (keypoints[0, :, 0, 0] / 2).tolist() == [0, 1, 2, 3, 4, 4, 4, 4]


def test_damaged_video_is_a_problem_of_its_clip_in_the_batch(clip_set: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        for i in range(7):
            content = (clip_set / "videos" / f"c{i}.mp4").read_bytes()
            archive.writestr(f"c{i}.mp4", b"" if i == 3 else content)
    data = dataset(clip_set, "train", videos=str(tmp_path / "clips.zip"))
    (batch,) = training_batches(data, batch_size=5, epochs=1)
    assert [clip for clip, _ in batch.problems] == [3]


def batch_with(*problems: tuple[int, str], error: str | None = None) -> Batch:
    return Batch([], torch.empty(0), None, None, torch.empty(0), list(problems), error)


def test_damage_log_reports_each_clip_once_and_stops_past_the_share() -> None:
    clips = [Clip(f"c{i}", "x", "train", "") for i in range(10)]
    damage = DamageLog(clips, 0.2)
    assert damage.note(batch_with()) == []
    assert damage.note(batch_with((3, "ends early"))) == ["damaged clip 'c3': ends early"]
    assert damage.note(batch_with((3, "ends early"), (4, "empty"))) == ["damaged clip 'c4': empty"]
    with pytest.raises(UserError, match=r"3 of 10 clips are damaged.*max_damaged_share 0\.2.*'c5'"):
        damage.note(batch_with((5, "empty")))


def test_damage_log_raises_the_error_of_a_batch() -> None:
    with pytest.raises(UserError, match="what happened"):
        DamageLog([], 1.0).note(batch_with(error="what happened"))


def test_index_without_frames_takes_lengths_from_video_or_keypoints(clip_set: Path, tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "clips.csv", [{"name": "c6", "gloss": "x", "split": "train", "video": "c6.mp4"}]
    )
    for format in (BOTH, ClipFormat(8, rgb=False, keypoint_indices=POINTS, grid=2 * SIDE)):
        data = dataset(clip_set, "train", ["end"], format, index=str(path))
        (batch,) = list(evaluation_loader(data, 1, 0, False))
        assert isinstance(batch, Batch)
        _, keypoints = batch.crops()
        assert keypoints is not None
        assert (keypoints[0, :, 0, 0] / 2).tolist() == list(np.arange(7, 15))
