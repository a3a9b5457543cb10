"""A sentence as a picture: what was signed and when, its frames, what every head sees over time, and what was read.

It is an SVG element, in the colours of the page that it stands in. Lengths are about pixels of a wide screen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from report.charts import PALETTE
from report.page import data_address
from report.pictures import jpeg
from utils.boundaries import Span
from utils.word_errors import align_words

WIDTH, LEFT, RIGHT = 920, 84, 12  # of all; of the names of rows; behind the last frame
LINE, BAR, CURVE, GAP = (
    15,
    7,
    34,
    10,
)  # heights: of text, of the bar of a gloss, of probability 1, between rows
LETTER = 6.6  # about the width of a letter
DRAWN, NAMED = 0.1, 0.3  # probabilities from which a head's gloss is drawn, and named
FAINT = 0.01  # where its curve ends
TICKS = (1, 2, 5, 10, 20, 50, 100)  # frames between two numbers
HEADS = {"rgb": "RGB", "keypoint": "keypoints", "joint": "joint", "ensemble_last": "ensemble"}


@dataclass(frozen=True)
class SentenceView:
    """One sentence as the network reads it; `report.sentence_views` makes it.

    picture: frames in the middle of equal parts of the time, side by side, and their heatmaps below: uint8 RGB
        [h, w, 3].
    frames: how many the network reads.
    probabilities: {head or ensemble: float32 [steps, V]}.
    vocabulary: the V glosses, the blank first.
    """

    picture: np.ndarray
    frames: int
    probabilities: Mapping[str, np.ndarray]
    vocabulary: Sequence[str]


@dataclass(frozen=True)
class SentenceStrip:
    """What is drawn of a sentence.

    signed: the true glosses and when they are signed; empty if that is not known. read: what was read, and when. Both
    count frames as the view does.
    """

    view: SentenceView
    signed: Sequence[Span]
    read: Sequence[Span]

    def svg(self) -> str:
        """The picture as an element of a page."""
        drawing, view = _Drawing(self), self.view
        left_out, not_signed = _mistakes(self.signed, self.read)
        if self.signed:
            drawing.spans("signed", self.signed, left_out, below=False)
        drawing.picture(view.picture)
        top = drawing.height
        for head, probabilities in view.probabilities.items():
            drawing.curves(HEADS.get(head, head), probabilities)
        drawing.spans("read", self.read, not_signed, below=True)
        drawing.axis()
        drawing.bands(self.signed, top, drawing.height - LINE - GAP)
        return drawing.svg()


class _Drawing:
    """Rows from top to bottom; `height` is that of those which are drawn."""

    def __init__(self, strip: SentenceStrip):
        self.view = strip.view
        self.height = 0.0
        self.colours: dict[str, str] = {}
        for gloss, _, _ in [*strip.signed, *strip.read]:
            self.colour(gloss)
        self.signed = {gloss for gloss, _, _ in strip.signed}
        self.behind: list[str] = []
        self.parts: list[str] = []

    def svg(self) -> str:
        glosses = escape(" ".join(self.colours))
        return (
            f'<svg class="strip" viewBox="0 0 {WIDTH} {self.height:.0f}" role="img" aria-label="Sentence: {glosses}">'
            + "".join(self.behind + self.parts)
            + "</svg>"
        )

    def colour(self, gloss: str) -> str:
        """The glosses of a sentence differ in colour, as long as there are some left."""
        return self.colours.setdefault(gloss, PALETTE[len(self.colours) % len(PALETTE)])

    def x(self, frame: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * float(np.clip(frame / self.view.frames, 0, 1))

    def text(self, x: float, y: float, text: str, kind: str) -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>')

    def spans(self, name: str, spans: Sequence[Span], wrong: set[int], below: bool) -> None:
        """Bars with their glosses below or above them; those with the numbers `wrong` are hollow."""
        middles = [(self.x(start) + self.x(end)) / 2 for _, start, end in spans]
        levels = _levels(middles, [gloss for gloss, _, _ in spans])
        height = LINE * (1 + max(levels, default=0))
        bar = self.height if below else self.height + height

        def line(level: int) -> float:
            return bar + BAR + LINE * (level + 0.85) if below else bar - LINE * (level + 0.3)

        for number, (gloss, start, end) in enumerate(spans):
            left, right, colour = self.x(start), self.x(end), self.colour(gloss)
            fill = "none" if number in wrong else colour
            self.parts.append(
                f'<rect x="{left:.1f}" y="{bar:.1f}" width="{max(right - left, 2):.1f}" height="{BAR}" rx="2" '
                f'fill="{fill}" stroke="{colour}"><title>{escape(gloss)}: frames {start} to {end - 1}</title></rect>'
            )
            self.text(middles[number], line(levels[number]), gloss, "bad" if number in wrong else "gloss")
        self.text(0, line(0), name, "name")
        self.height += height + BAR + GAP

    def picture(self, picture: np.ndarray) -> None:
        """The frames over the whole time."""
        width = WIDTH - LEFT - RIGHT
        height = width * picture.shape[0] / picture.shape[1]
        self.parts.append(
            f'<image x="{LEFT}" y="{self.height:.1f}" width="{width}" height="{height:.1f}" '
            f'href="{data_address(jpeg(picture), "jpeg")}"/>'
        )
        self.height += height + GAP / 2

    def curves(self, name: str, probabilities: np.ndarray) -> None:
        """The probability of every gloss by one head; the blank is left out."""
        step, base = self.view.frames / len(probabilities), self.height + LINE + CURVE
        self.height = base + GAP
        self.parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base:.1f}" y2="{base:.1f}"/>')
        peaks = []
        for number, gloss in enumerate(self.view.vocabulary):
            values = np.pad(probabilities[:, number], 1)  # curves begin and end at 0
            for first, last in _stretches(values > FAINT) if number else []:
                highest = first + int(values[first:last].argmax())
                if values[highest] < DRAWN:
                    continue
                points = " ".join(
                    f"{self.x((place - 0.5) * step):.1f},{base - CURVE * value:.1f}"
                    for place, value in enumerate(values[first - 1 : last + 1].tolist(), start=first - 1)
                )
                self.parts.append(f'<polygon points="{points}" fill="{self.colour(gloss)}"/>')
                peaks.append((float(values[highest]), self.x((highest - 0.5) * step), gloss))
        written: list[tuple[float, str]] = []
        for value, x, gloss in sorted(
            peaks, reverse=True
        ):  # of names that would overlap the higher one's stays
            if value >= NAMED and not any(_overlap(x, gloss, *other) for other in written):
                written.append((x, gloss))
                wrong = self.signed and gloss not in self.signed
                self.text(x, base - CURVE * value - 3, gloss, "peak bad" if wrong else "peak")
        self.text(0, base, name, "name")

    def axis(self) -> None:
        """Numbers of frames."""
        every = next((ticks for ticks in TICKS if self.view.frames <= 12 * ticks), TICKS[-1])
        self.height += LINE
        for frame in range(0, self.view.frames + 1, every):
            self.text(self.x(frame), self.height - 4, str(frame), "tick")
        self.text(0, self.height - 4, "frame", "name")

    def bands(self, signed: Sequence[Span], top: float, bottom: float) -> None:
        """When each gloss is signed, behind the rows from `top` to `bottom`."""
        for gloss, start, end in signed:
            left, right = self.x(start), self.x(end)
            self.behind.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" '
                f'fill="{self.colour(gloss)}" class="band"/>'
            )


def _mistakes(signed: Sequence[Span], read: Sequence[Span]) -> tuple[set[int], set[int]]:
    """Which of the signed glosses were not read, and which of those read were not signed, by number."""
    left_out: set[int] = set()
    not_signed: set[int] = set()
    if not signed:
        return left_out, not_signed
    i = j = 0
    for operation, reference, hypothesis in align_words([s[0] for s in signed], [s[0] for s in read]):
        if operation != "correct" and reference is not None:
            left_out.add(i)
        if operation != "correct" and hypothesis is not None:
            not_signed.add(j)
        i, j = i + (reference is not None), j + (hypothesis is not None)
    return left_out, not_signed


def _stretches(mask: np.ndarray) -> list[tuple[int, int]]:
    """Where a mask is true: (first, one behind the last) of each stretch; it is false at both ends."""
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _levels(middles: Sequence[float], texts: Sequence[str]) -> list[int]:
    """The line of each text, centred at x, so that no two overlap: the nearest free one."""
    lines: list[list[tuple[float, str]]] = []
    levels = []
    for x, text in zip(middles, texts, strict=True):
        free = (n for n, line in enumerate(lines) if not any(_overlap(x, text, *other) for other in line))
        level = next(free, len(lines))
        if level == len(lines):
            lines.append([])
        lines[level].append((x, text))
        levels.append(level)
    return levels


def _overlap(x: float, text: str, other_x: float, other: str) -> bool:
    return abs(x - other_x) < LETTER * (len(text) + len(other)) / 2 + LETTER
