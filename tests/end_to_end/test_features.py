"""Features for translation, as a user stores them: interrupted, on several processes, of other weights."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from configs.schema import ContinuousConfig, load_experiment
from dataset.features import FeatureStore
from inference.features import extract, features_folder, fingerprint, store
from inference.trained_model import ContinuousModel, load_model
from modeling.continuous.recognition import SentencePredictor
from tests.end_to_end.conftest import SentenceProject
from utils.distributed import Processes
from utils.errors import UserError

ALONE = Processes(0, 1, torch.device("cpu"))


class StopAfter:
    """Asks for a stop once so many batches are done."""

    def __init__(self, batches: int):
        self.left = batches

    @property
    def requested(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.fixture
def model(sentence_project: SentenceProject, trained_sentences: Path) -> SimpleNamespace:
    config = load_experiment(sentence_project.config("run"), ["runtime.precision=fp32"])
    assert isinstance(config, ContinuousConfig)
    shutil.copytree(trained_sentences, config.run)
    return SimpleNamespace(config=config, run=Path(config.run), trained=load_model(Path(config.run), config))


def extracted(model: SimpleNamespace, folder: Path, stop: StopAfter) -> bool:
    return extract(model.trained, model.config, model.run, "test", folder, ALONE, stop)  # type: ignore[arg-type]


def test_what_was_stopped_continues_to_the_same_file(model: SimpleNamespace, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert extracted(model, whole, StopAfter(100))
    assert not extracted(model, broken, StopAfter(1))
    assert not (broken / "test.safetensors").exists()
    kept = {path: path.stat().st_mtime_ns for path in (broken / "test.safetensors.parts").iterdir()}
    assert len(kept) == 3  # a batch
    assert not extracted(model, broken, StopAfter(1))
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert extracted(model, broken, StopAfter(100))
    assert [path.name for path in broken.iterdir()] == ["test.safetensors"]
    assert (whole / "test.safetensors").read_bytes() == (broken / "test.safetensors").read_bytes()


def test_features_are_what_the_heads_read(model: SimpleNamespace, tmp_path: Path) -> None:
    extracted(model, tmp_path, StopAfter(100))
    found = FeatureStore(tmp_path / "test.safetensors")
    assert len(found.names) == 7 and found.origin == fingerprint(model.trained.recognizer)
    name = sorted(found.names)[0]
    trained: ContinuousModel = model.trained
    predict = SentencePredictor(trained.recognizer, model.config.runtime)
    frames = torch.zeros(8, 64, 64, 3, dtype=torch.uint8)
    points = torch.zeros(8, 53, 3)
    features, logits = predict.features(frames, points), predict(frames, points).logits
    assert {stream: x.shape[1] for stream, x in found.read(name).items()} == {
        stream: x.shape[1] for stream, x in features.items()
    }
    for stream in ("rgb", "keypoint"):
        with torch.inference_mode():
            read = predict.network.heads[stream](features[stream][None], torch.ones(1, 2, dtype=torch.bool))
        torch.testing.assert_close(read, logits[stream])


def test_other_weights_are_refused(model: SimpleNamespace, tmp_path: Path) -> None:
    extracted(model, tmp_path, StopAfter(100))
    extracted(model, tmp_path / "stopped", StopAfter(1))
    with torch.no_grad():
        model.trained.recognizer.heads["rgb"].classifier.bias[0] += 1
    for folder in (tmp_path, tmp_path / "stopped"):
        with pytest.raises(UserError, match=r"features of the weights \w+, but those of .* are \w+; remove"):
            extracted(model, folder, StopAfter(100))


@pytest.mark.processes
def test_two_processes_store_what_one_does(model: SimpleNamespace, sentence_project: SentenceProject) -> None:
    assert store(model.config, model.run, ["test"]) == 0
    path = features_folder(model.run) / "test.safetensors"
    alone = path.read_bytes()
    path.unlink()
    arguments = (
        "--config",
        sentence_project.folder / "run.yaml",
        "--split",
        "test",
        "runtime.precision=fp32",
    )
    result = sentence_project.run("inference/features.py", *arguments, processes=2)
    assert result.returncode == 0, result.stderr
    assert "features of 7 sentences" in result.stdout
    assert path.read_bytes() == alone
