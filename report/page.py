"""The pieces of a report page: readable on a phone, in light and in dark, and self-contained. All text is escaped."""

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from utils.files import replacing

STYLE = Path(__file__).with_name("style.css")


def write_page(path: Path, title: str, sections: Sequence[str]) -> None:
    """Write a page that refers to no other file."""
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text()}</style></head><body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")


@dataclass(frozen=True)
class Cell:
    """Text in a table, with a smaller note below it."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """heads, and rows of as many cells; the rows whose numbers are in `emphasised` stand out."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    emphasised: Collection[int] = ()

    def html(self) -> str:
        head = "".join(f"<th>{escape(head)}</th>" for head in self.heads)
        body = "".join(
            ('<tr class="final">' if number in self.emphasised else "<tr>")
            + "".join(f"<td>{self._cell(cell)}</td>" for cell in row)
            + "</tr>"
            for number, row in enumerate(self.rows)
        )
        return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'

    @staticmethod
    def _cell(cell: str | Cell) -> str:
        if isinstance(cell, str):
            return escape(cell)
        return escape(cell.text) + (f"<small>{escape(cell.note)}</small>" if cell.note else "")

    def markdown(self) -> str:
        def plain(cell: str | Cell) -> str:
            text = cell if isinstance(cell, str) else cell.text + f" ({cell.note})" * bool(cell.note)
            return text.replace("|", "\\|").replace("\n", " ")

        lines = [self.heads, ["---"] * len(self.heads), *self.rows]
        return "\n".join("| " + " | ".join(map(plain, line)) + " |" for line in lines)


def figures(items: Sequence[tuple[str, str]]) -> str:
    """Boxes of a large value and what it is."""
    boxes = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for value, label in items
    )
    return f'<div class="figures">{boxes}</div>'


def image(content: bytes, description: str, kind: str = "png") -> str:
    return f'<img alt="{escape(description)}" src="{data_address(content, kind)}">'


def data_address(content: bytes, kind: str) -> str:
    """An address that holds the whole picture file."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%"


def interval(bounds: Sequence[float]) -> str:
    """Of shares, in per cent."""
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}\u00a0min {rest}\u00a0s" if minutes else f"{rest}\u00a0s"
