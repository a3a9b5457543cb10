"""The sections of a report about isolated recognition: one or several runs on the same clips."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from report import sections
from report.analysis import (
    ConfusedPair,
    EvaluatedRun,
    Evaluation,
    LookAlikes,
    confusion_counts,
    group_accuracies,
)
from report.charts import Bars, accuracy_chart
from report.page import Cell, Table, image, interval, percent
from report.pictures import MATRIX_GLOSSES, confusion_picture, png
from report.sections import Example, strip
from utils.metrics import bootstrap_intervals, noted


def accuracy_table(runs: Sequence[EvaluatedRun]) -> Table:
    """The reported accuracy of each run, and how its top-1 differs from that of the first, clip by clip."""
    rows = []
    first = runs[0].evaluation
    for run in runs:
        found = run.evaluation.accuracy[run.evaluation.reported]
        row: list[str | Cell] = [Cell(run.title, run.evaluation.reported + noted(run.evaluation.coverage))]
        for kind in ("per_instance", "per_class"):
            row += [Cell(percent(found[kind][k]), interval(found["intervals"][kind][k])) for k in ("1", "5")]
        if len(runs) > 1:
            row.append(Cell("") if run is runs[0] else _difference(run.evaluation, first))
        rows.append(row)
    heads = ["Run", "top-1", "top-5", "top-1 per class", "top-5 per class"]
    return Table(heads + [f"top-1 against {runs[0].title}"] * (len(runs) > 1), rows, {len(rows) - 1})


def _difference(evaluation: Evaluation, first: Evaluation) -> Cell:
    change = (evaluation.ranks < 1).astype(int) - (first.ranks < 1)
    ((low, high),) = bootstrap_intervals(change[:, None], first.classes())[0]
    return Cell(f"{100 * change.mean():+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}")


def accuracies(runs: Sequence[EvaluatedRun]) -> str:
    """Accuracy of every run, and of the heads of each."""
    found = [run.evaluation.accuracy[run.evaluation.reported] for run in runs]
    chart = accuracy_chart(
        [run.title for run in runs],
        [
            Bars(
                "top-1 and its 95 % interval",
                [accuracy["per_instance"]["1"] for accuracy in found],
                [accuracy["intervals"]["per_instance"]["1"] for accuracy in found],
            )
        ],
        1 / len(runs[0].evaluation.vocabulary),
    )
    heads = "".join(
        f"<details><summary>Every head of {escape(run.title)}</summary>{_heads(run).html()}</details>"
        for run in runs
        if len(run.evaluation.accuracy) > 1
    )
    return (
        "<h2>Accuracy</h2>"
        + image(chart, "Top-1 accuracy of every run with its 95 % interval")
        + accuracy_table(runs).html()
        + '<p class="note">Below each figure its 95&nbsp;% interval, by drawing the test clips anew a thousand '
        "times (bootstrap). It answers for the choice of clips, not for the luck of a training. The last column "
        "compares clip by clip, which is sharper than comparing two intervals.</p>" * (len(runs) > 1) + heads
    )


def _heads(run: EvaluatedRun) -> Table:
    rows, names = [], list(run.evaluation.accuracy)
    for name in names:
        found = run.evaluation.accuracy[name]
        cells = [percent(found[kind][k]) for kind in ("per_instance", "per_class") for k in ("1", "5", "10")]
        rows.append([name, *cells])
    heads = ["Head", "top-1", "top-5", "top-10", "per class top-1", "top-5", "top-10"]
    return Table(heads, rows, {names.index(run.evaluation.reported)})


def curves(epochs: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Training loss and validation top-1 by epoch, from the entries of metrics.jsonl by title."""
    return sections.curves(
        epochs,
        "top-1",
        lambda found: found["per_instance"]["1"],
        "The losses add up over the heads of a model, and the language parts learn from soft labels and mixed clips, "
        "so that their levels cannot be compared between models.",
    )


