"""Loaders: a batch depends on the seed and the position alone, however it reaches the training process."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dataset.batch import DamageLog, Request, SampleSet
from dataset.clips import ClipBatch, ClipDataset
from dataset.frame_pool import PIECES
from dataset.keypoints import write_keypoints
from dataset.loader import TrainingSchedule, evaluation_loader, training_loader
from tests.conftest import SIDE, clip_keypoints, number_of
from tests.dataset.test_clips import POINTS, dataset
from utils.errors import UserError


class Nothing(SampleSet):
    """So many samples of nothing."""

    def __init__(self, samples: int):
        self.samples = samples

    @property
    def names(self) -> list[str]:
        return [""] * self.samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, requests: list[Request]) -> Any:
        raise NotImplementedError


def training_batches(data: ClipDataset, workers: int = 0, **schedule: Any) -> list[ClipBatch]:
    plan = {"batch_size": 4, "epochs": 2, "seed": 5, **schedule}
    loader = training_loader(data, TrainingSchedule(data, **plan), workers, pin=False)
    return list(loader)


def assert_same(a: ClipBatch, b: ClipBatch) -> None:
    assert a.samples == b.samples and torch.equal(a.labels, b.labels)
    assert a.frames is not None and b.frames is not None and torch.equal(a.frames, b.frames)
    assert a.keypoints is not None and b.keypoints is not None and torch.equal(a.keypoints, b.keypoints)


@pytest.fixture(scope="module")
def reference(clip_set: Path) -> list[ClipBatch]:
    return training_batches(dataset(clip_set, "train"))


def test_a_training_batch_holds_frames_keypoints_and_labels_of_its_clips(reference: list[ClipBatch]) -> None:
    assert len(reference) == 4  # two epochs of five clips in batches of four
    for batch in reference:
        frames, keypoints = batch.crops()
        assert frames is not None and keypoints is not None
        assert frames.shape == (4, 8, SIDE, SIDE, 3) and frames.dtype == torch.uint8
        assert keypoints.shape == (4, 8, 3, 3) and keypoints.dtype == torch.float32
        assert batch.problems == [] and batch.error is None
        for row, clip in enumerate(batch.samples):
            shown = [number_of(frame.numpy()) for frame in frames[row]]
            assert shown == list(range(shown[0], shown[0] + 8)) and shown[-1] < 9 + clip - 1
            # Frames and keypoints are of the same moments; the grid is twice the raw frame.
            assert (keypoints[row, :, :, 0] == 2 * torch.tensor(shown)[:, None]).all()
            assert (keypoints[row, :, :, 1] == 2 * clip).all()
            assert keypoints[row, 0, :, 2].tolist() == POINTS
            assert int(batch.labels[row]) == [0, 2, 1, 0, 2][clip]  # cold, table, winter


def test_batches_do_not_depend_on_the_number_of_workers(clip_set: Path, reference: list[ClipBatch]) -> None:
    for ours, theirs in zip(training_batches(dataset(clip_set, "train"), workers=2), reference, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_batches_from_a_step_on_are_those_of_the_whole_run(
    clip_set: Path, reference: list[ClipBatch], step: int
) -> None:
    resumed = training_batches(dataset(clip_set, "train"), first_step=step)
    for ours, theirs in zip(resumed, reference[step:], strict=True):
        assert_same(ours, theirs)


def test_parts_of_two_processes_make_the_batch_of_one(clip_set: Path, reference: list[ClipBatch]) -> None:
    data = dataset(clip_set, "train")
    parts = [training_batches(data, rank=rank, processes=2) for rank in (0, 1)]
    for first, second, whole in zip(*parts, reference, strict=True):
        assert first.samples + second.samples == whole.samples
        for name in ("frames", "keypoints", "labels"):
            assert torch.equal(torch.cat([getattr(first, name), getattr(second, name)]), getattr(whole, name))


def test_another_seed_gives_other_batches(clip_set: Path, reference: list[ClipBatch]) -> None:
    other = training_batches(dataset(clip_set, "train"), seed=6)
    assert [b.samples for b in other] != [b.samples for b in reference]


def test_windows_are_drawn_anew_in_every_epoch(clip_set: Path) -> None:
    batches = training_batches(dataset(clip_set, "train"), epochs=12, batch_size=5)
    keypoints = [(b.samples.index(4), b.crops()[1]) for b in batches]
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
    whole = list(TrainingSchedule(Nothing(clips), size, epochs, seed))
    per_epoch = -(-clips // size)
    assert len(whole) == epochs * per_epoch == len(TrainingSchedule(Nothing(clips), size, epochs, seed))
    assert all(len(batch) == size for batch in whole)
    for epoch in range(epochs):
        shown = [r.sample for batch in whole[epoch * per_epoch : (epoch + 1) * per_epoch] for r in batch]
        assert sorted(shown[:clips]) == list(range(clips))
    draws = [r.draw for batch in whole for r in batch]
    assert len(set(draws)) == len(draws)
    step = data.draw(st.integers(0, len(whole)))
    rank = data.draw(st.integers(0, processes - 1))
    resumed = TrainingSchedule(Nothing(clips), size, epochs, seed, step, rank, processes)
    assert len(resumed) == len(whole) - step
    assert list(resumed) == [batch[rank * local : (rank + 1) * local] for batch in whole[step:]]


def test_orders_differ_between_epochs() -> None:
    first, second = (batch for batch in TrainingSchedule(Nothing(30), 30, 2, 0))
    assert [r.sample for r in first] != [r.sample for r in second] != list(range(30))


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_covers_every_clip_once_in_the_same_batches(
    clip_set: Path, processes: int, workers: int
) -> None:
    data = dataset(clip_set, "train", crops=["central"])
    loaders = [evaluation_loader(data, 2, workers, False, rank, processes) for rank in range(processes)]
    batches = [batch.samples for loader in loaders for batch in loader]
    assert sorted(batches) == [[0, 1], [2, 3], [4]]


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
        DamageLog(data.names, 1.0, refusal="").note(batches[0])


def test_keypoints_that_are_not_finite_are_named(clip_set: Path, tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(5)]
    arrays = {name: clip_keypoints(0, 20) for name in names}
    arrays["c3"][:, POINTS[0], 1] = np.inf
    write_keypoints(tmp_path / "k.safetensors", arrays, dict.fromkeys(names, (SIDE, SIDE)), "truth", "1")
    data = dataset(clip_set, "train", keypoints=str(tmp_path / "k.safetensors"))
    (batch, *_) = training_batches(data, batch_size=5, epochs=1)
    with pytest.raises(UserError, match="keypoints of clip 'c3' are not finite"):
        DamageLog(data.names, 1.0, refusal="").note(batch)


def test_a_loading_process_that_is_killed_is_told(clip_set: Path) -> None:
    data = dataset(clip_set, "train")
    batches = iter(training_loader(data, TrainingSchedule(data, 4, 400, 5), 1, pin=False))
    next(batches)
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(UserError, match=r"^DataLoader worker \(pid.* lower data\.workers or the batch size"):
        for _ in batches:
            pass


def test_batches_that_are_kept_stay_as_they_are(clip_set: Path) -> None:
    data = dataset(clip_set, "train")
    kept = training_batches(data, workers=1, epochs=2 * PIECES)
    for ours, theirs in zip(kept, training_batches(data, epochs=2 * PIECES), strict=True):
        assert_same(ours, theirs)


def test_memory_of_frames_that_are_done_with_is_used_again(clip_set: Path) -> None:
    data = dataset(clip_set, "train")
    schedule = TrainingSchedule(data, 4, 4 * PIECES, 5)
    places = set()
    for ours, theirs in zip(
        training_loader(data, schedule, 1, pin=False),
        training_loader(data, schedule, 0, pin=False),
        strict=True,
    ):
        assert_same(ours, theirs)
        places.add(ours.frames.data_ptr())
    assert len(places) <= PIECES < len(schedule)


def test_a_part_of_the_frames_keeps_their_memory(clip_set: Path) -> None:
    data = dataset(clip_set, "train")
    batches = iter(training_loader(data, TrainingSchedule(data, 4, 4 * PIECES, 5), 1, pin=False))
    first = next(batches)
    assert first.frames is not None
    part, same = first.frames[3:5], first.frames[3:5].clone()
    del first
    for _ in range(3 * PIECES):
        next(batches)
    assert torch.equal(part, same)


def test_a_program_ends_whatever_it_left_of_its_loading_processes(clip_set: Path) -> None:
    """They ignore the signal by which Python ends them."""
    program = f"""
from pathlib import Path
from tests.dataset.test_loader import TrainingSchedule, dataset, training_loader
data = dataset(Path({str(clip_set)!r}), "train")
batches = iter(training_loader(data, TrainingSchedule(data, 4, 400, 5), 1, pin=False))
next(batches)
"""
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True, timeout=120)
