"""The report of runs of translation: what it says, and what it refuses."""

import json
import re
from pathlib import Path

import pytest

from inference.translation_scores import TextResults
from report import translation
from report.__main__ import main
from report.runs import evaluation_path, read_runs
from report.translation_evaluation import read_translation_evaluation, refuse_other_texts
from report.translation_sections import chosen_sentences, marked, score_table, sentence
from utils.errors import UserError
from utils.text_scores import Unit
from utils.word_errors import align_words

REFERENCES = ["it is cold today .", "snow falls on the table .", "the <b>table</b> is cold ."]
SAID = ["it is cold today .", "snow falls on a table tonight .", "the <b>chair</b> is cold ."]


def write_run(run: Path, said: list[str], unit: Unit = "words", references: list[str] = REFERENCES) -> Path:
    """A run folder that was evaluated on three test sentences, with a beam of 3."""
    run.mkdir()
    (run / "config.yaml").write_text("task: translation\ngeneration: {beam: 3}\n", encoding="utf-8")
    epochs = [
        {"kind": "epoch", "losses": {"total": 3.0}},
        {"kind": "epoch", "losses": {"total": 2.0}, "validation": {"scores": {"BLEU-4": 12.5}}},
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    write_evaluation(run, said, unit, references=references)
    return run


def write_evaluation(
    run: Path,
    said: list[str],
    unit: Unit = "words",
    ensemble: list[str] | None = None,
    references: list[str] = REFERENCES,
) -> None:
    names = [f"c{number}" for number in range(len(said))]
    glosses = ["COLD TODAY", "SNOW TABLE", "<TABLE> COLD"]
    results = TextResults(names, glosses, references, said, ["<s>", "COLD"], unit, 3, ensemble or [])
    results.write(evaluation_path(run, "test", "beam_3" + "_ensemble" * bool(ensemble)))


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs: the first is right once, the second twice."""
    return [write_run(tmp_path / "rgb", SAID), write_run(tmp_path / "joint", [*REFERENCES[:2], SAID[2]])]


def report(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["report", *map(str, arguments)])
    return main()


def test_the_page_is_self_contained_and_says_everything(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report(monkeypatch, *runs, "--out", tmp_path / "out") == 0
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "://" not in page and re.findall(r'(?:src|href)="(?!data:image/)', page) == []
    for text in (
        "3 sentences with a BLEU-4",
        "2 of them word for word",
        "Learning curves",
        "<h2>Sentences: joint</h2>",
        "Wrong: 1 of 3 sentences",
        "&lt;TABLE&gt; COLD",
        "<del>&lt;b&gt;table&lt;/b&gt;</del>",
        "<ins>&lt;b&gt;chair&lt;/b&gt;</ins>",
    ):
        assert text in page
    assert "<b>table" not in page and page.count("data:image/png") == 2
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert "| Run | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 | ROUGE-L | chrF |" in text
    assert text.count("\n| joint | ") == 1 and text.count("\n| rgb | ") == 1


def test_the_best_stands_out(runs: list[Path]) -> None:
    evaluations = {run.name: read_translation_evaluation(run, "test", "beam_3") for run in runs}
    table = score_table(evaluations)
    assert table.emphasised == {1}
    assert table.html().count("<small>") == 2 * 5  # chrF has no interval


def test_an_ensemble_is_named_by_its_runs(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_evaluation(runs[1], REFERENCES, ensemble=[str(runs[0])])
    assert report(monkeypatch, runs[1]) == 0
    page = (runs[1] / "report.html").read_text(encoding="utf-8")
    assert "<h2>Sentences: joint + rgb</h2>" in page and "together with others" in page
    assert "| joint + rgb | 100.00" in capsys.readouterr().out


def test_characters_are_compared_without_spaces(tmp_path: Path) -> None:
    said = ["天气 很 热", "下雪", "桌子"]
    run = write_run(tmp_path / "run", said, "characters", ["天 气很冷", "下雪", "桌子"])
    evaluation = read_translation_evaluation(run, "test", "beam_3")
    assert evaluation.errors == [1, 0, 0]
    assert "天气很<del>冷</del>" in (shown := sentence(evaluation, 0)) and "天气很<ins>热</ins>" in shown


def test_differences_are_marked_in_both_texts() -> None:
    alignment = align_words(["a", "b", "c", "d"], ["x", "b", "d", "e"])
    assert marked(alignment, "words") == ("<del>a</del> b <del>c</del> d", "<ins>x</ins> b d <ins>e</ins>")


def test_the_worst_sentences_come_first(runs: list[Path]) -> None:
    evaluation = read_translation_evaluation(runs[0], "test", "beam_3")
    assert evaluation.errors == [0, 2, 1]
    assert chosen_sentences(evaluation, wrong=5, right=5) == ([1, 2], [0])
    assert chosen_sentences(evaluation, wrong=1, right=0) == ([1], [])


def test_other_settings_and_sentences_are_refused(runs: list[Path], tmp_path: Path) -> None:
    records = read_runs(runs)
    assert translation.evaluation_setting(None, records) == "beam_3"
    with pytest.raises(UserError, match="'origin' is not one of translation; such as beam_5"):
        translation.evaluation_setting("origin", records)
    with pytest.raises(UserError, match=r"no such evaluation; python prediction.py .* --eval_setting beam_4"):
        translation.read_evaluations(records, "test", "beam_4")
    other = write_run(tmp_path / "other", SAID, references=["what else", *REFERENCES[1:]])
    characters = write_run(tmp_path / "characters", SAID, "characters")
    for run, message in ((other, "of other sentences than"), (characters, "compares characters, but")):
        found = translation.read_evaluations(read_runs([runs[0], run]), "test", "beam_3")
        with pytest.raises(UserError, match=message):
            refuse_other_texts(list(found.values()))


def test_options_of_isolated_recognition_are_refused(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="--baseline: is for runs of isolated recognition"):
        report(monkeypatch, runs[0], "--baseline", runs[1])
