"""The sections of a report about translation: one or several runs on the same sentences.

The last evaluation is what the report is about.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from report import sections
from report.page import Cell, Table
from report.translation_evaluation import Score, TranslationEvaluation
from utils.text_scores import SCORE, Unit
from utils.word_errors import Operation

Evaluations = Mapping[str, TranslationEvaluation]  # by the title of the run or ensemble, in order


def score_table(evaluations: Evaluations) -> Table:
    """All scores; the evaluation with the best BLEU-4 stands out."""
    names = list(next(iter(evaluations.values())).scores)
    rows: list[list[str | Cell]] = [
        [Cell(title, str(found.coverage)), *map(score_cell, found.scores.values())]
        for title, found in evaluations.items()
    ]
    values = [found.scores[SCORE].value for found in evaluations.values()]
    return Table(["Run", *names], rows, {values.index(max(values))})


def score_cell(score: Score) -> Cell:
    """The score with its interval."""
    return Cell(
        f"{score.value:.2f}", "" if score.interval is None else "{:.1f} to {:.1f}".format(*score.interval)
    )


def scores(evaluations: Evaluations) -> str:
    """Scores of every run."""
    unit = next(iter(evaluations.values())).unit
    return (
        "<h2>Scores</h2>"
        + score_table(evaluations).html()
        + f'<p class="note">In per cent, of {unit}; in bold the best {SCORE}. Below, the 95&nbsp;% interval, by '
        "drawing the sentences anew a thousand times (bootstrap). It answers for the choice of sentences, not for the "
        "luck of a training.</p>"
    )


def curves(epochs: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Training loss and validation BLEU-4 by epoch, from the entries of metrics.jsonl by title."""
    return sections.curves(
        epochs,
        SCORE,
        lambda found: found["scores"][SCORE] / 100,
        "The loss adds up over the tokens of a sentence, and from signs it also has CTC, so that levels cannot be "
        "compared between sources. Validation may search with a smaller beam.",
    )


def chosen_sentences(
    evaluation: TranslationEvaluation, wrong: int, right: int
) -> tuple[list[int], list[int]]:
    """The rows of at most so many of the worst sentences, worst first, and of sentences without an error from all
    over the set."""
    errors = evaluation.errors
    worst = sorted(range(len(errors)), key=lambda row: -errors[row])
    perfect = [row for row in range(len(errors)) if not errors[row]]
    return (
        [row for row in worst[:wrong] if errors[row]],
        perfect[:: max(1, len(perfect) // max(1, right))][:right],
    )


def sentences(
    title: str, evaluation: TranslationEvaluation, wrong: Sequence[int], right: Sequence[int]
) -> str:
    """Sentences of some rows: what should have been said beside what was, differences marked."""
    faulty = sum(errors > 0 for errors in evaluation.errors)
    parts = [
        f"<h2>Sentences: {escape(title)}</h2>",
        f"<p>Above what was signed. <del>Struck out</del>: {evaluation.unit} of the reference that were not said; "
        "<ins>underlined</ins>: said instead, or made up.</p>",
    ]
    if wrong:
        parts.append(
            f"<h3>Wrong: {faulty} of {len(evaluation.sentences)} sentences, the worst {len(wrong)}</h3>"
        )
    parts += [sentence(evaluation, row) for row in wrong]
    if right:
        parts.append("<h3>Right: some of the others</h3>")
    return "".join([*parts, *(sentence(evaluation, row) for row in right)])


def sentence(evaluation: TranslationEvaluation, row: int) -> str:
    """One sentence: its glosses, and both texts side by side."""
    said, errors = evaluation.sentences[row], evaluation.errors[row]
    verdict = f'<span class="bad">{errors} wrong</span>' if errors else '<span class="good">✓</span>'
    reference, hypothesis = marked(evaluation.alignments[row], evaluation.unit)
    return (
        f'<div class="clip"><b>{escape(said.name)}</b> {verdict}<p class="note">{escape(said.glosses)}</p>'
        f'<div class="texts"><p><small>Reference</small>{reference}</p><p><small>Said</small>{hypothesis}</p></div>'
        "</div>"
    )


def marked(alignment: Sequence[tuple[Operation, str | None, str | None]], unit: Unit) -> tuple[str, str]:
    """Reference and hypothesis of an alignment, as HTML in which the differences are marked."""
    reference, hypothesis = [], []
    for operation, wanted, said in alignment:
        same = operation == "correct"
        if wanted is not None:
            reference.append(escape(wanted) if same else f"<del>{escape(wanted)}</del>")
        if said is not None:
            hypothesis.append(escape(said) if same else f"<ins>{escape(said)}</ins>")
    space = " " if unit == "words" else ""
    return space.join(reference), space.join(hypothesis)
