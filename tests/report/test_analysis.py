"""Confusions, look-alike signs and accuracy on them, on outcomes written by hand."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from report.analysis import (
    ALL,
    DISTINCT,
    LOOK_ALIKE,
    OTHER,
    SIMILAR,
    Analysis,
    GlossSimilarity,
    LookAlikeDefinition,
    LookAlikes,
    add_look_alike_options,
    confused_pairs,
    confusion_counts,
    evaluation_path,
    gloss_accuracies,
    group_accuracies,
    look_alike_definition,
    read_evaluation,
)
from utils.errors import UserError
from utils.files import write_json

GLOSSES = ["cold", "table", "tree", "winter"]
# cold and winter point the same way; table and tree away from them and from each other
EMBEDDINGS = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.9, 0.1, 0]])
OUTCOMES = [  # true, predicted
    *([("cold", "cold")] * 2 + [("cold", "winter")] * 2),
    *([("winter", "winter")] * 3 + [("winter", "cold")]),
    *([("table", "table")] * 2 + [("table", "tree")] * 2),
    *([("tree", "tree")] * 4),
]


def write_evaluation(run: Path, outcomes: list[tuple[str, str]], split: str = "test") -> None:
    """As prediction.py writes it, of a model that is sure of what it says."""
    clips = [
        {
            "name": f"clip{i}",
            "label": label,
            "rank": 0 if label == said else 1,
            "top_5": [{"gloss": said, "probability": 1.0}],
        }
        for i, (label, said) in enumerate(outcomes)
    ]
    share = sum(label == said for label, said in outcomes) / len(outcomes)
    figures = {kind: {"1": share, "5": 1.0, "10": 1.0} for kind in ("per_instance", "per_class")}
    intervals = {kind: {k: [max(0, v - 0.1), v] for k, v in figures[kind].items()} for kind in figures}
    accuracy = {"rgb64": {**figures, "intervals": intervals}}
    content = {"reported": "rgb64", "accuracy": accuracy, "vocabulary": GLOSSES, "clips": clips}
    write_json(evaluation_path(run, split, "origin"), content)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_evaluation(tmp_path / "run", OUTCOMES)
    return tmp_path / "run"


def test_glosses_worst_first(run: Path) -> None:
    found = gloss_accuracies(read_evaluation(run, "test", "origin"))
    assert [(item.gloss, item.correct, item.clips) for item in found] == [
        ("cold", 2, 4),
        ("table", 2, 4),
        ("winter", 3, 4),
        ("tree", 4, 4),
    ]
    assert [item.taken_for for item in found] == [{"winter": 2}, {"tree": 2}, {"cold": 1}, {}]


def test_pairs_count_both_directions(run: Path) -> None:
    similarity = GlossSimilarity(GLOSSES, EMBEDDINGS)
    first, second = confused_pairs(read_evaluation(run, "test", "origin"), similarity)
    assert (first.first, first.second, first.confused, first.clips) == ("cold", "winter", 3, 8)
    assert (second.first, second.second, second.confused, second.clips) == ("table", "tree", 2, 8)
    assert first.similarity == pytest.approx(0.9 / np.hypot(0.9, 0.1)) and second.similarity == 0
    assert confused_pairs(read_evaluation(run, "test", "origin"), None)[0].similarity is None


def test_look_alikes_by_meaning_and_what_became_of_them(run: Path) -> None:
    evaluation = read_evaluation(run, "test", "origin")
    similarity = GlossSimilarity(GLOSSES, EMBEDDINGS)
    found = LookAlikes.find(evaluation, similarity, LookAlikeDefinition(min_share=0.25))
    assert found.groups == {"cold": SIMILAR, "winter": SIMILAR, "table": DISTINCT, "tree": DISTINCT}
    groups = group_accuracies(evaluation, found)
    assert list(groups) == [SIMILAR, DISTINCT, OTHER, ALL]
    assert [(g.clips, g.top_1) for g in groups.values()] == [(8, 5 / 8), (8, 6 / 8), (0, None), (16, 11 / 16)]
    low, high = groups[ALL].interval or (0, 0)
    assert low < 11 / 16 < high


@pytest.mark.parametrize(
    ("definition", "glosses"),
    [
        (LookAlikeDefinition(min_share=0.3), {"cold", "winter"}),
        (LookAlikeDefinition(min_share=0.375), {"cold", "winter"}),
        (LookAlikeDefinition(min_share=0.38), set()),
        (LookAlikeDefinition(min_share=0.1, min_clips=3), {"cold", "winter"}),
        (LookAlikeDefinition(min_share=0.1, min_clips=4), set()),
    ],
)
def test_the_definition_can_be_adjusted(
    run: Path, definition: LookAlikeDefinition, glosses: set[str]
) -> None:
    evaluation = read_evaluation(run, "test", "origin")
    assert LookAlikes.find(evaluation, None, definition).groups.keys() == glosses


def test_similarity_decides_the_group(run: Path) -> None:
    evaluation, similarity = read_evaluation(run, "test", "origin"), GlossSimilarity(GLOSSES, EMBEDDINGS)
    strict = LookAlikes.find(evaluation, similarity, LookAlikeDefinition(min_similarity=0.999))
    assert set(strict.groups.values()) == {DISTINCT}
    unknown = LookAlikes.find(evaluation, None, LookAlikeDefinition())
    assert unknown.names == [LOOK_ALIKE, OTHER, ALL]


def test_nearest_meanings_leave_the_gloss_out() -> None:
    similarity = GlossSimilarity(GLOSSES, EMBEDDINGS)
    assert [gloss for gloss, _ in similarity.nearest("cold", 2)] == ["winter", "table"]


def test_the_whole_analysis_as_text_and_json(run: Path, tmp_path: Path) -> None:
    write_evaluation(tmp_path / "other", [(label, label) for label, _ in OUTCOMES])
    evaluation, other = (read_evaluation(tmp_path / name, "test", "origin") for name in ("run", "other"))
    similarity = GlossSimilarity(GLOSSES, EMBEDDINGS)
    look_alikes = LookAlikes.find(evaluation, similarity, LookAlikeDefinition())
    analysis = Analysis(other, similarity, look_alikes, {"before": evaluation, "after": other})
    content = json.loads(json.dumps(analysis.content()))
    accuracy = content["look_alikes"]["accuracy"]
    assert [accuracy[name][SIMILAR]["top_1"] for name in ("before", "after")] == [5 / 8, 1.0]
    assert content["confused_pairs"] == [] and len(content["glosses"]) == 4
    assert content["look_alikes"]["definition"] == {"min_share": 0.2, "min_clips": 2, "min_similarity": 0.5}
    text = analysis.text()
    assert "62.5 (" in text and "100.0 (100.0-100.0), 8" in text and "similar meaning" in text
    assert "without word embeddings" in Analysis(other, None, look_alikes, {}).text()


def test_confusions_of_many_glosses_are_those_confused_most() -> None:
    matrix, shown = confusion_counts(OUTCOMES, GLOSSES, most=2)
    assert shown == ["cold", "winter"] and matrix.tolist() == [[2, 2], [1, 3]]
    matrix, shown = confusion_counts(OUTCOMES, GLOSSES, most=4)
    assert shown == GLOSSES and matrix.sum() == 16 and matrix.trace() == 11
    matrix, shown = confusion_counts([(label, label) for label in GLOSSES], GLOSSES, most=3)
    assert shown == [] and matrix.shape == (0, 0)


def test_missing_and_old_evaluations_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run"):
        read_evaluation(tmp_path, "dev", "3x_pad")
    (tmp_path / "config.yaml").write_text("run: x")
    command = "python prediction.py --config .*config.yaml --split dev --eval_setting 3x_pad"
    with pytest.raises(UserError, match=f"no such evaluation; {command}"):
        read_evaluation(tmp_path, "dev", "3x_pad")
    write_json(evaluation_path(tmp_path, "dev", "3x_pad"), {"reported": "x", "clips": [{"name": "a"}]})
    with pytest.raises(UserError, match="written by an earlier version"):
        read_evaluation(tmp_path, "dev", "3x_pad")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min_share", "0"], "--min_share"),
        (["--min_clips", "0"], "--min_clips"),
        (["--min_similarity", "1.5"], "--min_similarity"),
    ],
)
def test_impossible_definitions(options: list[str], message: str) -> None:
    parser = argparse.ArgumentParser()
    add_look_alike_options(parser)
    with pytest.raises(UserError, match=message):
        look_alike_definition(parser.parse_args(options))
    assert look_alike_definition(parser.parse_args([])) == LookAlikeDefinition()
