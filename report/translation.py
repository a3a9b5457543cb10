"""The report on runs of translation."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from report import translation_sections
from report.page import percent
from report.runs import RunRecord, beam_setting, evaluation_path
from report.sections import Content
from report.translation_evaluation import (
    TranslationEvaluation,
    read_translation_evaluation,
    refuse_other_texts,
)
from report.translation_sections import Evaluations
from utils.text_scores import SCORE

WRONG, RIGHT = 12, 4  # sentences that are shown


def evaluation_setting(given: str | None, records: Sequence[RunRecord]) -> str:
    """The setting that is compared: as given, or the beam of the last run.

    Raises:
        UserError: there is no such setting.
    """
    return beam_setting(given, records[-1].config["generation"]["beam"], "translation")


def compare(records: Sequence[RunRecord], arguments: argparse.Namespace) -> Content:
    """Scores with intervals and sentences of some runs, and of each together with others where that was evaluated.

    Raises:
        UserError: one has no evaluation, or one of other texts than the first.
    """
    evaluations = read_evaluations(records, arguments.split, arguments.eval_setting)
    refuse_other_texts(list(evaluations.values()))
    title, last = list(evaluations.items())[-1]
    table = translation_sections.score_table(evaluations).markdown()
    return Content(
        records,
        lead(last),
        [
            translation_sections.scores(evaluations),
            translation_sections.curves({record.title: record.epochs for record in records if record.epochs}),
            translation_sections.sentences(
                title, last, *translation_sections.chosen_sentences(last, WRONG, RIGHT)
            ),
        ],
        [table],
        table,
    )


def read_evaluations(records: Sequence[RunRecord], split: str, setting: str) -> Evaluations:
    """Of each run, and after it of the run together with others, if there is that."""
    found: dict[str, TranslationEvaluation] = {}
    for record in records:
        found[record.title] = read_translation_evaluation(record.folder, split, setting)
        if evaluation_path(record.folder, split, f"{setting}_ensemble").is_file():
            together = read_translation_evaluation(record.folder, split, setting, ensemble=True)
            found[" + ".join([record.title, *(Path(run).name for run in together.ensemble)])] = together
    return found


def lead(evaluation: TranslationEvaluation) -> str:
    """The result in a sentence, HTML."""
    score = evaluation.scores[SCORE]
    assert score.interval is not None
    low, high = score.interval
    perfect = evaluation.errors.count(0)
    together = " together with others" * bool(evaluation.ensemble)
    return (
        f"It says the text of {len(evaluation.sentences)} sentences{together} with a {SCORE} of "
        f"<b>{percent(score.value / 100)}</b> (95&nbsp;% interval {low:.1f} to {high:.1f}), {perfect} of them word for "
        "word."
    )
