"""The ablation trains what is not known yet, after what that starts from, and writes the table."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ablation
from configs.schema import RecognitionConfig
from report.runs import evaluation_path
from utils.files import write_json


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that are trained; each is right on one clip in two, and the last one on all."""
    monkeypatch.setattr(ablation, "RESULTS", tmp_path / "ablation.json")
    monkeypatch.setattr(ablation, "OUT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- isolated -->\n<!-- end of isolated -->\nafter\n")
    monkeypatch.setattr(ablation, "PAGE", page)
    paper = ablation.PAPERS["isolated"]
    monkeypatch.setitem(ablation.PAPERS, "isolated", paper._replace(render=lambda data, seed: None))
    runs: list[str] = []

    def train_and_evaluate(config: RecognitionConfig, settings: list[str]) -> bool:
        runs.append(Path(config.run).name)
        miss = 0 if runs[-1] == "nla_slr" else 1
        glosses = ["rain", "snow", "apple", "uncle", "book", "car"]
        clips: list[dict[str, Any]] = [
            {"label": gloss, "rank": miss * (place % 2)} for place, gloss in enumerate(glosses)
        ]
        write_json(evaluation_path(config.run, "test", settings[0]), {"clips": clips})
        return True

    monkeypatch.setattr(ablation, "train_and_evaluate", train_and_evaluate)
    return runs


def test_all_rows_once_and_then_none(trained: list[str], tmp_path: Path) -> None:
    paper = ablation.PAPERS["isolated"]
    assert ablation.train("isolated", paper, 1) and trained == list(paper.rows)
    assert ablation.train("isolated", paper, 1) and len(trained) == len(paper.rows)
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("before\n<!-- isolated -->\n\n| | all signs | similar meaning |")
    assert "| VKNet: both lengths | 50.0 | 50.0 | 50.0 | 50.0 | 1 |" in page
    assert page.endswith(
        "| + decay: NLA-SLR | 100.0 | 100.0 | 100.0 | 100.0 | 1 |\n\n<!-- end of isolated -->\nafter\n"
    )


def test_what_a_missing_row_starts_from_comes_before_it(trained: list[str], tmp_path: Path) -> None:
    paper = ablation.PAPERS["isolated"]
    ablation.train("isolated", paper, 1)
    results = json.loads((tmp_path / "ablation.json").read_text())
    del results["isolated"]["two_stream8"]
    (tmp_path / "ablation.json").write_text(json.dumps(results))
    trained.clear()
    ablation.train("isolated", paper, 1)
    assert trained == ["keypoint8", "keypoint16", "rgb16", "rgb8", "two_stream8"]


def test_several_seeds_have_a_mean_and_a_deviation() -> None:
    assert ablation.spread([50.0]) == "50.0" and ablation.spread([50.0, 60.0, 70.0]) == "60.0 ± 10.0"