def look_alike_table(runs: Sequence[EvaluatedRun], look_alikes: LookAlikes) -> Table:
    """Top-1 of every run on look-alike signs, by how alike their meanings are, on the others, and on all."""
    rows, heads = [], ["Run"]
    for run in runs:
        groups = group_accuracies(run.evaluation, look_alikes)
        row: list[str | Cell] = [run.title]
        for group in groups.values():
            empty = group.top_1 is None or group.interval is None
            row.append("-" if empty else Cell(percent(group.top_1 or 0), interval(group.interval or (0, 0))))
        rows.append(row)
        heads = ["Run", *(f"{name} ({group.clips} clips)" for name, group in groups.items())]
    return Table(heads, rows, {len(rows) - 1})


def look_alike_signs(runs: Sequence[EvaluatedRun], look_alikes: LookAlikes) -> str:
    """What became of signs that look alike."""
    definition = look_alikes.definition
    pairs = ", ".join(f"{gloss} ({group})" for gloss, group in sorted(look_alikes.groups.items()))
    meaning = (
        f"Two glosses are of similar meaning from a cosine similarity of {definition.min_similarity:g} on."
        if len(look_alikes.names) == 4
        else "Without word embeddings their meanings cannot be compared."
    )
    return (
        "<h2>Look-alike signs</h2>"
        f"<p>Found in the confusions of <code>{escape(str(look_alikes.baseline))}</code>: pairs of which it took at "
        f"least {definition.min_clips} clips, and {100 * definition.min_share:g}&nbsp;% of all, for the other one. "
        f"{meaning}</p>"
        + look_alike_table(runs, look_alikes).html()
        + '<p class="note">Top-1 with 95&nbsp;% intervals. A baseline does worse on what it confuses by definition, '
        "and any other run better by chance alone, unless the pairs are found on another split.</p>"
        + (
            f"<details><summary>{len(look_alikes.groups)} look-alike glosses</summary><p>{escape(pairs)}</p></details>"
        )
    )


def confusion_table(runs: Sequence[EvaluatedRun], pairs: Sequence[ConfusedPair]) -> Table:
    """How many clips of each pair every run takes for the other."""
    rows = []
    for pair in pairs:
        both = {pair.first, pair.second}
        counts = []
        for run in runs:
            outcomes = zip(run.evaluation.labels, run.evaluation.predicted, strict=True)
            counts.append(f"{sum(true != said and {true, said} == both for true, said in outcomes)}")
        similarity = "-" if pair.similarity is None else f"{pair.similarity:.2f}"
        rows.append([f"{pair.first} / {pair.second}", similarity, f"{pair.clips}", *counts])
    return Table(["Pair", "similarity", "clips", *(run.title for run in runs)], rows)


def confused(
    runs: Sequence[EvaluatedRun],
    pairs: Sequence[ConfusedPair],
    examples: Mapping[tuple[str, str], list[Example]],
) -> str:
    """The most confused pairs of the last run, with clips of some of them."""
    if not pairs:
        return f"<h2>Confused pairs</h2><p>{escape(runs[-1].title)} took no clip for another sign.</p>"
    strips = "".join(
        f'<div class="clip"><b>{escape(first)} / {escape(second)}</b>'
        + "".join(f"<p>{escape(example.caption)}</p>{strip(example)}" for example in clips)
        + "</div>"
        for (first, second), clips in examples.items()
    )
    return (
        "<h2>Confused pairs</h2>"
        f"<p>Clips of two signs that were taken for the other one; the most confused pairs of "
        f"{escape(runs[-1].title)}.</p>" + confusion_table(runs, pairs).html() + strips
    )


def confusion_matrix(title: str, outcomes: Sequence[tuple[str, str]], glosses: Sequence[str]) -> str:
    """Of a model called `title`, from the (true, predicted) gloss of every clip; `glosses` in the order of the chart.

    Of many glosses those stay that were confused most often.
    """
    matrix, shown = confusion_counts(outcomes, glosses, MATRIX_GLOSSES)
    if not shown:
        return ""
    right = sum(true == predicted for true, predicted in outcomes)
    note = ""
    if len(shown) < len(glosses):
        note = f" Shown are the {len(shown)} of {len(glosses)} glosses that were confused most often."
    chart = image(png(confusion_picture(matrix, shown)), f"Confusion matrix of {title}")
    return (
        "<h2>Confusion matrix</h2>"
        f"<p>{escape(title)}: {right} of {len(outcomes)} clips lie on the diagonal.{note}</p>"
        f'<div class="scroll">{chart}</div>'
    )
