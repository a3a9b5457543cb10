"""A recognizer in a user's hands: the same figures as the evaluation, from a run or an export, and clear errors."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from configs.build import clip_format
from dataset.annotations import read_annotations
from dataset.clips import ClipReader
from inference.accuracy import AccuracyEvaluator
from inference.sign_recognizer import SignRecognizer
from inference.trained_model import load_model
from modeling import load_recognizer
from tests.conftest import write_mp4
from tests.dataset.test_video import fragmented
from tests.inference.runs import VOCABULARY, make_run
from utils.distributed import start_processes
from utils.errors import UserError


class FakeEstimator:
    """Finds every point at the left edge in the first frame, one pixel further right in each one after."""

    name, version = "fake", "1"

    def __init__(self, confidence: float = 1.0):
        self.confidence = confidence

    def estimate(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for number, _ in enumerate(frames):
            yield np.tile(np.float32([number, 7, self.confidence]), (133, 1))


def with_estimator(run: Path, estimator: FakeEstimator) -> SignRecognizer:
    recognizer = load_recognizer(run)
    recognizer.__dict__["estimator"] = estimator
    return recognizer


@pytest.mark.parametrize("setting", ["origin", "3x_pad"])
def test_every_clip_is_predicted_as_in_the_evaluation(run: Path, clip_set: Path, setting: str) -> None:
    model = load_model(run)
    config, network = model.config, model.recognizer
    clips = read_annotations(config.data).clips
    reader = ClipReader(config.data, clip_format(network.config))
    evaluator = AccuracyEvaluator(config, clips, VOCABULARY, reader, [setting], start_processes("cpu"))
    found = evaluator.run(network)
    assert found is not None
    results = found[setting]
    recognizer = load_recognizer(run)
    for row, clip in enumerate(clips):
        guesses = recognizer.predict(clip_set / "videos" / clip.video, top_k=3, eval_setting=setting)  # type: ignore[arg-type]
        assert [guess.gloss for guess in guesses] == [VOCABULARY[i] for i in results.best[row]]
        assert [guess.probability for guess in guesses] == pytest.approx(results.probabilities[row], abs=1e-5)


def test_keypoints_are_estimated_where_there_are_none(run: Path, tmp_path: Path) -> None:
    video = tmp_path / "unknown.mp4"
    video.write_bytes(write_mp4(12))
    read = with_estimator(run, FakeEstimator()).read(video)
    assert read.source == "fake"
    assert read.keypoints is not None and read.keypoints[:, 0, 0].tolist() == list(range(12))
    assert (read.frames, read.rate, read.frame_size) == (12, 25.0, (32, 32))


def test_stored_keypoints_are_those_of_the_very_clip(run: Path, tmp_path: Path) -> None:
    recognizer = with_estimator(run, FakeEstimator())
    video = tmp_path / "c3.mp4"  # the set has a c3 of 12 frames
    video.write_bytes(write_mp4(12))
    assert recognizer.read(video).source.endswith("keypoints.safetensors")
    for other in (write_mp4(20), write_mp4(12, side=64)):
        video.write_bytes(other)
        assert recognizer.read(video).source == "fake"


def test_unknown_settings(run: Path, clip_set: Path) -> None:
    with pytest.raises(ValueError, match="origin, 3x_pad"):
        load_recognizer(run).predict(clip_set / "videos" / "c0.mp4", eval_setting="4x")  # type: ignore[arg-type]


def test_a_model_without_keypoints_wants_none(tmp_path: Path, clip_set: Path) -> None:
    make_run(tmp_path / "run", clip_set, ["rgb"])
    recognizer = load_recognizer(tmp_path / "run")
    video = recognizer.read(clip_set / "videos" / "c1.mp4")
    assert video.keypoints is None and video.source == ""
    assert len(recognizer.timeline(video, length=4, min_probability=0.0)) > 0
    frames, heatmaps = recognizer.view(video)
    assert frames is not None and frames.shape == (8, 32, 32, 3) and heatmaps is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is an empty file"),
        (b"these are words, not pictures", "is no video that can be decoded"),
        (None, "no such video"),
    ],
)
def test_what_is_no_video_is_refused(run: Path, tmp_path: Path, content: bytes | None, message: str) -> None:
    video = tmp_path / "clip.mp4"
    if content is not None:
        video.write_bytes(content)
    with pytest.raises(UserError, match=message):
        with_estimator(run, FakeEstimator()).predict(video)


def test_a_video_without_a_person_is_refused(run: Path, tmp_path: Path) -> None:
    video = tmp_path / "empty_room.mp4"
    video.write_bytes(write_mp4(9))
    with pytest.raises(UserError, match="no person found in any of its 9 frames"):
        with_estimator(run, FakeEstimator(confidence=0.0)).predict(video)


def test_a_damaged_video_is_refused(run: Path, tmp_path: Path) -> None:
    video = tmp_path / "damaged.mp4"
    content = bytearray(fragmented(20))
    content[1500:1560] = np.random.default_rng(1).bytes(60)
    video.write_bytes(bytes(content))
    recognizer = with_estimator(run, FakeEstimator())
    for use in (recognizer.predict, lambda path: recognizer.timeline(recognizer.read(path), 20)):
        with pytest.raises(UserError, match=r"damaged.mp4: .*is damaged"):
            use(video)


@pytest.mark.parametrize("length", [None, 5, 12, 100])
def test_a_window_sees_what_a_clip_of_its_frames_shows(run: Path, clip_set: Path, length: int | None) -> None:
    """The window over the whole of a clip is the central crop of that clip; windows cover the video."""
    recognizer = load_recognizer(run)
    video = recognizer.read(clip_set / "videos" / "c3.mp4")  # 12 frames
    starts, probabilities = recognizer.window_probabilities(video, length, stride=1, batch_size=2)
    used = min(length or 8, 12)
    assert starts.tolist() == list(range(12 - used + 1))
    if used == 12:
        np.testing.assert_allclose(probabilities[0], recognizer.probabilities(video), atol=1e-5)
    if used == 8:
        np.testing.assert_allclose(probabilities[2], recognizer.probabilities(video), atol=1e-5)


def test_progress_covers_the_video(run: Path, clip_set: Path) -> None:
    recognizer = load_recognizer(run)
    video = recognizer.read(clip_set / "videos" / "c6.mp4")
    seen: list[int] = []
    starts, _ = recognizer.window_probabilities(video, 5, stride=2, batch_size=2, count=seen.append)
    assert sum(seen) == 2 * len(starts)


def test_models_that_are_not_there_or_not_ours(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trained model"):
        load_recognizer(tmp_path)
    with pytest.raises(UserError, match="no trained model"):
        load_recognizer(tmp_path / "none.pt")
    (tmp_path / "words.pt").write_text("words")
    with pytest.raises(UserError, match="not a checkpoint") as error:
        load_recognizer(tmp_path / "words.pt")
    assert "weights_only" not in str(error.value)  # torch's advice how to load it all the same
    import torch

    torch.save({"model_state": {"recognition_network.x": torch.zeros(1)}}, tmp_path / "published.pt")
    with pytest.raises(UserError, match="does not say what model it is"):
        load_recognizer(tmp_path / "published.pt")


def test_a_run_can_be_moved(run: Path, tmp_path: Path, clip_set: Path) -> None:
    shutil.copytree(run, tmp_path / "elsewhere")
    video = clip_set / "videos" / "c0.mp4"
    assert load_recognizer(tmp_path / "elsewhere").predict(video) == load_recognizer(run).predict(video)
