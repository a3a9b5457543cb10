"""The sections that a report of any task has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from report.charts import curve_chart
from report.page import Table, image
from report.pictures import filmstrip, jpeg
from report.runs import RunRecord, differences


@dataclass(frozen=True)
class Content:
    """What a task says of some runs; the last of them is what the report is about.

    lead: the result in a sentence, HTML. sections: HTML. markdown: tables with their headings. summary: for a terminal.
    """

    runs: Sequence[RunRecord]
    lead: str
    sections: Sequence[str]
    markdown: Sequence[str]
    summary: str


def curves(
    epochs: Mapping[str, Sequence[dict[str, Any]]],
    score: str,
    of: Callable[[dict[str, Any]], float],
    note: str,
) -> str:
    """Training loss and validation score by epoch, from the entries of metrics.jsonl by title.

    Args:
        epochs: {title: entries}.
        score: what the score is called.
        of: gives the score of a validation, as a share.
        note: on what the curves cannot say.
    """
    loss = {
        title: {number: entry["losses"]["total"] for number, entry in enumerate(entries, start=1)}
        for title, entries in epochs.items()
    }
    scores = {
        title: {
            number: of(entry["validation"])
            for number, entry in enumerate(entries, start=1)
            if "validation" in entry
        }
        for title, entries in epochs.items()
    }
    pictures = ""
    for label, found, share in (("training loss", loss, False), (f"validation {score}", scores, True)):
        if shown := {title: values for title, values in found.items() if values}:
            pictures += image(curve_chart(shown, label, share), f"{label} by epoch")
    if not pictures:
        return ""
    return f'<h2>Learning curves</h2><div class="columns">{pictures}</div><p class="note">{escape(note)}</p>'


@dataclass(frozen=True)
class Example:
    """A clip as the network reads it (see `report.network_view.NetworkView`), and what is to be said of it."""

    caption: str
    frames: np.ndarray | None
    heatmaps: np.ndarray | None


def strip(example: Example) -> str:
    """Its frames from left to right, below them the keypoint heatmaps."""
    picture = jpeg(filmstrip(example.frames, example.heatmaps))
    return f'<div class="scroll">{image(picture, f"Frames and heatmaps: {example.caption}", "jpeg")}</div>'


def difference_table(runs: Sequence[RunRecord]) -> Table:
    """What the configurations differ in."""
    rows = [[key, *values] for key, values in differences(runs).items()]
    return Table(["Key", *(run.title for run in runs)], rows)


def configurations(runs: Sequence[RunRecord]) -> str:
    """What the configurations differ in, as a section."""
    if len(runs) == 1:
        return ""
    table = difference_table(runs)
    body = table.html().replace('class="scroll"', 'class="scroll keys"') if table.rows else "<p>Nothing.</p>"
    return f"<h2>What the configurations differ in</h2>{body}"
