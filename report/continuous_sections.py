"""The sections of a report about continuous recognition: one or several runs on the same sentences.

The last run is what the report is about.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from report import sections
from report.charts import StackedBar, stacked_chart
from report.page import Cell, Table, image, interval, percent
from report.sentence_evaluation import HeadErrors, SentenceEvaluation, distances, rate_difference
from report.sentence_strips import SentenceStrip
from utils.boundaries import Span
from utils.metrics import noted
from utils.word_errors import Operation

Evaluations = Mapping[str, SentenceEvaluation]  # by the title of the run, in order

PARTS = ("substituted", "left out", "made up")
MISTAKES = 12  # of a kind in a table


def error_table(evaluations: Evaluations) -> Table:
    """The reported word error rate of each run, and how it differs from that of the first, sentence by sentence."""
    first = next(iter(evaluations.values()))
    rows = []
    for title, evaluation in evaluations.items():
        row = [Cell(title, evaluation.reported + noted(evaluation.coverage)), *error_cells(evaluation.result)]
        if len(evaluations) > 1:
            row.append(Cell("") if evaluation is first else _difference(evaluation, first))
        rows.append(row)
    heads = ["Run", "WER", *PARTS] + [f"WER against {next(iter(evaluations))}"] * (len(evaluations) > 1)
    return Table(heads, rows, {len(rows) - 1})


def error_cells(errors: HeadErrors) -> list[Cell]:
    """The rate with its interval, and its parts."""
    bounds = interval([bound / 100 for bound in errors.interval])
    return [Cell(percent(errors.total.rate / 100), bounds), *(Cell(percent(x / 100)) for x in errors.parts)]


def _difference(evaluation: SentenceEvaluation, first: SentenceEvaluation) -> Cell:
    change, (low, high) = rate_difference(evaluation, first)
    return Cell(f"{change:+.1f}", f"{low:+.1f} to {high:+.1f}")


def error_chart(errors: Mapping[str, HeadErrors]) -> str:
    """Word error rates by name and what they are made of."""
    bars = [StackedBar(name, found.parts, found.interval) for name, found in errors.items()]
    return image(stacked_chart(bars, PARTS), "Word error rates with their 95 % intervals")


def heads_table(evaluation: SentenceEvaluation) -> Table:
    """Every head and ensemble of a run."""
    rows = [[Cell(name), *error_cells(errors)] for name, errors in evaluation.heads.items()]
    return Table(["Head", "WER", *PARTS], rows, {list(evaluation.heads).index(evaluation.reported)})


def error_rates(evaluations: Evaluations) -> str:
    """Word error rate of every run, and of the heads of each."""
    heads = "".join(
        f"<details><summary>Every head of {escape(title)}</summary>{heads_table(evaluation).html()}</details>"
        for title, evaluation in evaluations.items()
        if len(evaluation.heads) > 1
    )
    return (
        "<h2>Word error rate</h2>"
        + error_chart({title: evaluation.result for title, evaluation in evaluations.items()})
        + error_table(evaluations).html()
        + '<p class="note">Errors in per cent of the glosses signed, and below it the 95&nbsp;% interval, by drawing '
        "the sentences anew a thousand times (bootstrap). It answers for the choice of sentences, not for the luck of "
        "a training."
        + " The last column compares sentence by sentence, which is sharper than comparing two intervals."
        * (len(evaluations) > 1)
        + "</p>"
        + heads
    )


def curves(epochs: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Training loss and validation WER by epoch, from the entries of metrics.jsonl by title."""
    return sections.curves(
        epochs,
        "word error rate",
        lambda found: found["word_error_rate"][found["reported"]] / 100,
        "The losses add up over the heads of a model, so that their levels cannot be compared between models of "
        "different heads. Validation decodes with a beam of 1.",
    )


def mistake_tables(evaluations: Evaluations) -> dict[str, Table]:
    """By heading: the most frequent mistakes of the last run, and how often each run makes them."""
    last = list(evaluations.values())[-1]
    occurrences = Counter(gloss for sentence in last.sentences for gloss in sentence.reference)
    runs = list(evaluations) if len(evaluations) > 1 else ["times"]
    kinds: dict[str, tuple[Operation, list[str]]] = {
        "Read as another": ("substitution", ["Signed → read", "signed"]),
        "Left out": ("deletion", ["Signed", "signed"]),
        "Made up": ("insertion", ["Read"]),
    }
    tables = {}
    for heading, (operation, heads) in kinds.items():
        counts = [evaluation.mistakes(operation) for evaluation in evaluations.values()]
        rows = []
        for signed, read in sorted(counts[-1], key=lambda pair: (-counts[-1][pair], str(pair)))[:MISTAKES]:
            glosses = " → ".join(gloss for gloss in (signed, read) if gloss is not None)
            occurs = [] if signed is None else [f"{occurrences[signed]}"]
            rows.append([glosses, *occurs, *(f"{of_run[signed, read]}" for of_run in counts)])
        if rows:
            tables[heading] = Table([*heads, *runs], rows)
    return tables


