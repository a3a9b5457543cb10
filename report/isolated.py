"""The report on runs of isolated recognition."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from configs.build import gloss_similarity
from configs.schema import IsolatedConfig
from dataset.annotations import Split
from dataset.glosses.embeddings import GlossSimilarity
from report import isolated_sections
from report.analysis import (
    ConfusedPair,
    EvaluatedRun,
    Evaluation,
    LookAlikes,
    add_look_alike_options,
    confused_pairs,
    look_alike_definition,
    read_evaluation,
)
from report.network_view import view_clips
from report.page import interval, percent
from report.runs import RunRecord
from report.sections import Content, Example
from utils.config import from_dict
from utils.errors import UserError

SETTINGS = ("origin", "3x_pad")
OPTIONS = {"baseline", "min_share", "min_clips", "min_similarity", "look_alikes_from"}
PAIRS, PAIRS_SHOWN = 12, 4  # in the table, and with clips


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of this report alone."""
    parser.add_argument(
        "--baseline", type=Path, help="run that says which signs look alike; default: the first"
    )
    add_look_alike_options(parser)


def evaluation_setting(given: str | None, records: Sequence[RunRecord]) -> str:
    """The setting that is compared.

    Raises:
        UserError: there is no such setting.
    """
    if given is not None and given not in SETTINGS:
        raise UserError(
            f"--eval_setting: {given!r} is not one of isolated recognition; known: {', '.join(SETTINGS)}"
        )
    return given or SETTINGS[0]


def compare(records: Sequence[RunRecord], arguments: argparse.Namespace) -> Content:
    """Accuracies with intervals, look-alike signs and confused pairs of some runs.

    Raises:
        UserError: one has no evaluation, or one of other clips than the first.
    """
    definition = look_alike_definition(arguments)
    split, setting = arguments.split, arguments.eval_setting
    runs = [
        EvaluatedRun(**vars(record), evaluation=read_evaluation(record.folder, split, setting))
        for record in records
    ]
    refuse_other_clips([run.evaluation for run in runs])
    baseline = read_evaluation(
        arguments.baseline or runs[0].folder, arguments.look_alikes_from or split, setting
    )
    similarity = read_similarity(runs)
    look_alikes = LookAlikes.find(baseline, similarity, definition)
    pairs = confused_pairs(runs[-1].evaluation, similarity)[:PAIRS]
    examples = find_examples(runs[-1], split, pairs)
    last = runs[-1].evaluation
    outcomes = list(zip(last.labels, last.predicted, strict=True))
    alike = sorted(look_alikes.groups, key=lambda gloss: look_alikes.groups[gloss])
    glosses = [*alike, *(gloss for gloss in last.vocabulary if gloss not in look_alikes.groups)]
    table = isolated_sections.accuracy_table(runs).markdown()
    markdown = [
        table,
        "## Look-alike signs",
        isolated_sections.look_alike_table(runs, look_alikes).markdown(),
    ]
    if pairs:
        markdown += ["## Confused pairs", isolated_sections.confusion_table(runs, pairs).markdown()]
    return Content(
        runs,
        lead(last),
        [
            isolated_sections.accuracies(runs),
            isolated_sections.curves({run.title: run.epochs for run in runs if run.epochs}),
            isolated_sections.look_alike_signs(runs, look_alikes),
            isolated_sections.confused(runs, pairs, examples),
            isolated_sections.confusion_matrix(runs[-1].title, outcomes, glosses),
        ],
        markdown,
        table,
    )


def refuse_other_clips(evaluations: Sequence[Evaluation]) -> None:
    first = evaluations[0]
    for evaluation in evaluations:
        if (evaluation.names, evaluation.labels) != (first.names, first.labels):
            raise UserError(
                f"{evaluation.path}: of other clips than {first.path}; runs can be compared on one set only"
            )


def lead(evaluation: Evaluation) -> str:
    """The result in a sentence, HTML."""
    accuracy = evaluation.accuracy[evaluation.reported]
    low, high = accuracy["intervals"]["per_instance"]["1"]
    return (
        f"It names <b>{percent(accuracy['per_instance']['1'])}</b> of "
        f"{len(evaluation.names)} clips right, of {len(evaluation.vocabulary)} glosses "
        f"(95&nbsp;% interval {interval((low, high))})."
    )


def configuration(run: EvaluatedRun) -> IsolatedConfig:
    return from_dict(IsolatedConfig, run.config, str(run.folder / "config.yaml"))


def read_similarity(runs: Sequence[EvaluatedRun]) -> GlossSimilarity | None:
    """By the word embeddings of the first run that has some."""
    for run in runs:
        found = gloss_similarity(configuration(run), run.evaluation.vocabulary)
        if found is not None:
            return found
    return None


def find_examples(
    run: EvaluatedRun, split: Split, pairs: Sequence[ConfusedPair]
) -> dict[tuple[str, str], list[Example]]:
    """Of the first pairs a clip that was taken for the other sign, and one of that sign that was not."""
    evaluation = run.evaluation
    clips = list(zip(evaluation.names, evaluation.labels, evaluation.predicted, strict=True))
    chosen: dict[tuple[str, str], list[tuple[str, str]]] = {}  # pair -> clip names with captions
    for pair in pairs[:PAIRS_SHOWN]:
        both = {pair.first, pair.second}
        name, label, said = next(c for c in clips if c[1] != c[2] and {c[1], c[2]} == both)
        chosen[pair.first, pair.second] = [(name, f"{label}, taken for {said} ({name})")]
        for name, label, predicted in clips:
            if label == predicted == said:
                chosen[pair.first, pair.second].append((name, f"{said}, recognised ({name})"))
                break
    names = [name for shown in chosen.values() for name, _ in shown]
    try:
        views = dict(zip(names, view_clips(configuration(run), split, names), strict=True))
    except UserError as error:
        print(f"no pictures of clips: {error}")
        return {}
    return {
        pair: [Example(caption, *views[name]) for name, caption in shown] for pair, shown in chosen.items()
    }
