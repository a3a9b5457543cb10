"""The demo of whole sentences from nothing to its summary, on sets and networks so small that they learn nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

import demo_sentences
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


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "a folder: with #"
    assert demo_sentences.run(folder, 7, SIGNS, SENTENCES, TINY)
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


def test_run_again_repeats_nothing(out: Path, summary: dict[str, Any]) -> None:
    checkpoint = out / "two_stream" / "best.pt"
    written = checkpoint.stat().st_mtime_ns
    assert demo_sentences.run(out, 7, SIGNS, SENTENCES, TINY)
    again = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert again["stages"] == summary["stages"]
    assert checkpoint.stat().st_mtime_ns == written


def test_another_seed_is_refused(out: Path) -> None:
    with pytest.raises(UserError, match="sign set of seed 7, not 8"):
        demo_sentences.run(out, 8, SIGNS, SENTENCES, TINY)


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
