"""The demo of whole sentences from nothing to its summary, on sets and networks so small that they learn nothing."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import demo_sentences
import demo_translation
from dataset.synthetic.sentence_set import SentenceSetConfig
from dataset.synthetic.sign_set import SignSetConfig
from utils.config_files import read_values
from utils.errors import UserError

PEOPLE: dict[str, int] = {"seed": 7, "train_signers": 2, "dev_signers": 1, "test_signers": 1, "processes": 1}
SIGNS = SignSetConfig(**PEOPLE, glosses=2, train_clips=2, dev_clips=1, test_clips=1, frame_size=64)
SENTENCES = SentenceSetConfig(**PEOPLE, train_sentences=3, dev_sentences=1, test_sentences=2, frame_size=64)
TINY = [
    "training.epochs=1",
    "training.batch_size=2",
    "model.width=0.01",
    "model.head_size=8",
    "data.frame_size=[64, 64]",
    "data.keypoints_frame_size=[64, 64]",
]
TINY_TEXT = [
    "training.epochs=1",
    "model.text_model={scratch: {layers: 1, width: 8, heads: 1}}",
    "texts.pieces=40",
    "generation.max_tokens=6",
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "a folder: with #"
    assert demo_sentences.run(folder, 7, SIGNS, SENTENCES, TINY, TINY_TEXT)
    return folder


@pytest.fixture(scope="module")
def summary(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def test_summary_has_every_stage(summary: dict[str, Any]) -> None:
    assert list(summary["stages"]) == list(demo_sentences.STAGES)
    for stage in summary["stages"].values():
        assert stage["beam"] == 5
        assert stage["reported"] in stage["word_errors"]
        assert stage["training_seconds"] > 0
        assert stage["evaluation_seconds"] > 0
    assert set(summary["stages"]["keypoint"]["word_errors"]) == {"keypoint"}
    heads = summary["stages"]["two_stream"]["word_errors"]
    assert {"rgb", "keypoint", "joint", "ensemble_last", "ensemble_early"} <= set(heads)
    assert summary["final"] == {"stage": "two_stream", **summary["stages"]["two_stream"]}
    assert summary["final"]["reported"] == "ensemble_last"


def test_summary_describes_the_set(summary: dict[str, Any]) -> None:
    assert summary["sentences"] == {"train": 3, "dev": 1, "test": 2}
    assert summary["signers"] == {"train": 2, "dev": 1, "test": 1}
    assert 9 <= summary["signs"]["train"] <= 21  # 3 to 7 a sentence
    assert summary["glosses"] == 24
    assert summary["seed"] == 7
    parts = [stage["training_seconds"] for stage in summary["stages"].values()]
    assert summary["total_seconds"] > sum(parts) + summary["rendering_seconds"]


def test_summary_has_the_translation(out: Path, summary: dict[str, Any]) -> None:
    translation = summary["translation"]
    assert list(translation["stages"]) == list(demo_translation.STAGES)
    for found in (*translation["stages"].values(), translation["ensemble"]):
        assert 0 <= found["scores"]["BLEU-4"]["value"] <= 100
        assert found["evaluation_seconds"] > 0
    assert translation["features_seconds"] > 0
    together = out / "translation" / "joint" / "prediction" / "test_beam_5_ensemble.json"
    found = json.loads(together.read_text(encoding="utf-8"))
    assert found["ensemble"] == [str(out / "translation" / name) for name in ("keypoint", "rgb")]
    texts = [sentence["reference"] for sentence in found["sentences"]]
    assert len(texts) == 2 and summary["translated"]["signed"]["text"] == texts[0]
    assert summary["translated"]["found"]["text"] == said_of_the_first(out)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "From signs to text" in page and demo_translation.ENSEMBLE in page


def said_of_the_first(out: Path) -> str:
    """By the joint head, in the first test sentence."""
    path = out / "translation" / "joint" / "prediction" / "test_beam_5.json"
    return json.loads(path.read_text(encoding="utf-8"))["sentences"][0]["hypothesis"]


def test_chance_is_the_most_frequent_training_text(out: Path, summary: dict[str, Any]) -> None:
    chance = summary["translation"]["chance"]
    with (out / "data" / "sentences" / "sentences.csv").open(encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file) if row["split"] == "train"]
    assert texts.count(chance["text"]) == chance["times"] == max(map(texts.count, texts))


def test_run_again_repeats_nothing(out: Path, summary: dict[str, Any]) -> None:
    checkpoint = out / "translation" / "joint" / "best.pt"
    written = checkpoint.stat().st_mtime_ns
    assert demo_sentences.run(out, 7, SIGNS, SENTENCES, TINY, TINY_TEXT)
    again = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert again["stages"] == summary["stages"]
    assert again["translation"]["stages"] == summary["translation"]["stages"]
    assert again["translation"]["ensemble"] == summary["translation"]["ensemble"]
    assert checkpoint.stat().st_mtime_ns == written


def test_another_seed_is_refused(out: Path) -> None:
    with pytest.raises(UserError, match="sign set of seed 7, not 8"):
        demo_sentences.run(out, 8, SIGNS, SENTENCES, TINY, TINY_TEXT)


def test_stages_start_from_each_other_with_the_same_classes(out: Path) -> None:
    for stage, earlier in (
        ("strings", ["signs"]),
        ("keypoint", ["strings"]),
        ("two_stream", ["rgb", "keypoint"]),
    ):
        values, _ = read_values(out / stage / "config.yaml", [])
        assert values["init"]["stages"] == [str(out / name) for name in earlier]
    vocabulary = json.loads((out / "data" / "vocabulary.json").read_text(encoding="utf-8"))
    assert len(vocabulary) == 25
    assert vocabulary[0] == "<s>"
