"""Sentences as the network reads them."""

from pathlib import Path

import numpy as np
import pytest

from configs.build import build_continuous_recognizer
from dataset.batch import Request
from report.sentence_views import FRAMES_SHOWN, view_sentences
from tasks.continuous import ContinuousRecognition
from tests.report.sentence_runs import VOCABULARY, make_sentence_set, sentence_config
from utils.distributed import start_processes
from utils.errors import UserError


def test_frames_over_the_whole_time_and_what_the_heads_make_of_them(tmp_path: Path, clip_set: Path) -> None:
    """Frame n of a clip has the grey value 20 + 10 n."""
    index = make_sentence_set(tmp_path / "data")
    config = sentence_config(tmp_path / "run", index, clip_set, ["rgb", "keypoint"])
    network = build_continuous_recognizer(config, len(VOCABULARY)).eval()
    (view,) = view_sentences(config, "test", ["c6"], network)
    assert (view.frames, list(view.vocabulary)) == (12, VOCABULARY)  # of 15 a multiple of 4
    assert view.picture.shape == (256, 128 * FRAMES_SHOWN, 3)
    greys = view.picture[:128].reshape(128, FRAMES_SHOWN, 128, 3).mean(axis=(0, 2, 3))
    assert greys == pytest.approx(20 + 10 * np.arange(12), abs=3)
    assert list(view.probabilities) == ["rgb", "keypoint", "joint", "ensemble_last"]
    for probabilities in view.probabilities.values():
        assert probabilities.shape == (3, len(VOCABULARY))
        assert probabilities.sum(axis=1) == pytest.approx(1)


def test_missing_videos_and_sentences_are_told(tmp_path: Path, clip_set: Path) -> None:
    index = make_sentence_set(tmp_path / "data")
    config = sentence_config(tmp_path / "run", index, tmp_path, ["rgb"])
    with pytest.raises(UserError, match=r"clips\.zip"):
        view_sentences(config, "test", ["c6"])
    with pytest.raises(UserError, match="sentence 'c0' is not in the test split"):
        view_sentences(config, "test", ["c0"])


@pytest.mark.parametrize("modalities", [["rgb"], ["keypoint"], ["rgb", "keypoint"]])
def test_tensorboard_shows_a_sentence_that_is_about_to_be_read(
    tmp_path: Path, clip_set: Path, modalities: list[str]
) -> None:
    index = make_sentence_set(tmp_path / "data")
    config = sentence_config(tmp_path / "run", index, clip_set, modalities)
    task = ContinuousRecognition(config, start_processes("cpu"))
    batch = task.training_data()[[Request(0, (1, 0, 0)), Request(4, (1, 0, 1))]]
    picture = task.pictures(next(task.parts(batch, 0)))["sentence"]
    assert picture.dtype == np.uint8 and picture.shape[1:] == (128 * FRAMES_SHOWN, 3)
    assert picture.shape[0] == 56 + 128 * len(modalities)
