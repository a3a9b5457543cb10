"""An export says what its network says: through ONNX, and read back."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from configs.schema import load_experiment
from dataset.keypoints import keypoint_indices
from inference.export import export
from inference.onnx_model import OnnxModel
from inference.sentence_export import SentenceOnnx
from inference.sentence_recognizer import SentenceRecognizer
from inference.sign_recognizer import SignRecognizer
from inference.trained_model import ContinuousModel, load_model
from modeling import load_recognizer
from modeling.continuous.decoding import beam_search
from modeling.continuous.network import ContinuousRecognizer
from modeling.continuous.recognition import SentencePredictor
from tests.inference.runs import GLOSSES, VOCABULARY
from utils.errors import UserError


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "model"
    export(load_experiment(run / "config.yaml"), run, out)
    return out


@pytest.fixture(scope="module")
def sentence_folder(sentence_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "sentences"
    export(load_experiment(sentence_run / "config.yaml"), sentence_run, out)
    return out


def test_onnx_agrees_with_single_clips(run: Path, folder: Path, clip_set: Path) -> None:
    """Its inputs made by hand from the file, in a batch of three, against the recognizer."""
    recognizer = load_recognizer(run)
    assert isinstance(recognizer, SignRecognizer)
    videos = [recognizer.read(clip_set / "videos" / f"c{i}.mp4") for i in (0, 3, 6)]
    frames, keypoints = [], []
    for video in videos:
        start = (video.frames - 8) // 2
        seen, _ = recognizer.view(video)
        assert seen is not None and video.keypoints is not None
        frames.append(seen)
        keypoints.append(video.keypoints[start : start + 8, :, :2] / 32)  # frames are 32 x 32
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    inputs = {"frames": np.stack(frames), "keypoints": np.stack(keypoints).astype(np.float32)}
    (found,) = session.run(None, inputs)
    expected = np.stack([recognizer.probabilities(video) for video in videos])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(expected[0] - expected[2]).max() > 1e-3  # clips that the network tells apart


def test_the_folder_stands_alone(run: Path, folder: Path, clip_set: Path) -> None:
    video = clip_set / "videos" / "c1.mp4"
    assert load_recognizer(folder).predict(video) == load_recognizer(run).predict(video)


def test_the_description_is_whole(folder: Path) -> None:
    content = json.loads((folder / "recognizer.json").read_text(encoding="utf-8"))
    assert content["vocabulary"] == VOCABULARY
    assert content["architecture"]["streams"] == ["rgb8", "keypoint8"]
    assert content["onnx"]["inputs"]["frames"].startswith("uint8 [clips, 8, 32, 32, 3]")
    compared = content["onnx"]["compared_with_pytorch"]
    assert compared["clips"] == "2 test clips" and compared["largest_difference"] < 1e-4
    assert {path.name for path in folder.iterdir()} == {"model.onnx", "model.safetensors", "recognizer.json"}


def test_a_difference_leaves_no_onnx_file(
    run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = (folder / "model.onnx").read_bytes()
    monkeypatch.setattr("inference.onnx_model.TOLERANCE", 0.0)
    monkeypatch.setattr(OnnxModel, "write", lambda self, path: path.write_bytes(written))
    with pytest.raises(UserError, match=r"ONNX and PyTorch differ by .*; model.onnx was not written"):
        export(load_experiment(run / "config.yaml"), run, tmp_path / "out")
    assert not (tmp_path / "out/model.onnx").exists()


def test_damaged_exports(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "recognizer.json").write_text("{}")
    with pytest.raises(UserError, match="not an export"):
        load_recognizer(tmp_path)
    (tmp_path / "recognizer.json").write_bytes((folder / "recognizer.json").read_bytes())
    with pytest.raises(UserError, match=r"model.safetensors: cannot be read"):
        load_recognizer(tmp_path)


@pytest.mark.parametrize("steps", [1, 2, 25])
def test_onnx_takes_sentences_of_any_length(sentence_run: Path, sentence_folder: Path, steps: int) -> None:
    """Against the reported prediction of the network, and what is read in it."""
    model = load_model(sentence_run)
    assert isinstance(model.recognizer, ContinuousRecognizer)
    rng = np.random.default_rng(steps)
    frames = rng.integers(0, 256, (4 * steps, 32, 32, 3), dtype=np.uint8)
    points = rng.random((4 * steps, 133, 2), dtype=np.float32)
    session = onnxruntime.InferenceSession(str(sentence_folder / "model.onnx"))
    (found,) = session.run(["probabilities"], {"frames": frames, "keypoints": points})
    chosen = torch.from_numpy(32 * points[:, keypoint_indices(model.recognizer.config.keypoint_parts)])
    output = SentencePredictor(model.recognizer)(torch.from_numpy(frames), chosen)
    expected = output.logits["ensemble_last"].softmax(dim=2)
    assert found.shape == (steps, len(GLOSSES))
    np.testing.assert_allclose(found, expected[0], atol=1e-4)
    length = torch.tensor([steps])
    read = beam_search(torch.from_numpy(found).log()[None], length, 5)
    assert read == beam_search(output.logits["ensemble_last"], length, 5)


def test_the_folder_of_sentences_stands_alone(
    sentence_run: Path, sentence_folder: Path, clip_set: Path
) -> None:
    video = clip_set / "videos" / "c1.mp4"
    exported, recognizer = load_recognizer(sentence_folder), load_recognizer(sentence_run)
    assert isinstance(exported, SentenceRecognizer) and isinstance(recognizer, SentenceRecognizer)
    assert exported.predict(video) == recognizer.predict(video) != []


def test_the_description_of_sentences_is_whole(sentence_folder: Path) -> None:
    content = json.loads((sentence_folder / "recognizer.json").read_text(encoding="utf-8"))
    assert content["vocabulary"] == GLOSSES and content["decoding"]["beam"] == 5
    assert content["architecture"]["reported"] == "ensemble_last"
    assert content["preprocessing"]["frames_per_step"] == 4
    assert content["preprocessing"]["frame_size"] == [32, 32]
    assert content["onnx"]["inputs"]["frames"].startswith("uint8 [frames, 32, 32, 3]")
    compared = content["onnx"]["compared_with_pytorch"]
    assert compared["clips"] == "2 test sentences" and compared["same_result"] == "2 of 2"
    assert compared["largest_difference"] < 1e-4


def test_a_run_of_another_task_is_not_exported(run: Path, sentence_run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="a model of isolated recognition, but the configuration is of continuous"
    ):
        export(load_experiment(sentence_run / "config.yaml"), run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_keypoints_are_shares_of_width_and_height(sentence_run: Path) -> None:
    model = load_model(sentence_run)
    assert isinstance(model, ContinuousModel)
    model.recognizer.config = replace(model.recognizer.config, heatmap_grid=(20, 30))
    points = SentenceOnnx(model, model.config).on_grid(torch.full((2, 133, 2), 0.5))
    assert points.shape[:2] == (2, 79) and points[1, 0].tolist() == [15, 10]
