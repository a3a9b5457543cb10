"""Translation as a user trains, evaluates and uses it: on several processes, interrupted, and together with others.

Two gloo processes train as one does, in double precision (see test_distributed.py).
"""

import csv
import json
import shutil
import signal
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import prediction
import training
from configs.schema import load_experiment
from modeling import load_recognizer
from tasks import build_task
from tests.end_to_end.conftest import ROOT, Refused, TranslationProject
from tests.end_to_end.test_distributed import InDouble, compare, learn
from tests.end_to_end.test_training import interrupt_after, metrics, same_weights
from utils.distributed import Processes, distribute
from utils.errors import UserError


def train(path: Path, processes: Processes) -> tuple[Tensor, nn.Module]:
    """Losses [steps, parts], and the network trained, without dropout, on the sentences of this process."""
    task = build_task(load_experiment(path), processes)
    network = task.build_network().double()
    task.load_initial_weights(network)
    for module in network.modules():
        if isinstance(module, nn.Dropout):  # in the heads
            module.p = 0
    parallel = InDouble(distribute(network, processes))
    found = [losses for _, losses in learn(task, network, parallel, processes)]
    return torch.stack(found), network


@pytest.mark.processes
def test_two_processes_train_as_one(texts: TranslationProject) -> None:
    """The loss of the text and CTC of three heads, whose BatchNorm reads sentences of different lengths."""
    config = texts.config("new")
    result = texts.run(str(Path(__file__).relative_to(ROOT)), config, processes=2)
    assert result.returncode == 0, result.stderr
    first, later, state = json.loads(result.stdout)
    assert first < 1e-11 and later < 1e-7 and state < 1e-7


def test_an_interrupted_run_ends_with_the_same_weights_bit_for_bit(texts: TranslationProject) -> None:
    """With dropout."""
    changes = {"model__text_model__dropout": 0.1, "training__epochs": 20}
    assert training.train(load_experiment(texts.config("straight", **changes))) == 0
    straight, broken = texts.folder / "straight", texts.folder / "broken"
    config = texts.config("broken", **changes)
    assert interrupt_after(texts, config, broken, 5, signal.SIGINT) == 130
    assert interrupt_after(texts, config, broken, 25, signal.SIGTERM) == 130
    assert len(metrics(broken, "step")) < len(metrics(straight, "step")) == 60
    assert training.train(load_experiment(config)) == 0
    assert metrics(straight, "step") == metrics(broken, "step")
    assert same_weights(straight, broken)


@pytest.mark.processes
def test_processes_evaluate_to_the_figures_of_one(texts: TranslationProject) -> None:
    """7 test sentences in batches of 3: three batches over one and two processes."""
    config = texts.folder / "joint.yaml"
    found = []
    for processes in (0, 2):
        result = texts.run("prediction.py", "--config", config, processes=processes)
        assert result.returncode == 0, result.stderr
        found.append((result.stdout, (texts.folder / "joint/prediction/test_beam_5.json").read_text()))
    table, content = found[0]
    assert "7 sentences, compared by words, beam 5" in table and len(json.loads(content)["sentences"]) == 7
    assert found[0] == found[1]


Predict = Callable[..., str]


