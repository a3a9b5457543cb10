"""An export says what its network says: through ONNX, and read back."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import inference.export
from configs.schema import IsolatedConfig
from inference.export import export
from modeling import load_recognizer
from tests.inference.runs import VOCABULARY
from utils.config import load_config
from utils.errors import UserError


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "model"
    export(load_config(IsolatedConfig, run / "config.yaml"), run, out)
    return out


def test_onnx_agrees_with_single_clips(run: Path, folder: Path, clip_set: Path) -> None:
    """Its inputs made by hand from the file, in a batch of three, against the recognizer."""
    recognizer = load_recognizer(run)
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
    monkeypatch.setattr(inference.export, "TOLERANCE", 0.0)
    monkeypatch.setattr(inference.export, "write_onnx", lambda path, model: path.write_bytes(written))
    with pytest.raises(UserError, match="ONNX and PyTorch differ"):
        export(load_config(IsolatedConfig, run / "config.yaml"), run, tmp_path / "out")
    assert not (tmp_path / "out/model.onnx").exists()


def test_damaged_exports(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "recognizer.json").write_text("{}")
    with pytest.raises(UserError, match="not an export"):
        load_recognizer(tmp_path)
    (tmp_path / "recognizer.json").write_bytes((folder / "recognizer.json").read_bytes())
    with pytest.raises(UserError, match=r"model.safetensors: cannot be read"):
        load_recognizer(tmp_path)
