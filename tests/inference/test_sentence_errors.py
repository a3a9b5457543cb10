"""What an evaluation of continuous recognition reports: word error rates counted by hand, the table, the file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from configs.build import sentence_reader
from configs.schema import ContinuousConfig, EvaluationConfig
from dataset.config import SentenceDataConfig
from dataset.sentences import GlossClasses, Sentence, read_sentences
from inference.sentence_errors import SentenceEvaluator, SentenceResults, scored_glosses
from inference.timeline import Segment
from inference.trained_model import load_model
from modeling.continuous.network import ContinuousRecognizer
from tests.inference.runs import GLOSSES
from utils.distributed import Processes
from utils.word_errors import WordErrors


def results(reported: str = "rgb") -> SentenceResults:
    """Two sentences of 6 glosses together. rgb: a substitution and a deletion; joint: an insertion."""
    return SentenceResults(
        names=["a", "b"],
        references=[["cold", "rain", "table", "snow"], ["rain", "cold"]],
        hypotheses={
            "rgb": [["cold", "fish", "table"], ["rain", "cold"]],
            "joint": [["cold", "rain", "table", "snow"], ["rain", "fish", "cold"]],
        },
        aligned=[[Segment(0, 8, "cold", 0.75)], []],
        vocabulary=["<s>", "cold", "fish", "rain", "snow", "table"],
        reported_name=reported,
        beam=5,
    )


def test_rates_counted_by_hand() -> None:
    found = results()
    assert found.totals == {"rgb": WordErrors(6, 1, 1, 0), "joint": WordErrors(6, 0, 0, 1)}
    assert found.entry() == {
        "word_error_rate": {"rgb": pytest.approx(100 / 3), "joint": pytest.approx(100 / 6)},
        "reported": "rgb",
        "smallest": "joint",
    }
    assert found.score == pytest.approx(100 / 6)  # the smallest, whichever is reported
    assert found.summary() == "WER 33.33 (rgb), smallest 16.67 (joint)"
    assert results("joint").summary() == "WER 16.67 (joint)"
    assert found.scalars() == {
        "word_error_rate/rgb": pytest.approx(100 / 3),
        "word_error_rate/joint": pytest.approx(100 / 6),
        "errors/substitutions": pytest.approx(100 / 6),
        "errors/deletions": pytest.approx(100 / 6),
        "errors/insertions": 0,
    }
    # Sentence b has no errors with rgb, sentence a half a gloss each.
    assert found.intervals["rgb"] == (0.0, 50.0)


def test_table_names_every_head_with_the_parts_of_its_rate() -> None:
    head, rgb, joint, last = results().table().splitlines()
    assert head.split() == ["WER", "sub", "del", "ins", "95", "%"]
    assert rgb.split() == ["*", "rgb", "33.33", "16.67", "16.67", "0.00", "0.00", "to", "50.00"]
    assert joint.split()[:5] == ["joint", "16.67", "0.00", "0.00", "16.67"]
    assert last == "* 2 sentences, 6 glosses, beam 5; smallest: joint"


def test_what_is_taken_for_what() -> None:
    pairs = [("cold", "cold"), ("rain", "fish"), ("table", "table"), ("rain", "rain"), ("cold", "cold")]
    assert results().substitutions == pairs
    picture = results().pictures()["substitutions"]
    assert picture.dtype == np.uint8 and picture.shape[2] == 3


def test_the_file_holds_all_that_is_made_from_it(tmp_path: Path) -> None:
    results().write(tmp_path / "test_beam_5.json")
    content = json.loads((tmp_path / "test_beam_5.json").read_text())
    assert content["word_errors"]["rgb"] == {
        "rate": pytest.approx(100 / 3),
        "interval": [0.0, 50.0],
        "words": 6,
        "substitutions": 1,
        "deletions": 1,
        "insertions": 0,
    }
    assert (content["reported"], content["smallest"], content["beam"]) == ("rgb", "joint", 5)
    assert content["vocabulary"][0] == "<s>" and list(content["word_errors"]) == ["rgb", "joint"]
    assert content["sentences"][0] == {
        "name": "a",
        "reference": "cold rain table snow",
        "hypotheses": {"rgb": "cold fish table", "joint": "cold rain table snow"},
        "errors": {"words": 4, "substitutions": 1, "deletions": 1, "insertions": 0},
        "glosses": [{"start": 0, "end": 8, "gloss": "cold", "probability": 0.75}],
    }
    assert content["sentences"][1]["glosses"] == []


@pytest.mark.parametrize(
    ("data", "glosses", "scored"),
    [
        ({}, "Rain loc-NORD", "Rain loc-NORD"),
        ({"lower_case": True}, "Rain NORD", "rain nord"),
        ({"lower_case": True, "cleanup": "phoenix2014t"}, "regen cl-kommen kommen", "REGEN CL-KOMMEN KOMMEN"),
        ({"cleanup": "phoenix2014t"}, "REGEN __ON__ loc-NORD NORD", "REGEN NORD"),
        ({"cleanup": "phoenix2014"}, "ZEIGEN REGEN-PLUSPLUS", "ZEIGEN-BILDSCHIRM REGEN"),
    ],
)
def test_glosses_as_they_are_compared(data: dict[str, Any], glosses: str, scored: str) -> None:
    assert scored_glosses(glosses.split(), SentenceDataConfig(index="unused", **data)) == scored.split()


def test_evaluator_keeps_every_sentence_in_its_order(sentence_run: Path) -> None:
    """Whatever the batches; both beams at once."""
    model = load_model(sentence_run)
    assert isinstance(model.config, ContinuousConfig) and isinstance(model.recognizer, ContinuousRecognizer)
    sentences, reader = read_sentences(model.config.data).clips, sentence_reader(model.config)
    classes, processes = GlossClasses(GLOSSES, False), Processes(0, 1, torch.device("cpu"))

    def evaluate(some: list[Sentence], size: int) -> dict[str, SentenceResults]:
        assert isinstance(model.config, ContinuousConfig)
        config = replace(model.config, evaluation=EvaluationConfig(batch_size=size))
        beams = {"beam_1": 1, "beam_5": 5}
        found = SentenceEvaluator(config, some, classes, GLOSSES, reader, beams, processes).run(
            model.recognizer
        )
        assert found is not None
        return found

    found, third = evaluate(sentences, 2), evaluate(sentences[2:3], 1)
    assert found == evaluate(sentences, 7)
    assert found["beam_1"].hypotheses != found["beam_5"].hypotheses
    results = found["beam_5"]
    assert results.names == [f"c{i}" for i in range(7)] and results.beam == 5
    assert results.references[4] == ["table", "winter", "rain"]
    assert results.reported_name == "ensemble_last" and len(results.hypotheses) == 9
    for name, read in results.hypotheses.items():
        assert [read[2]] == third["beam_5"].hypotheses[name]
    assert results.aligned[2] == third["beam_5"].aligned[0]