@pytest.fixture
def predict(
    texts: TranslationProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Predict:
    """prediction.py on a run, within this process; gives what it prints."""

    def run(name: str, *options: object) -> str:
        words = ["prediction.py", "--config", texts.folder / f"{name}.yaml", *options]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        capsys.readouterr()
        assert prediction.main() == 0
        return capsys.readouterr().out

    return run


def said(run: Path, written: str = "test_beam_5") -> list[str]:
    """What the last evaluation of a run has of every test sentence."""
    content = json.loads((run / "prediction" / f"{written}.json").read_text())
    return [sentence["hypothesis"] for sentence in content["sentences"]]


def test_a_run_together_with_itself_says_what_it_says_alone(
    texts: TranslationProject, predict: Predict
) -> None:
    joint, rgb = texts.folder / "joint", texts.folder / "rgb"
    predict("joint")
    alone = said(joint)
    assert len(alone) == 7
    predict("joint", "--ensemble", joint, "--ensemble", joint)
    assert said(joint, "test_beam_5_ensemble") == alone
    predict("joint", "--ensemble", rgb)
    content = json.loads((joint / "prediction/test_beam_5_ensemble.json").read_text())
    (together,) = content["ensemble"]
    assert Path(together).name == "rgb" and len(content["sentences"]) == 7
    assert said(joint) == alone  # it was not written over


def first_video(project: TranslationProject) -> Path:
    """Of the first test sentence."""
    with (project.data / "sentences.csv").open(encoding="utf-8") as file:
        name = next(row["video"] for row in csv.DictReader(file) if row["split"] == "test")
    with zipfile.ZipFile(project.data / "sentences.zip") as archive:
        return Path(archive.extract(name, project.folder))


def test_a_video_is_translated_as_in_the_evaluation(texts: TranslationProject, predict: Predict) -> None:
    assert training.train(load_experiment(texts.config("trained", training__epochs=40))) == 0
    predict("trained")
    first = said(texts.folder / "trained")[0]
    assert first
    video, out = first_video(texts), texts.folder / "out.json"
    printed = json.loads(predict("trained", "--video", video, "--out", out, "--json"))
    written = json.loads(out.read_text())
    assert printed["text"] == written["text"] == first
    assert printed["glosses"] == written["glosses"]
    subtitles = out.with_suffix(".vtt").read_text()
    assert subtitles.startswith("WEBVTT") and first in subtitles
    text, glosses = load_recognizer(texts.folder / "trained", device="cpu").predict(video)
    assert text == first
    assert [gloss.gloss for gloss in glosses] == [gloss["gloss"] for gloss in written["glosses"]]
    with pytest.raises(UserError, match=r"gloss: translates glosses; videos need a model that reads rgb"):
        load_recognizer(texts.folder / "gloss", device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model__text_model": {"folder": "no/mbart"}, "texts": {"language": "de_DE"}},
            "no/mbart: no such folder; python -m dataset.prune_mbart makes a pruned model of a local mBART",
        ),
        (
            {"model__text_model": {"folder": "no/mbart"}, "texts": {"language": "tlh_QO"}},
            "texts.language: 'tlh_QO'",
        ),
        (
            {"model__text_model__scratch__positions": 3, "gloss_to_text": None},
            "tokens, more than the 3 positions of the text model; shorten it or take the sentence out",
        ),
        ({"recognition": "rgb"}, "a model of translation; name one of continuous recognition"),
        ({"recognition": "none"}, "train first or name another"),
        ({"gloss_to_text": "recognition"}, "a model of continuous recognition"),
        ({"gloss_to_text": "none"}, "{folder}/none"),
        ({"data__index": "texts.csv"}, "missing: glosses"),
    ],
)
def test_what_cannot_be_trained(
    texts: TranslationProject, refused: Refused, changes: dict[str, object], message: str
) -> None:
    """Strings are names in the project's folder."""
    folder = texts.folder
    (folder / "texts.csv").write_text("name,text,split,video\na,it rains,train,a.mp4\n")
    named = {key: str(folder / value) if isinstance(value, str) else value for key, value in changes.items()}
    line = refused("training", "--config", texts.config("new", **named))
    assert message.format(folder=folder) in line
    assert not (folder / "new").exists()


def test_features_of_other_weights_and_missing_ones(texts: TranslationProject, refused: Refused) -> None:
    config, recognition = texts.config("new"), texts.folder / "recognition"
    content = torch.load(recognition / "best.pt", weights_only=True)
    content["model"]["heads.joint.classifier.bias"] += 1  # as if it had been trained anew
    torch.save(content, recognition / "best.pt")
    again = "remove the file and make it again with python -m inference.features"
    assert again in refused("training", "--config", config)
    (recognition / "features/train.safetensors").unlink()
    missing = "features/train.safetensors: no such file; python -m inference.features makes it"
    assert missing in refused("training", "--config", config)
    assert not (texts.folder / "new").exists()


def test_what_cannot_be_evaluated_or_used(texts: TranslationProject, refused: Refused) -> None:
    config, folder = texts.folder / "joint.yaml", texts.folder
    recognition = folder / "recognition"
    for arguments in (["--checkpoint", recognition], ["--ensemble", recognition]):
        line = refused("prediction", "--config", config, *arguments)
        assert line.startswith(
            f"{recognition}: a model of continuous recognition, but the configuration is of"
        )
    assert "--ensemble: is for translation" in refused(
        "prediction", "--config", recognition / "config.yaml", "--ensemble", folder / "rgb"
    )
    assert refused("prediction", "--config", config, "--eval_setting", "beam_9").endswith(
        "which has beam_5 and beam_1; generation.beam=N sets the first"
    )
    one = refused("prediction", "--config", config, "--eval_setting", "beam_9", "generation.beam=1")
    assert "which has beam_1; " in one
    line = refused("prediction", "--config", folder / "gloss.yaml", "--video", first_video(texts))
    assert "gloss: translates glosses; videos need a model that reads rgb, keypoint or joint" in line
    assert f"--config {recognition / 'config.yaml'}" in refused("dataset.check.__main__", "--config", config)
    shutil.rmtree(recognition / "features")
    assert "test.safetensors: no such file" in refused("prediction", "--config", config)


if __name__ == "__main__":
    compare(partial(train, Path(sys.argv[1])))
