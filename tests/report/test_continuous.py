"""The report of runs of continuous recognition: what it says, and what it refuses."""

import re
from pathlib import Path

import pytest

from report import continuous
from report.__main__ import main
from report.continuous_sections import chosen_sentences, mistake_tables, sentence
from report.runs import evaluation_path, read_runs
from report.sentence_evaluation import distances, rate_difference, read_sentence_evaluation, true_spans
from tests.inference.runs import make_run
from tests.report.sentence_runs import SIGNED, make_sentence_set, sentence_config, write_run
from utils.errors import UserError
from utils.files import read_json, write_json


@pytest.fixture
def runs(tmp_path: Path, clip_set: Path) -> list[Path]:
    """Two runs on two sentences of five glosses: the first makes four errors, the second two."""
    index = make_sentence_set(tmp_path / "data")
    read = [
        {"rgb": ["table", "table table snow"]},
        {"keypoint": ["", ""], "rgb": ["cold snow table", "snow table table"]},
    ]
    return [
        write_run(sentence_config(tmp_path / name, index, clip_set, ["rgb"]), heads)
        for name, heads in zip(("first", "second"), read, strict=True)
    ]


def report(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["report", *map(str, arguments)])
    return main()


def test_the_page_is_self_contained_and_says_everything(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report(monkeypatch, *runs, "--out", tmp_path / "out") == 0
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "://" not in page and "url(" not in page and "@import" not in page
    assert re.findall(r'(?:src|href)="(?!data:image/)', page) == []
    for text in (
        "<b>40.0\u00a0%</b>",
        "Every head of second",
        "Learning curves",
        "cold → table",
        "Times",
        "Wrong: 2 of 2 sentences",
        "What the configurations differ in",
    ):
        assert text in page
    assert page.count("data:image/png") == 3  # errors, losses, validations
    assert page.count("<svg") == page.count("data:image/jpeg") == 2
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert "| second (rgb) | 40.0\u00a0% (" in text and "| cold → table | 2 | 1 | 1 |" in text


def test_without_the_videos_there_are_no_pictures(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = (runs[0] / "config.yaml").read_text().replace("clips.zip", "gone.zip")
    (runs[0] / "config.yaml").write_text(config)
    (runs[0] / "metrics.jsonl").unlink()
    assert report(monkeypatch, runs[0]) == 0
    page = (runs[0] / "report.html").read_text(encoding="utf-8")
    assert "no pictures of sentences" in capsys.readouterr().out
    assert "<svg" not in page and "Learning curves" not in page and "configurations differ" not in page


def test_a_run_without_errors(tmp_path: Path, clip_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = sentence_config(tmp_path / "run", make_sentence_set(tmp_path / "data"), clip_set, ["rgb"])
    run = write_run(config, {"rgb": list(SIGNED.values())})
    assert report(monkeypatch, run) == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "run made none" in page and "Wrong:" not in page and page.count("✓") == 2


def test_mistakes_are_counted_by_kind(runs: list[Path]) -> None:
    first, second = (read_sentence_evaluation(run, "test", "beam_7") for run in runs)
    tables = mistake_tables({"first": first, "second": second})
    assert {heading: table.rows for heading, table in tables.items()} == {
        "Read as another": [["cold → table", "2", "1", "1"]],
        "Made up": [["snow", "1", "1"]],
    }
    assert [errors.errors for errors in first.errors] == [1, 3]
    assert rate_difference(second, first)[0] == pytest.approx(100 * (2 - 4) / 5)


def test_times_against_the_true_ones(runs: list[Path], tmp_path: Path) -> None:
    """Every gloss is read one frame late and ends two late; `table` of the first sentence is read a gloss late."""
    signed = true_spans(str(tmp_path / "data/sentences.csv"))
    found = distances(read_sentence_evaluation(runs[1], "test", "beam_7"), signed)
    assert found == (pytest.approx((1 + 5 + 1 + 1) / 4), pytest.approx((2 + 6 + 2 + 2) / 4), 4)
    assert true_spans(str(tmp_path / "elsewhere.csv")) == {}


def test_the_worst_sentences_come_first_and_differences_stand_out(runs: list[Path]) -> None:
    evaluation = read_sentence_evaluation(runs[0], "test", "beam_7")
    assert chosen_sentences(evaluation, wrong=5, right=5) == ([1, 0], [])
    shown = sentence({"first": evaluation}, 0, {})
    assert "1 error in 2 glosses" in shown
    assert re.findall(r'<td class="bad">([^<]*)', shown) == ["cold", "-"]


def test_the_setting_is_the_beam_of_the_last_run_unless_another_is_given(runs: list[Path]) -> None:
    records = read_runs(runs)
    assert continuous.evaluation_setting(None, records) == "beam_7"
    assert continuous.evaluation_setting("beam_12", records) == "beam_12"
    with pytest.raises(UserError, match="'3x_pad' is not one of continuous recognition"):
        continuous.evaluation_setting("3x_pad", records)


def test_what_cannot_be_compared_is_refused(
    runs: list[Path], tmp_path: Path, clip_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "isolated", clip_set, ["rgb"])
    with pytest.raises(UserError, match="of different tasks: continuous, isolated"):
        report(monkeypatch, *runs, tmp_path / "isolated")
    with pytest.raises(UserError, match="--min_share: is for runs of isolated recognition"):
        report(monkeypatch, *runs, "--min_share", 0.5)
    with pytest.raises(
        UserError, match=r"beam_2\.json: no such evaluation; .* --eval_setting beam_2 makes it"
    ):
        report(monkeypatch, *runs, "--eval_setting", "beam_2")
    path = evaluation_path(runs[1], "test", "beam_7")
    content = read_json(path, dict)
    content["sentences"][0]["reference"] = "cold"
    write_json(path, content)
    with pytest.raises(UserError, match="of other sentences than"):
        report(monkeypatch, *runs)
