"""Where the evaluation of a model is kept, and what is said of sentences: of a split, and of one video."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from inference.recognizers import load_recognizer
from inference.timeline import TimedGloss
from prediction import evaluated_run, main
from tests.inference.runs import GLOSSES, make_run, make_sentence_run
from utils.errors import UserError


@dataclass
class OnlyRun:
    """All that `evaluated_run` reads of a configuration."""

    run: str


def test_an_evaluation_belongs_to_the_run_that_was_evaluated(tmp_path: Path) -> None:
    own, other, published = tmp_path / "own", tmp_path / "other", tmp_path / "weights" / "published.pt"
    for folder in (own, other, published.parent):
        folder.mkdir()
    (other / "config.yaml").write_text("run: other")
    config = OnlyRun(str(own))
    assert evaluated_run(config, None) == own  # type: ignore[arg-type]
    assert evaluated_run(config, other) == other  # type: ignore[arg-type]
    assert evaluated_run(config, other / "last.pt") == other  # type: ignore[arg-type]
    assert evaluated_run(config, published) == own  # type: ignore[arg-type]
    (own / "best.pt").write_text("weights")
    with pytest.raises(UserError, match="holds another model; name a folder"):
        evaluated_run(config, published)  # type: ignore[arg-type]
    assert evaluated_run(config, other) == other  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory, clip_set: Path) -> Path:
    """The run of an untrained two-stream network, to be evaluated."""
    folder = tmp_path_factory.mktemp("prediction") / "run"
    make_sentence_run(folder, clip_set, ["rgb", "keypoint"])
    return folder


def predict(monkeypatch: pytest.MonkeyPatch, run: Path, *arguments: object) -> None:
    """prediction.py with the configuration of a run."""
    words = ["prediction.py", "--config", run / "config.yaml", *arguments]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    assert main() == 0


def test_sentences_of_a_split(
    sentences: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(monkeypatch, sentences)
    table = capsys.readouterr().out
    content = json.loads((sentences / "prediction" / "test_beam_5.json").read_text(encoding="utf-8"))
    assert content["vocabulary"] == GLOSSES and content["beam"] == 5
    assert [sentence["name"] for sentence in content["sentences"]] == ["c5", "c6"]
    heads = ["rgb", "keypoint", "joint", "ensemble_last", "ensemble_early"]
    heads += [f"{stream}_block{block}" for stream in ("rgb", "keypoint") for block in (2, 3)]
    assert set(content["word_errors"]) == set(heads)
    for head in heads:
        (line,) = (line for line in table.splitlines() if line[2:].split(" ")[0] == head)
        assert f"{content['word_errors'][head]['rate']:8.2f}" in line
        assert line.startswith("*" if head == "ensemble_last" else " ")
    predict(monkeypatch, sentences, "--split", "train", "--eval_setting", "beam_1")
    predict(monkeypatch, sentences, "--eval_setting", "beam_3", "decoding.beam=3")
    written = {path.name for path in (sentences / "prediction").iterdir()}
    assert written == {"test_beam_5.json", "train_beam_1.json", "test_beam_3.json"}


def test_the_sentence_of_a_video(
    sentences: Path,
    clip_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    video = clip_set / "videos" / "c6.mp4"
    expected = load_recognizer(sentences).predict(video)
    assert len(expected) > 1
    out, overlay = tmp_path / "new" / "c6.vtt", tmp_path / "c6_signs.mp4"
    predict(monkeypatch, sentences, "--video", video, "--out", out, "--overlay", overlay)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(line[-1], line[0], line[2]) for line in lines] == [
        (gloss, f"{start:.2f}", f"{end:.2f}") for gloss, start, end, _ in expected
    ]
    assert [TimedGloss(**x) for x in json.loads(out.with_suffix(".json").read_text())] == expected
    assert out.read_text().startswith("WEBVTT") and out.read_text().count("-->") == len(expected)
    with av.open(str(overlay)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 15
    predict(monkeypatch, sentences, "--video", video, "--json", "--eval_setting", "beam_1")
    assert {frozenset(gloss) for gloss in json.loads(capsys.readouterr().out)} == {
        frozenset(TimedGloss._fields)
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--eval_setting", "3x_pad"],
            "'3x_pad' is none of continuous recognition, which has beam_5 and beam_1",
        ),
        (["--eval_setting", "beam_7"], "beam_5 and beam_1; decoding.beam=N sets the larger beam"),
        (["--analyse"], "--analyse: is for isolated recognition; .*config.yaml is of continuous recognition"),
        (["--video", "x.mp4", "--top_k", "3"], "--top_k: is for isolated recognition"),
        (["--video", "x.mp4", "--window"], "--window: is for isolated recognition"),
        (["--video", "x.mp4", "--out", "x.txt"], "--out: x.txt must end in .json or .vtt; both are written"),
        (["--video", "x.mp4", "--out", "x.vtt"], "x.mp4: no such video"),
    ],
)
def test_options_that_mean_nothing_for_sentences(
    sentences: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        predict(monkeypatch, sentences, *arguments)


def test_models_and_settings_of_the_other_task(
    sentences: Path, clip_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "signs", clip_set, ["keypoint"])
    with pytest.raises(
        UserError, match=r"'beam_5' is none of isolated recognition, which has origin and 3x_pad$"
    ):
        predict(monkeypatch, tmp_path / "signs", "--eval_setting", "beam_5")
    video = clip_set / "videos" / "c0.mp4"
    for arguments in ([], ["--video", video]):
        with pytest.raises(UserError, match="signs: a model of isolated recognition, but the configuration"):
            predict(monkeypatch, sentences, "--checkpoint", tmp_path / "signs", *arguments)
        with pytest.raises(
            UserError, match=r"best.pt: a model of continuous recognition, but the configuration"
        ):
            predict(monkeypatch, tmp_path / "signs", "--checkpoint", sentences / "best.pt", *arguments)
