"""The charts of the report, as PNG files in memory.

Transparent, with lines and text of a middle grey, so that one picture serves a light and a dark page.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

GREY = "#808893"
PALE, STRONG = "#9db8ee", "#3b6fd4"
LINES = ("-", "--", ":", "-.")
STACK = (STRONG, PALE, "#e08a2e")  # of parts that add up
# a colour for each kind of model, in order of appearance
PALETTE = ("#e08a2e", "#2ca58d", "#8a63d2", "#dd4b66", "#3b6fd4", "#8f7a3a", "#c05fb0", "#5f9f3a")
STYLE: dict[str, Any] = {
    "font.size": 11,
    "text.color": GREY,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


@contextmanager
def _chart(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
        try:
            yield figure, axes
        finally:
            plt.close(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=170, transparent=True)
    return buffer.getvalue()


class Bars(NamedTuple):
    """One bar for each model: shares in [0, 1], and the ends of their intervals."""

    label: str
    values: Sequence[float]
    intervals: Sequence[Sequence[float]] | None = None


def accuracy_chart(models: Sequence[str], series: Sequence[Bars], chance: float) -> bytes:
    """Horizontal bars, one of each series a model; the last series is the strongest."""
    height = 0.25 + 0.25 * len(series)
    with _chart(6.4, height * len(models) + 0.9) as (figure, axes):
        places = np.arange(len(models))
        thickness = 0.68 / len(series)
        for number, bars in enumerate(series):
            at = places + thickness * 1.1 * (number - (len(series) - 1) / 2)
            colour = STRONG if number == len(series) - 1 else PALE
            axes.barh(at, bars.values, thickness, color=colour, label=bars.label)
            reach = bars.values
            if bars.intervals is not None:
                low, high = np.array(bars.intervals).T
                axes.hlines(at, low, high, color=PALETTE[0], linewidth=2)
                reach = high.tolist()
            for place, value, end in zip(at, bars.values, reach, strict=True):
                axes.text(end + 0.01, place, f"{100 * value:.1f}", va="center", fontsize=9.5)
        axes.axvline(chance, color=GREY, linestyle=":", label="chance")
        axes.set(xlim=(0, 1.08), yticks=places, yticklabels=models)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside upper right", ncols=3)
        return _png(figure)


class StackedBar(NamedTuple):
    """One bar: the sizes of its parts, and the ends of the interval of their sum; in per cent."""

    label: str
    parts: Sequence[float]
    interval: Sequence[float]


def stacked_chart(bars: Sequence[StackedBar], parts: Sequence[str]) -> bytes:
    """Horizontal bars of the named parts, at whose end the sum and its interval stand."""
    with _chart(6.4, 0.4 * len(bars) + 1.1) as (figure, axes):
        places = np.arange(len(bars))
        values = np.array([bar.parts for bar in bars])
        ends = values.cumsum(axis=1)
        for part, colour in enumerate(STACK[: len(parts)]):
            left = ends[:, part] - values[:, part]
            axes.barh(places, values[:, part], 0.62, left, color=colour, label=parts[part])
        low, high = np.array([bar.interval for bar in bars]).T
        axes.hlines(places, low, high, color=GREY, linewidth=2)
        widest = max(float(high.max()), float(ends.max()), 1.0)
        for place, (total, end) in enumerate(zip(ends[:, -1], high, strict=True)):
            axes.text(max(total, end) + 0.012 * widest, place, f"{total:.1f}", va="center", fontsize=9.5)
        axes.set(xlim=(0, 1.09 * widest), yticks=places, yticklabels=[bar.label for bar in bars])
        axes.xaxis.set_major_formatter(PercentFormatter(100, decimals=0, symbol=" %"))
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside upper right", ncols=len(parts))
        return _png(figure)


def curve_chart(curves: Mapping[str, Mapping[int, float]], label: str, share: bool) -> bytes:
    """One line a model over its epochs, {epoch: value}; shares of at least 0, or values on a logarithmic axis.

    Models whose names agree up to the first comma share a colour and differ in their lines, and so do those that come
    when all colours are taken.
    """
    with _chart(5.6, 4.6) as (figure, axes):
        kinds: dict[str, int] = {}  # how many there were of each
        for name, values in curves.items():
            kind = name.split(",")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
            number = list(kinds).index(kind)
            line = LINES[(kinds[kind] - 1 + number // len(PALETTE)) % len(LINES)]
            points = list(values), list(values.values())
            colour = PALETTE[number % len(PALETTE)]
            axes.plot(*points, line, color=colour, label=name, linewidth=1.8, marker=".", markersize=5)
        axes.set(xlabel="epoch", title=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid()
        if share:
            highest = max(max(values.values()) for values in curves.values())
            axes.set_ylim(-0.02, 1.02 * max(1.0, highest))  # error rates can be above 1
            axes.yaxis.set_major_locator(MaxNLocator(4, steps=[2.5, 5, 10]))
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        else:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(NullLocator())
        figure.legend(loc="outside lower center", ncols=2, fontsize=9.5)
        return _png(figure)
