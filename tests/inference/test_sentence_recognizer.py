"""A recognizer of sentences in a user's hands: what the evaluation reads, when glosses are signed, and clear errors."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.build import sentence_reader
from dataset.keypoints import write_keypoints
from dataset.sentences import GlossClasses, read_sentences
from inference.sentence_errors import SentenceEvaluator
from inference.sentence_recognizer import SentenceRecognizer
from inference.sign_recognizer import SignRecognizer
from inference.timeline import Segment
from inference.trained_model import load_model
from inference.video_recognizer import Video
from modeling import load_recognizer
from modeling.continuous.network import ContinuousOutput, ContinuousRecognizer
from tests.conftest import clip_keypoints, write_mp4
from tests.dataset.test_video import fragmented
from tests.inference.runs import GLOSSES, make_sentence_run
from utils.distributed import start_processes
from utils.errors import UserError


def test_every_sentence_is_read_as_in_the_evaluation(sentence_run: Path, clip_set: Path) -> None:
    model = load_model(sentence_run)
    assert isinstance(model.recognizer, ContinuousRecognizer)
    config = model.config
    sentences = read_sentences(config.data).clips
    evaluator = SentenceEvaluator(
        config,
        sentences,
        GlossClasses(GLOSSES, False),
        GLOSSES,
        sentence_reader(config),
        {"beam_5": 5},
        start_processes("cpu"),
    )
    found = evaluator.run(model.recognizer)
    assert found is not None
    results = found["beam_5"]
    recognizer = load_recognizer(sentence_run)
    assert isinstance(recognizer, SentenceRecognizer)
    for row, sentence in enumerate(sentences):
        read = recognizer.predict(clip_set / "videos" / sentence.video)
        assert [gloss.gloss for gloss in read] == results.hypotheses[results.reported_name][row]
        aligned = results.aligned[row]
        assert [gloss.probability for gloss in read] == pytest.approx(
            [a.probability for a in aligned], abs=1e-5
        )
    assert {gloss for row in results.hypotheses.values() for read in row for gloss in read} > {"cold"}


def test_glosses_have_the_frames_of_whole_signs(clip_set: Path, tmp_path: Path) -> None:
    """Of 80 frames, 20 steps: CTC names one gloss at step 6 and another at step 15."""
    make_sentence_run(tmp_path / "run", clip_set, ["keypoint"])
    recognizer = load_recognizer(tmp_path / "run")
    assert isinstance(recognizer, SentenceRecognizer)
    probabilities = torch.full((1, 20, len(GLOSSES)), 0.01)
    for step in range(20):
        probabilities[0, step, {6: 2, 15: 1}.get(step, 0)] = 0.96
    logits, steps = {"keypoint": probabilities.log()}, {"keypoint": torch.tensor([20])}
    recognizer.__dict__["_predictor"] = lambda frames, keypoints: ContinuousOutput(logits, steps)
    video = Video(tmp_path / "x.mp4", b"", 80, 25.0, np.ones((80, 133, 3), np.float32), (32, 32))
    first, second = recognizer.glosses(video)
    assert (first.gloss, first.start, first.end) == ("rain", 12, 40)
    assert (second.gloss, second.start, second.end) == ("cold", 48, 76)
    assert first.probability == pytest.approx(0.96)


def test_of_a_long_video_the_middle_is_read_and_said(clip_set: Path, tmp_path: Path) -> None:
    """12 frames of which 8 are read, against a video of these 8: everything is 2 frames later."""
    make_sentence_run(tmp_path / "run", clip_set, ["keypoint"], max_frames=8)
    recognizer = load_recognizer(tmp_path / "run")
    assert isinstance(recognizer, SentenceRecognizer)
    path = clip_set / "videos" / "c3.mp4"
    with pytest.warns(UserWarning, match=r"c3.mp4: read from 0.08 s to 0.40 s only, 8 of its 12 frames"):
        recognizer.predict(path)
    middle = tmp_path / "middle.mp4"
    middle.write_bytes(write_mp4(8))
    points = clip_keypoints(3, 12)[2:10]
    write_keypoints(tmp_path / "k.safetensors", {"middle": points}, {"middle": (32, 32)}, "truth", "1")
    alone = recognizer.read(middle, tmp_path / "k.safetensors")
    assert recognizer.left_out(alone) is None
    whole = recognizer.glosses(recognizer.read(path))
    later = [Segment(s.start + 2, s.end + 2, s.gloss, s.probability) for s in recognizer.glosses(alone)]
    assert whole == later and whole


def test_frames_that_make_no_step_are_no_loss(sentence_run: Path, clip_set: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_recognizer(sentence_run).predict(clip_set / "videos" / "c6.mp4")


def test_too_short_a_video_is_refused(sentence_run: Path, tmp_path: Path) -> None:
    video = tmp_path / "short.mp4"
    video.write_bytes(write_mp4(3))
    with pytest.raises(UserError, match=r"short.mp4: has 3 frames; the network needs at least 4"):
        load_recognizer(sentence_run).predict(video)


def test_keypoints_of_another_length_are_refused(sentence_run: Path, clip_set: Path, tmp_path: Path) -> None:
    write_keypoints(
        tmp_path / "k.safetensors", {"c2": np.ones((20, 133, 3), np.float32)}, {"c2": (32, 32)}, "test", "1"
    )
    with pytest.raises(UserError, match=r"keypoints of 20 frames, but .*c2.mp4 has 11: of another video\?"):
        load_recognizer(sentence_run).predict(
            clip_set / "videos" / "c2.mp4", keypoints=tmp_path / "k.safetensors"
        )


def test_a_damaged_video_is_refused(clip_set: Path, tmp_path: Path) -> None:
    make_sentence_run(tmp_path / "run", clip_set, ["rgb"])
    content = bytearray(fragmented(20))
    content[1500:1560] = np.random.default_rng(1).bytes(60)
    (tmp_path / "damaged.mp4").write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"damaged.mp4: .*is damaged"):
        load_recognizer(tmp_path / "run").predict(tmp_path / "damaged.mp4")


def test_a_sentence_without_glosses(sentence_run: Path, clip_set: Path) -> None:
    recognizer = load_recognizer(sentence_run)
    for head in recognizer.network.heads.values():  # the blank everywhere
        head.classifier.bias.data[0] = 100.0
    assert recognizer.predict(clip_set / "videos" / "c4.mp4") == []


def test_the_picture_shows_both_streams(sentence_run: Path, clip_set: Path) -> None:
    recognizer = load_recognizer(sentence_run)
    assert isinstance(recognizer, SentenceRecognizer)
    picture = recognizer.picture(recognizer.read(clip_set / "videos" / "c4.mp4"))
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and picture.std() > 0


def test_each_recognizer_takes_models_of_its_task(run: Path, sentence_run: Path) -> None:
    assert isinstance(load_recognizer(run), SignRecognizer)
    with pytest.raises(UserError, match=r"run: a model of continuous recognition; expected one of isolated"):
        SignRecognizer.load(sentence_run)
    with pytest.raises(UserError, match=r"run: a model of isolated recognition; expected one of continuous"):
        SentenceRecognizer.load(run)
