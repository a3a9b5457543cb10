"""Batches of sentences: what they hold, how they are padded and arranged by length, and sentences that are refused."""

import dataclasses
import zipfile
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dataset.batch import Request
from dataset.config import SentenceDataConfig
from dataset.footage import FootageReader
from dataset.keypoints import write_keypoints
from dataset.loader import TrainingSchedule
from dataset.sentence_clips import SentenceBatch, SentenceDataset, steps_needed
from dataset.sentences import GlossClasses, Sentence
from tests.conftest import SIDE, number_of
from tests.dataset.test_video import image
from utils.errors import UserError

CLASSES = GlossClasses(["<s>", "cold", "rain", "table"], False)
GLOSSES = ["cold", "rain table", "cold cold"]


def data_config(folder: Path, **changes: Any) -> SentenceDataConfig:
    config = SentenceDataConfig(
        index="unused",
        videos=str(folder / "clips.zip"),
        keypoints=str(folder / "keypoints.safetensors"),
        frame_size=(SIDE, SIDE),
    )
    return dataclasses.replace(config, **changes)


def sentence(clip: int, glosses: str, **changes: Any) -> Sentence:
    """The clip of that number in `clip_set`, of 9 + `clip` frames."""
    found = Sentence(f"c{clip}", glosses, "train", f"c{clip}.mp4", 9 + clip)
    return dataclasses.replace(found, **changes)


def dataset(
    config: SentenceDataConfig, sentences: list[Sentence], training: bool, rgb: bool = True
) -> SentenceDataset:
    reader = FootageReader(config, rgb, [91, 0] if config.keypoints else None, (2 * SIDE, 2 * SIDE))
    return SentenceDataset(sentences, CLASSES, reader, config, training)


def read(data: SentenceDataset, seed: int | None = None) -> SentenceBatch:
    """All sentences as one batch."""
    requests = [Request(i, None if seed is None else (seed, 0, i)) for i in range(len(data))]
    return data.read(requests, np.empty(data.room(len(data)), np.uint8))


def test_evaluation_reads_sentences_from_their_first_frame_or_the_middle(clip_set: Path) -> None:
    """Of 9, 13 and 15 frames, of which 12 are read at most."""
    clips = [sentence(0, "cold"), sentence(4, "rain"), sentence(6, "table cold")]
    batch = read(dataset(data_config(clip_set, max_frames=12), clips, training=False))
    assert batch.lengths.tolist() == [8, 12, 12] and batch.first.tolist() == [0, 0, 1]
    frames, keypoints = batch.crops()
    assert frames is not None and keypoints is not None
    assert frames.shape == (3, 12, SIDE, SIDE, 3) and keypoints.shape == (3, 12, 2, 3)
    shown = [[number_of(frame.numpy()) for frame in of_one] for of_one in frames]
    assert shown == [[*range(8), 7, 7, 7, 7], [*range(12)], [*range(1, 13)]]
    # Frames and keypoints are of the same moments and sentences; the grid is twice the frame.
    assert (keypoints[..., 0, 0] / 2).tolist() == shown
    assert (keypoints[:, 0, 0, 1] / 2).tolist() == [0, 4, 6]
    assert batch.counts.tolist() == [0, 0, 0]  # what is signed there is not asked


def test_training_has_glosses_padded_with_blanks(clip_set: Path) -> None:
    data = dataset(
        data_config(clip_set), [sentence(i + 3, glosses) for i, glosses in enumerate(GLOSSES)], True
    )
    batch = read(data, seed=5)
    assert batch.glosses.tolist() == [[1, 0], [2, 3], [1, 1]] and batch.counts.tolist() == [1, 2, 2]
    assert (batch.lengths % 4 == 0).all() and batch.windows.shape == (3, int(batch.lengths.max()))
    assert len(set(batch.lengths.tolist())) > 1
    again, other = read(data, seed=5), read(data, seed=6)
    assert torch.equal(again.windows, batch.windows)
    assert again.lengths.equal(batch.lengths) and not other.lengths.equal(batch.lengths)
    frames, _ = batch.crops()
    assert frames is not None
    for of_one, length in zip(frames, batch.lengths.tolist(), strict=True):
        shown = [number_of(frame.numpy()) for frame in of_one]
        assert shown == sorted(shown) and set(shown[length:]) <= {shown[length - 1]}


def test_windows_of_another_length_repeat_the_last_frame_of_each() -> None:
    windows = torch.tensor([[0, 1, 2, 3, 3, 3, 3, 3], [4, 5, 6, 7, 8, 9, 10, 11]])
    lengths, zeros = torch.tensor([4, 8]), torch.zeros(2, dtype=torch.int64)
    batch = SentenceBatch([0, 1], None, None, windows, [], None, lengths, zeros, zeros[:, None], zeros)
    assert torch.equal(batch.of_length(8), windows)
    assert torch.equal(batch.of_length(4), windows[:, :4])
    assert batch.of_length(11)[:, 7:].tolist() == [[3, 3, 3, 3], [11, 11, 11, 11]]


def many(clip_set: Path, lengths: list[int], **changes: Any) -> SentenceDataset:
    """Sentences of these lengths that are only to be arranged; all show the same clip."""
    reader = FootageReader(data_config(clip_set, keypoints=None), True, None, (SIDE, SIDE))
    clips = [Sentence(f"s{i}", "cold", "train", "c0.mp4", length) for i, length in enumerate(lengths)]
    return SentenceDataset(clips, CLASSES, reader, data_config(clip_set, **changes), training=True)


