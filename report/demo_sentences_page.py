"""The report of a demo of whole sentences.

It is given plain values and arrays and knows nothing of how they came about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from report import continuous_sections, translation_sections
from report.page import Cell, Table, duration, figures, interval, percent, write_page
from report.sentence_evaluation import SentenceEvaluation
from report.sentence_strips import SentenceStrip
from report.translation_evaluation import TranslationEvaluation
from utils.boundaries import Span
from utils.text_scores import SCORE

WRONG_TEXTS, RIGHT_TEXTS = 6, 3  # that are shown


@dataclass(frozen=True)
class Report:
    """What the page shows.

    summary: the content of summary.json. titles: {stage: name for people}, in order.
    curves: {stage: epoch entries of its metrics.jsonl}.
    evaluations: {stage: what it read in the test split} of the stages that learn sentences; the last is the final one.
    signed: {sentence: its true glosses and their times}.
    wrong, right: rows of the final stage's sentences to show; strips: pictures of sentences by name.
    translations: {title: what was said of the test split}; the last is that of several heads together.
    """

    summary: dict[str, Any]
    titles: dict[str, str]
    curves: dict[str, list[dict[str, Any]]]
    evaluations: dict[str, SentenceEvaluation]
    signed: Mapping[str, list[Span]]
    wrong: Sequence[int]
    right: Sequence[int]
    strips: Mapping[str, SentenceStrip]
    translations: Mapping[str, TranslationEvaluation]


def write_report(path: Path, report: Report) -> None:
    """Write the page, which refers to no other file."""
    titles = report.titles
    evaluations = {titles[stage]: found for stage, found in report.evaluations.items()}
    final = dict([list(evaluations.items())[-1]])
    parts = [
        _opening(report),
        _stages(report),
        continuous_sections.curves({titles[stage]: epochs for stage, epochs in report.curves.items()}),
        continuous_sections.mistakes(final),
        continuous_sections.boundaries(evaluations, report.signed),
        continuous_sections.sentences(final, report.wrong, report.right, report.strips),
        _translation(report),
        _closing(report),
    ]
    write_page(path, "Two-Stream demo", parts)


def _opening(report: Report) -> str:
    s = report.summary
    final = list(report.evaluations.values())[-1]
    rate, perfect = final.result.total.rate, sum(not errors.errors for errors in final.errors)
    sentences, signers = s["sentences"], s["signers"]
    shown = [
        (percent(rate / 100), "word error rate, unseen signers"),
        (interval([bound / 100 for bound in final.result.interval]), "its 95 % interval"),
        (f"{perfect} of {len(final.sentences)}", "sentences without an error"),
        (
            f"{list(report.translations.values())[-1].scores[SCORE].value:.1f}",
            f"{SCORE} of what it says in words",
        ),
        (
            duration(s["total_seconds"]),
            f"from nothing, on {s['threads']} CPU thread{'s' * (s['threads'] > 1)}",
        ),
    ]
    return (
        "<h1>Whole sentences, learned from nothing</h1>"
        f'<p class="lead">In {duration(s["total_seconds"])} the Two-Stream network was trained on '
        f"{sentences['train']} rendered sentences of {s['glosses']} signs by {signers['train']} synthetic signers. It "
        f"reads {sentences['test']} sentences of {signers['test']} other signers, whom it has never seen, with a word "
        f"error rate of <b>{percent(rate / 100)}</b>, and says in words what they mean.</p>"
        + figures(shown)
        + '<p class="note">Of a hundred signs so many are read as another one, left out or made up. The signs are '
        "invented for this demonstration, and so is the grammar. The figures show that the method runs and learns, not "
        "how well it would do on real recordings.</p>"
    )


def _stages(report: Report) -> str:
    chart = {
        report.titles[stage] if len(found.heads) == 1 else f"{report.titles[stage]}: {head}": errors
        for stage, found in report.evaluations.items()
        for head, errors in found.heads.items()
    }
    rows: list[list[str | Cell]] = []
    reported = set()
    for stage, found in report.evaluations.items():
        measured = report.summary["stages"][stage]
        for number, (head, errors) in enumerate(found.heads.items()):
            if head == found.reported:
                reported.add(len(rows))
            first = number == 0
            rows.append(
                [
                    report.titles[stage] if first else "",
                    head,
                    *continuous_sections.error_cells(errors),
                    f"{measured['training_seconds']:.0f} s" if first else "",
                ]
            )
    heads = ["Stage", "head", "WER", *continuous_sections.PARTS, "training"]
    return (
        "<h2>Word error rate of every stage and head</h2>"
        "<p>Single streams learn first; the two-stream network starts from both. Its ensembles are the means of what "
        "several heads say; the heads named after blocks read the sign pyramids.</p>"
        + continuous_sections.error_chart(chart)
        + Table(heads, rows, reported).html()
        + '<p class="note">In per cent of the glosses signed in the test sentences, with 95&nbsp;% intervals; in bold '
        "what a stage is judged by. Training time includes loading and validation.</p>"
    )


def _translation(report: Report) -> str:
    chance = report.summary["translation"]["chance"]
    title, last = list(report.translations.items())[-1]
    return (
        "<h2>From signs to text</h2>"
        "<p>A small text model learns first what glosses mean, then to go on from what a head of the network reads. "
        "The three together search for one text.</p>"
        + translation_sections.score_table(report.translations).html()
        + f'<p class="note">In per cent, with 95&nbsp;% intervals. Saying “{escape(chance["text"])}”, the '
        f"most frequent text, of every sentence has a {SCORE} of {chance['scores'][SCORE]:.2f}.</p>"
        + translation_sections.sentences(
            title, last, *translation_sections.chosen_sentences(last, WRONG_TEXTS, RIGHT_TEXTS)
        )
    )


def _closing(report: Report) -> str:
    s = report.summary
    translated = s["translated"]
    signed, found = translated["signed"], translated["found"]
    rows = [
        [x["gloss"], f"{x['start']:.2f} s", f"{x['end']:.2f} s", percent(x["probability"])]
        for x in found["glosses"]
    ]
    versions = ", ".join(f"{name} {version}" for name, version in s["versions"].items())
    return (
        "<h2>Translate a video yourself</h2>"
        f"<p><code>{escape(translated['command'])}</code></p>"
        f"<p>The video shows <b>{escape(signed['glosses'])}</b>, which means <i>{escape(signed['text'])}</i>. It "
        f"was translated in {translated['seconds']:.1f} s, including the loading of the models, to "
        f"<i>{escape(found['text'])}</i>, and its glosses were read as</p>"
        + Table(["Gloss", "from", "to", "probability"], rows).html()
        + f'<p class="note">Seed {s["seed"]}. Rendering took {duration(s["rendering_seconds"])}. '
        f"{escape(versions)}.</p>"
    )
