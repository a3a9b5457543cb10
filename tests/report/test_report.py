"""The report of several runs: what it says, that it refers to nothing outside, and what it refuses."""

import argparse
import json
import re
from pathlib import Path

import pytest

from report import isolated
from report.__main__ import main, task_of
from report.page import Cell, Table
from report.runs import differences, evaluation_path, read_runs
from tests.inference.runs import make_run
from tests.report.test_analysis import write_evaluation
from utils.errors import UserError
from utils.files import read_json, write_json

HOSTILE = "<script>alert(1)</script>|&"


def named(outcomes: list[tuple[str, str]], run: Path, names: list[str]) -> None:
    """An evaluation whose clips have the given names."""
    write_evaluation(run, outcomes)
    path = evaluation_path(run, "test", "origin")
    content = read_json(path, dict)
    for clip, name in zip(content["clips"], names, strict=True):
        clip["name"] = name
    write_json(path, content)


@pytest.fixture
def runs(tmp_path: Path, clip_set: Path) -> list[Path]:
    """Two runs on the two test clips c5 (cold) and c6 (table): one has them swapped, one has them right."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder, modalities, said in zip(
        folders, (["rgb"], ["rgb", "keypoint"]), (["table", "cold"], ["cold", "table"]), strict=True
    ):
        make_run(folder, clip_set, modalities)
        named(list(zip(["cold", "table"], said, strict=True)), folder, ["c5", "c6"])
        epochs = [
            {
                "kind": "epoch",
                "losses": {"total": 2.0 / (1 + i)},
                "validation": {"per_instance": {"1": 0.1 * i}},
            }
            for i in range(3)
        ]
        lines = [{"kind": "step", "step": 1, "loss": 1.0}, *epochs]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folders


def report(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["report", *map(str, arguments)])
    return main()


def test_the_page_is_self_contained_and_says_everything(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report(monkeypatch, *reversed(runs), "--baseline", runs[0], "--out", tmp_path / "out") == 0
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "://" not in page and "url(" not in page and "@import" not in page
    assert re.findall(r'(?:src|href)="(?!data:image/)', page) == []
    for text in (
        "Accuracy",
        "Learning curves",
        "Look-alike signs",
        "Confused pairs",
        "Confusion matrix",
        "What the configurations differ in",
        "model.modalities",
        "cold / table",
        "cold, taken for table (c5)",
        "-100.0",
    ):
        assert text in page
    assert page.count("data:image/jpeg") == 1  # nothing was recognised that could stand beside it
    assert page.count("data:image/png") == 4


def test_markdown_tables(runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report(monkeypatch, *runs) == 0
    text = (runs[-1] / "report.md").read_text(encoding="utf-8")
    assert "| first (rgb64) | 0.0\u00a0%" in text and "| second (rgb64) | 100.0\u00a0%" in text
    assert "+100.0 (+100.0 to +100.0)" in text
    assert '| model.modalities | ["rgb"] | ["rgb", "keypoint"] |' in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)


def test_one_run_and_no_data_to_show_clips_from(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = (runs[0] / "config.yaml").read_text().replace("clips.zip", "gone.zip")
    (runs[0] / "config.yaml").write_text(config)
    (runs[0] / "metrics.jsonl").unlink()
    assert report(monkeypatch, runs[0]) == 0
    page = (runs[0] / "report.html").read_text(encoding="utf-8")
    assert "no pictures of clips" in capsys.readouterr().out
    assert "Learning curves" not in page and "configurations differ" not in page and "jpeg" not in page


def compare(runs: list[Path], split: str = "test") -> None:
    parser = argparse.ArgumentParser()
    isolated.add_options(parser)
    isolated.compare(
        read_runs(runs), parser.parse_args([], argparse.Namespace(split=split, eval_setting="origin"))
    )


def test_runs_of_other_clips_and_what_is_no_run_are_refused(runs: list[Path], tmp_path: Path) -> None:
    named([("cold", "cold"), ("table", "table")], runs[1], ["c5", "c4"])
    with pytest.raises(UserError, match="of other clips than"):
        compare(runs)
    with pytest.raises(UserError, match="not a run"):
        compare([tmp_path])
    with pytest.raises(UserError, match="no such evaluation"):
        compare(runs, split="dev")


def test_runs_of_several_tasks_are_not_compared(runs: list[Path]) -> None:
    with (runs[1] / "config.yaml").open("a") as file:
        file.write("task: other\n")
    assert task_of(read_runs(runs[:1])) == "isolated"  # of a run from before there were tasks
    with pytest.raises(UserError, match="of different tasks: isolated, other"):
        task_of(read_runs(runs))
    with pytest.raises(UserError, match="no report on the task 'other'; known: isolated"):
        task_of(read_runs(runs[1:]))


def test_runs_of_the_same_name_are_told_apart(runs: list[Path], tmp_path: Path) -> None:
    twin = tmp_path / "elsewhere" / "first"
    twin.parent.mkdir()
    runs[0].rename(twin)
    twin_again = tmp_path / "first"
    runs[1].rename(twin_again)
    titles = [record.title for record in read_runs([twin, twin_again])]
    assert titles == [str(twin), str(twin_again)]


def test_differences_leave_out_what_is_equal(runs: list[Path]) -> None:
    found = differences(read_runs(runs))
    assert found == {"model.modalities": ['["rgb"]', '["rgb", "keypoint"]']}


def test_text_is_escaped() -> None:
    table = Table([HOSTILE], [[HOSTILE], [Cell(HOSTILE, HOSTILE)]], {0})
    assert "<script" not in table.html() and table.html().count("&lt;script&gt;") == 4
    assert table.markdown().count("\\|") == 4
