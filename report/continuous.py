"""The report on runs of continuous recognition."""

import argparse
from collections.abc import Sequence

from configs.schema import ContinuousConfig
from dataset.annotations import Split
from modeling.continuous.network import ContinuousRecognizer
from report import continuous_sections
from report.continuous_sections import Evaluations
from report.page import percent
from report.runs import RunRecord, beam_setting
from report.sections import Content
from report.sentence_evaluation import (
    SentenceEvaluation,
    read_sentence_evaluation,
    refuse_other_sentences,
    true_spans,
)
from report.sentence_strips import SentenceStrip
from report.sentence_views import view_sentences
from utils.config import from_dict
from utils.errors import UserError

WRONG, RIGHT, PICTURED = 10, 4, 4  # sentences that are shown, and how many of the wrong ones as pictures


def evaluation_setting(given: str | None, records: Sequence[RunRecord]) -> str:
    """The setting that is compared: as given, or the beam of the last run.

    Raises:
        UserError: there is no such setting.
    """
    return beam_setting(given, configuration(records[-1]).decoding.beam, "continuous recognition")


def compare(records: Sequence[RunRecord], arguments: argparse.Namespace) -> Content:
    """Word error rates with intervals, mistakes and sentences of some runs.

    Raises:
        UserError: one has no evaluation, or one of other sentences than the first.
    """
    split, setting = arguments.split, arguments.eval_setting
    evaluations = {
        record.title: read_sentence_evaluation(record.folder, split, setting) for record in records
    }
    refuse_other_sentences(list(evaluations.values()))
    last = evaluations[records[-1].title]
    wrong, right = continuous_sections.chosen_sentences(last, WRONG, RIGHT)
    config = configuration(records[-1])
    try:
        strips = sentence_strips(config, split, last, wrong[:PICTURED])
    except UserError as error:
        print(f"no pictures of sentences: {error}")
        strips = {}
    return Content(
        records,
        lead(last),
        [
            continuous_sections.error_rates(evaluations),
            continuous_sections.curves({record.title: record.epochs for record in records if record.epochs}),
            continuous_sections.mistakes(evaluations),
            continuous_sections.boundaries(evaluations, true_spans(config.data.index)),
            continuous_sections.sentences(evaluations, wrong, right, strips),
        ],
        markdown(evaluations),
        continuous_sections.error_table(evaluations).markdown(),
    )


def markdown(evaluations: Evaluations) -> list[str]:
    parts = [continuous_sections.error_table(evaluations).markdown()]
    for heading, table in continuous_sections.mistake_tables(evaluations).items():
        parts += [f"## {heading}", table.markdown()]
    return parts


def lead(evaluation: SentenceEvaluation) -> str:
    """The result in a sentence, HTML."""
    low, high = evaluation.result.interval
    perfect = sum(errors.errors == 0 for errors in evaluation.errors)
    return (
        f"It reads {len(evaluation.sentences)} sentences with a word error rate of "
        f"<b>{percent(evaluation.result.total.rate / 100)}</b> (95&nbsp;% interval {low:.1f} to {high:.1f}), "
        f"{perfect} of them without an error."
    )


def configuration(record: RunRecord) -> ContinuousConfig:
    return from_dict(ContinuousConfig, record.config, str(record.folder / "config.yaml"))


def sentence_strips(
    config: ContinuousConfig,
    split: Split,
    evaluation: SentenceEvaluation,
    rows: Sequence[int],
    network: ContinuousRecognizer | None = None,
) -> dict[str, SentenceStrip]:
    """Pictures of the sentences in some rows of an evaluation, by name.

    Args:
        network: gives the probabilities of its heads; without it there are none.

    Raises:
        UserError: the files of the sentences are not at hand.
    """
    chosen = [evaluation.sentences[row] for row in rows]
    views = view_sentences(config, split, [sentence.name for sentence in chosen], network)
    signed = true_spans(config.data.index)
    return {
        sentence.name: SentenceStrip(view, signed.get(sentence.name, []), sentence.spans)
        for sentence, view in zip(chosen, views, strict=True)
    }
