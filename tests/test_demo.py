"""The demo from nothing to its report, on a set and a network so small that it learns nothing."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demo
from dataset.synthetic.sign_set import SignSetConfig
from report.demo_page import Clip, Pair, PairScore, Report, pair_score, write_report
from report.sections import Example
from utils.errors import UserError

SIGN_SET = SignSetConfig(
    seed=7,
    glosses=3,
    train_signers=2,
    dev_signers=1,
    test_signers=2,
    train_clips=3,
    dev_clips=1,
    test_clips=2,
    frame_size=64,
    processes=1,
)
TINY = [
    "training.epochs=1",
    "training.batch_size=4",
    "model.width=0.01",
    "data.frame_size=64",
    "data.workers=0",
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "a folder: with #"
    assert demo.run(folder, SIGN_SET.seed, SIGN_SET, TINY)
    return folder


@pytest.fixture(scope="module")
def summary(out: Path) -> dict[str, Any]:
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def test_summary_has_every_stage(summary: dict[str, Any]) -> None:
    assert list(summary["stages"]) == list(demo.STAGES)
    for stage in summary["stages"].values():
        for setting in ("1_crop", "3_crop"):
            for kind in ("per_instance", "per_class"):
                shares = stage["accuracy"][setting][kind]
                assert 0 <= shares["top_1"] <= shares["top_5"] == 1  # there are only three glosses
        assert stage["training_seconds"] > 0
        assert stage["training_clips_per_second"] > 0
        assert stage["evaluation_seconds"] > 0
        assert stage["evaluation_clips_per_second"] > 0
    assert summary["final"] == {"stage": "nla_slr", **summary["stages"]["nla_slr"]}


def test_summary_describes_the_set(summary: dict[str, Any]) -> None:
    assert summary["clips"] == {"train": 9, "dev": 3, "test": 6}
    assert summary["signers"] == {"train": 2, "dev": 1, "test": 2}
    assert summary["glosses"] == 3
    assert summary["chance"] == pytest.approx(1 / 3)
    assert summary["seed"] == SIGN_SET.seed
    parts = [stage["training_seconds"] for stage in summary["stages"].values()]
    assert summary["total_seconds"] > sum(parts) + summary["rendering_seconds"]


def test_recognised_clip_agrees_with_its_evaluation(out: Path, summary: dict[str, Any]) -> None:
    evaluation = json.loads((out / "nla_slr" / "prediction" / "test_origin.json").read_text(encoding="utf-8"))
    (clip,) = [
        clip for clip in evaluation["clips"] if f"{clip['name']}.mp4" == summary["recognised"]["video"]
    ]
    recognised = summary["recognised"]
    assert recognised["gloss"] == clip["label"]
    assert [guess["gloss"] for guess in recognised["top_5"]] == [guess["gloss"] for guess in clip["top_5"]]
    probabilities = [guess["probability"] for guess in clip["top_5"]]
    assert [guess["probability"] for guess in recognised["top_5"]] == pytest.approx(probabilities, abs=1e-5)


def test_report_is_self_contained(out: Path) -> None:
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "://" not in page
    assert re.findall(r'(?:src|href)="(?!data:image/)', page) == []
    assert "url(" not in page and "@import" not in page
    for title in demo.STAGES.values():
        assert title in page
    assert "cold / winter" in page
    assert len(page) < 6_000_000


def test_run_again_repeats_nothing(out: Path, summary: dict[str, Any]) -> None:
    checkpoint = out / "nla_slr" / "best.pt"
    written = checkpoint.stat().st_mtime_ns
    assert demo.run(out, SIGN_SET.seed, SIGN_SET, TINY)
    again = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert again["stages"] == summary["stages"]
    assert checkpoint.stat().st_mtime_ns == written


def test_another_seed_is_refused(out: Path) -> None:
    with pytest.raises(UserError, match="sign set of seed 7, not 8"):
        demo.run(out, 8, SIGN_SET, TINY)


def test_pair_score_counts_within_the_pair() -> None:
    pair = Pair("cold", "winter", True, "amplitude")
    outcomes = [
        ("cold", "cold"),
        ("cold", "winter"),
        ("winter", "cold"),
        ("winter", "tree"),
        ("tree", "cold"),
    ]
    assert pair_score(pair, outcomes) == PairScore(clips=4, correct=1, confused=2)


def test_report_escapes_text(tmp_path: Path) -> None:
    accuracies = {
        setting: {kind: {"top_1": 0.5, "top_5": 1.0} for kind in ("per_instance", "per_class")}
        for setting in ("1_crop", "3_crop")
    }
    stage = {
        "accuracy": accuracies,
        "training_seconds": 1.0,
        "training_clips_per_second": 1.0,
        "evaluation_clips_per_second": 1.0,
    }
    hostile = "<script>&"
    example = Example(hostile, np.zeros((8, 4, 4, 3), np.uint8), np.ones((8, 2, 2)))
    clip = Clip(example, hostile, [(hostile, 1.0)])
    summary = {
        "seed": 1,
        "glosses": 2,
        "chance": 0.5,
        "clips": {"train": 1, "dev": 1, "test": 2},
        "signers": {"train": 1, "dev": 1, "test": 1},
        "stages": {"one": stage},
        "final": {"stage": "one", **stage},
        "recognised": {
            "gloss": hostile,
            "top_5": [{"gloss": hostile, "probability": 1.0}],
            "seconds": 1.0,
            "command": hostile,
        },
        "rendering_seconds": 1.0,
        "total_seconds": 75.0,
        "threads": 1,
        "versions": {hostile: hostile},
    }
    epochs = [{"losses": {"total": 1.0}, "validation": {"per_instance": {"1": 0.5}}}]
    report = Report(
        summary=summary,
        titles={"one": hostile},
        curves={"one": epochs},
        glosses=[hostile, "tree"],
        before="one",
        outcomes_before=[(hostile, "tree"), ("tree", "tree")],
        outcomes=[(hostile, hostile), ("tree", hostile)],
        pairs=[Pair(hostile, "tree", False, hostile)],
        correct=[clip],
        wrong=[],
        number_wrong=1,
    )
    write_report(tmp_path / "report.html", report)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(
        r"\{[a-z_]+[\[.:}]", page.partition("</style>")[2]
    )  # no field of a template left over
    assert "<script" not in page
    assert page.count("&lt;script&gt;&amp;") > 10
    assert "1\u00a0min 15\u00a0s" in page