def mistakes(evaluations: Evaluations) -> str:
    """What is substituted for what, left out and made up."""
    title = list(evaluations)[-1]
    tables = mistake_tables(evaluations)
    if not tables:
        return f"<h2>Mistakes</h2><p>{escape(title)} made none.</p>"
    shown = "".join(f"<div><h3>{heading}</h3>{table.html()}</div>" for heading, table in tables.items())
    return (
        "<h2>Mistakes</h2>"
        f"<p>{escape(title)}: the most frequent ones, and how often the gloss is signed in all.</p>"
        f'<div class="tables">{shown}</div>'
    )


def boundaries(evaluations: Evaluations, signed: Mapping[str, list[Span]]) -> str:
    """How far, in frames, the times of glosses are from the true ones; nothing where these are not known."""
    found = {title: distances(evaluation, signed) for title, evaluation in evaluations.items()}
    rows = [
        [title, f"{(x.starts + x.ends) / 2:.1f}", f"{x.starts:.1f}", f"{x.ends:.1f}", f"{x.glosses}"]
        for title, x in found.items()
        if x is not None
    ]
    if not rows:
        return ""
    table = Table(["Run", "boundaries", "starts", "ends", "glosses read right"], rows, {len(rows) - 1})
    return (
        "<h2>Times</h2>"
        "<p>Mean distance, in frames, between where a gloss that was read right was found to begin and end and "
        "where it does. The network makes one step of four frames.</p>" + table.html()
    )


def chosen_sentences(evaluation: SentenceEvaluation, wrong: int, right: int) -> tuple[list[int], list[int]]:
    """The rows of at most so many of the worst sentences, worst first, and of sentences without an error from all
    over the set."""
    errors = evaluation.errors
    worst = sorted(range(len(errors)), key=lambda row: (-errors[row].errors, -errors[row].rate))
    perfect = [row for row in range(len(errors)) if not errors[row].errors]
    return (
        [row for row in worst[:wrong] if errors[row].errors],
        perfect[:: max(1, len(perfect) // max(1, right))][:right],
    )


def sentences(
    evaluations: Evaluations,
    wrong: Sequence[int],
    right: Sequence[int],
    strips: Mapping[str, SentenceStrip],
) -> str:
    """Sentences of some rows, what was signed over what the last run read; by name pictures of some of them."""
    last = list(evaluations.values())[-1]
    faulty = sum(errors.errors > 0 for errors in last.errors)
    parts = ["<h2>Sentences</h2>"]
    if strips:
        parts.append(f"<p>{STRIP_LEGEND}</p>")
    if wrong:
        parts.append(f"<h3>Wrong: {faulty} of {len(last.sentences)} sentences, the worst {len(wrong)}</h3>")
    parts += [sentence(evaluations, row, strips) for row in wrong]
    if right:
        parts.append("<h3>Right: some of the others</h3>")
    return "".join([*parts, *(sentence(evaluations, row, strips) for row in right)])


STRIP_LEGEND = (
    "Pictures: frames along the time, the glosses read below, and above them, where that is known, the glosses signed. "
    "Curves, if there are any, are the probability of each gloss by a head; the blank of CTC is left out. Hollow bars "
    "and red names are wrong."
)


def sentence(evaluations: Evaluations, row: int, strips: Mapping[str, SentenceStrip]) -> str:
    """One sentence: its errors, both gloss sequences, and its picture if there is one."""
    *others, (_, last) = evaluations.items()
    shown, errors = last.sentences[row], last.errors[row]
    if errors.errors:
        verdict = (
            f'<span class="bad">{_count(errors.errors, "error")} in {_count(errors.words, "gloss")}</span>'
        )
        body = _aligned(last, row)
    else:
        verdict = '<span class="good">✓</span>'
        body = f"<p>{escape(' '.join(shown.reference))}</p>"
    if shown.name in strips:
        body += f'<div class="scroll">{strips[shown.name].svg()}</div>'
    counts = ", ".join(f"{title}: {other.errors[row].errors}" for title, other in others)
    note = f'<span class="note">{escape(counts)}</span>'
    return f'<div class="clip"><b>{escape(shown.name)}</b> {verdict} {note}{body}</div>'


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("es" if noun.endswith("s") else "s") * (number != 1)


def _aligned(evaluation: SentenceEvaluation, row: int) -> str:
    """What was signed over what was read, gloss by gloss; differences stand out."""
    lines = {"signed": "", "read": ""}
    for operation, *glosses in evaluation.alignments[row]:
        kind = "" if operation == "correct" else ' class="bad"'
        for line, gloss in zip(lines, glosses, strict=True):
            lines[line] += f"<td{kind}>{escape(gloss or '-')}</td>"
    body = "".join(f"<tr><th>{name}</th>{cells}</tr>" for name, cells in lines.items())
    return f'<div class="scroll"><table class="aligned">{body}</table></div>'
