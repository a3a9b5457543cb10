"""The page of the demo of whole sentences."""

import re
from pathlib import Path

import numpy as np

from report.demo_sentences_page import Report, write_report
from report.sentence_evaluation import read_sentence_evaluation, true_spans
from report.sentence_strips import SentenceStrip, SentenceView
from report.translation_evaluation import SaidSentence, Score, TranslationEvaluation
from tests.report.sentence_runs import VOCABULARY, make_sentence_set, sentence_config, write_run


def test_the_page_is_self_contained_and_says_everything(tmp_path: Path, clip_set: Path) -> None:
    index = make_sentence_set(tmp_path / "data")
    heads = {"rgb": ["cold", ""], "ensemble_last": ["cold table", "snow table"]}
    run = write_run(sentence_config(tmp_path / "run", index, clip_set, ["rgb"]), heads)
    evaluation = read_sentence_evaluation(run, "test", "beam_7")
    signed = true_spans(str(index))
    view = SentenceView(np.zeros((128, 1536, 3), np.uint8), 12, {}, VOCABULARY)
    said = SaidSentence("c6", "snow cold table", "The table is cold.", "The snow is cold.")
    translation = TranslationEvaluation(
        Path("a.json"), "words", ["rgb"], {"BLEU-4": Score(61.5, (50.0, 70.0))}, [said]
    )
    epochs = [{"losses": {"total": 2.0}}, {"losses": {"total": 1.0}}]
    summary = {
        "seed": 5,
        "glosses": 3,
        "sentences": {"train": 9, "dev": 1, "test": 2},
        "signers": {"train": 2, "dev": 1, "test": 1},
        "stages": {"final": {"training_seconds": 4.0}},
        "translation": {"chance": {"text": "<It> is cold.", "scores": {"BLEU-4": 1.25}}},
        "translated": {
            "command": "python prediction.py --video <a>.mp4",
            "signed": {"glosses": "cold table", "text": "The table is cold."},
            "found": {
                "text": "The snow is cold.",
                "glosses": [{"gloss": "cold", "start": 0.2, "end": 0.64, "probability": 0.9}],
            },
            "seconds": 1.0,
        },
        "rendering_seconds": 1.0,
        "total_seconds": 65.0,
        "threads": 1,
        "versions": {"python": "3"},
    }
    path = tmp_path / "report.html"
    write_report(
        path,
        Report(
            summary,
            {"final": "Two streams"},
            {"final": epochs},
            {"final": evaluation},
            signed,
            wrong=[1],
            right=[0],
            strips={"c6": SentenceStrip(view, signed["c6"], evaluation.sentences[1].spans)},
            translations={"Text from three heads": translation},
        ),
    )
    page = path.read_text(encoding="utf-8")
    assert "://" not in page and re.findall(r'(?:src|href)="(?!data:image/)', page) == []
    for text in (
        "<b>20.0\u00a0%</b>",
        "1 of 2",
        "1\u00a0min 5\u00a0s",
        "ensemble_last",
        "Learning curves",
        "Left out",
        "Times",
        "1 error in 3 glosses",
        "&lt;a&gt;.mp4",
        "<td>0.20 s</td><td>0.64 s</td>",
        "61.50<small>50.0 to 70.0",
        "“&lt;It&gt; is cold.”",
        "The <del>table</del> is cold.",
        "The <ins>snow</ins> is cold.",
    ):
        assert text in page
    assert page.count("<svg") == 1