def batches(data: SentenceDataset, processes: int = 1, **options: int) -> list[list[Request]]:
    """Of two epochs, each put together from the parts of all processes."""
    plan = {"batch_size": 4, "epochs": 2, "seed": 3, **options}
    of_each = [list(TrainingSchedule(data, **plan, rank=r, processes=processes)) for r in range(processes)]
    return [list(chain(*parts)) for parts in zip(*of_each, strict=True)]


def padding(lengths: list[int], found: list[list[Request]]) -> int:
    """Frames of padding, were all sentences read at their length."""
    read = [[lengths[request.sample] for request in batch] for batch in found]
    return sum(max(batch) * len(batch) - sum(batch) for batch in read)


@given(st.lists(st.integers(4, 300), min_size=4, max_size=40), st.integers(1, 5))
def test_arranged_by_length_every_sentence_comes_once_an_epoch(
    clip_set: Path, lengths: list[int], together: int
) -> None:
    lengths = lengths[: len(lengths) // 4 * 4]
    found = batches(many(clip_set, lengths, bucket_batches=together))
    of_epoch = len(found) // 2
    for epoch in (found[:of_epoch], found[of_epoch:]):
        assert sorted(request.sample for batch in epoch for request in batch) == list(range(len(lengths)))


def test_arrangement_is_reproducible_and_leaves_less_padding(clip_set: Path) -> None:
    lengths = np.random.default_rng(0).integers(40, 160, 40).tolist()
    plain = batches(many(clip_set, lengths))
    data = many(clip_set, lengths, bucket_batches=5)
    found = batches(data)
    assert found == batches(data, processes=2) == batches(data, processes=4)
    assert found[3:] == batches(data, first_step=3) and found != batches(data, seed=4)
    samples = [[request.sample for request in batch] for batch in found]
    assert samples[:10] != samples[10:]  # each epoch its own
    assert padding(lengths, found) < 0.4 * padding(lengths, plain)
    # The network would see a trend if the batches of a bucket came in the order of their lengths.
    longest = [max(lengths[i] for i in batch) for batch in samples]
    buckets = [longest[first : first + 5] for first in range(0, 20, 5)]
    assert any(bucket != sorted(bucket) for bucket in buckets)


def test_steps_that_ctc_needs() -> None:
    assert [steps_needed(glosses) for glosses in ([], [1], [1, 2], [1, 1], [1, 1, 1])] == [0, 1, 2, 3, 5]


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([sentence(0, "cold hail")], "sentence 'c0': the gloss 'hail' is not in the vocabulary"),
        (
            [sentence(0, "cold rain cold")],
            "sentence 'c0': 9 frames make 2 steps, and its 3 glosses need 3; take it out of the annotations",
        ),
        ([sentence(0, "cold cold")], "9 frames make 2 steps, and its 2 glosses need 3"),
        ([sentence(0, "cold", end_frame=3)], "sentence 'c0': has 3 frames; a sentence needs at least 4"),
        (
            [sentence(0, "cold", frames=10)],
            r"keypoints.safetensors: sentence 'c0' has 10 frames, but keypoints of 9: of another video\?",
        ),
    ],
)
def test_what_cannot_be_learned_is_refused(clip_set: Path, sentences: list[Sentence], message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataset(data_config(clip_set), sentences, training=True)


def test_evaluation_takes_glosses_that_are_unknown_or_many(clip_set: Path) -> None:
    assert len(dataset(data_config(clip_set), [sentence(0, "cold hail rain")], training=False)) == 1


def test_steps_are_counted_when_a_video_is_read_whose_length_is_not_annotated(clip_set: Path) -> None:
    data = dataset(data_config(clip_set), [sentence(0, "cold rain cold", frames=None)], training=True)
    assert read(data, seed=0).problems[0].text == (
        "sentence 'c0': 9 frames make 2 steps, and its 3 glosses need 3; take it out of the annotations"
    )


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for number in (1, 2, 3, 4, 6, 7, 8):
            archive.writestr(f"v/image_{number:04d}.png", image(number))
    config = SentenceDataConfig(
        index="unused",
        videos=str(tmp_path / "images.zip"),
        clip_path="{video}/image_{frame:04d}.png",
        first_frame=1,
        frame_size=(SIDE, SIDE),
    )
    whole, lacking = Sentence("a", "cold", "test", "v", 4), Sentence("b", "cold", "test", "v", 8)
    assert read(dataset(config, [whole], training=False)).lengths.tolist() == [4]
    with pytest.raises(
        UserError, match=r"images\.zip: sentence 'b' of 8 frames: no file 'v/image_0005\.png'"
    ):
        dataset(config, [lacking], training=False)


def test_keypoints_alone(clip_set: Path, tmp_path: Path) -> None:
    path = tmp_path / "k.safetensors"
    points = np.ones((9, 133, 3), np.float32)
    write_keypoints(path, {"c0": points}, {"c0": (SIDE, SIDE)}, "truth", "1")
    config = data_config(clip_set, videos=None, keypoints=str(path))
    batch = read(dataset(config, [sentence(0, "cold")], training=False, rgb=False))
    assert batch.frames is None and batch.windows.tolist() == [list(range(8))]
