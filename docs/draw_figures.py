"""Draw the figures of architecture.md: both networks, and who imports whom.

python -m docs.draw_figures
"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

IMAGES = Path(__file__).with_name("images")
RGB, KEYPOINT, BOTH, PLAIN = "#f6d9c4", "#c9def2", "#dcd3ea", "#ececec"

Box = tuple[float, float, float, float]  # left, bottom, width, height


def canvas(width: float, height: float) -> Axes:
    figure, axes = plt.subplots(figsize=(width, height))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    return axes


def box(axes: Axes, place: Box, text: str, colour: str = PLAIN) -> Box:
    left, bottom, width, height = place
    shape = FancyBboxPatch(
        (left, bottom), width, height, boxstyle="round,pad=0,rounding_size=0.06", fc=colour, ec="#555", lw=0.8
    )
    axes.add_patch(shape)
    axes.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=8)
    return place


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], style: str = "-|>") -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": style, "color": "#444", "lw": 0.9})


def right(place: Box) -> tuple[float, float]:
    return place[0] + place[2], place[1] + place[3] / 2


def left(place: Box) -> tuple[float, float]:
    return place[0], place[1] + place[3] / 2


def top(place: Box) -> tuple[float, float]:
    return place[0] + place[2] / 2, place[1] + place[3]


def bottom(place: Box) -> tuple[float, float]:
    return place[0] + place[2] / 2, place[1]


def save(name: str) -> None:
    plt.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
    plt.close()


def draw_nla_slr() -> None:
    """Four encoders of five blocks, what they exchange, and the heads."""
    axes = canvas(9.6, 4.6)
    streams = [
        ("RGB, 64 frames", RGB),
        ("keypoints, 64", KEYPOINT),
        ("RGB, 32", RGB),
        ("keypoints, 32", KEYPOINT),
    ]
    rows = [3.75, 2.75, 1.55, 0.55]
    for (name, colour), y in zip(streams, rows, strict=True):
        previous = box(axes, (0.1, y, 1.3, 0.5), name, colour)
        for block in range(5):
            x = 1.75 + 0.88 * block
            found = box(axes, (x, y, 0.62, 0.5), f"block {block + 1}", colour)
            arrow(axes, right(previous), left(found))
            previous = found
        arrow(axes, right(previous), (6.35, y + 0.25))
    for block in range(4):
        x = 1.75 + 0.88 * block + 0.31
        for upper, lower in ((0, 1), (2, 3)):
            arrow(axes, (x - 0.1, rows[upper]), (x - 0.1, rows[lower] + 0.5), "<|-|>")
        for upper, lower in ((0, 2), (1, 3)):
            axes.annotate(
                "", (x + 0.2, rows[lower] + 0.5), (x + 0.2, rows[upper]),
                arrowprops={
                    "arrowstyle": "<|-|>", "color": "#999", "lw": 0.7, "ls": "--", "connectionstyle": "arc3,rad=0.25",
                },
            )  # fmt: skip
    box(axes, (6.4, 0.55, 1.3, 3.7), "7 heads\n\n4 of one stream\n\njoint of 64,\nof 32,\nof all four", BOTH)
    losses = box(
        axes,
        (8.1, 2.4, 1.4, 1.85),
        "language-aware\nsmoothing\n\nauxiliary classifier,\nmixup of clip and\ngloss embedding",
    )
    words = box(axes, (8.1, 1.35, 1.4, 0.6), "word embeddings\nof the glosses")
    answer = box(axes, (8.1, 0.55, 1.4, 0.5), "mean of the joint\nheads: the gloss")
    arrow(axes, (7.7, 3.3), left(losses))
    arrow(axes, top(words), bottom(losses))
    arrow(axes, (7.7, 0.8), left(answer))
    axes.text(
        1.75,
        0.15,
        "solid: exchange between modalities    dashed: between clip lengths",
        fontsize=8,
        color="#444",
    )
    save("nla_slr")


def draw_two_stream() -> None:
    """Two encoders of four blocks, sign pyramids, heads over time, and the translation."""
    axes = canvas(9.6, 4.2)
    rows = {"RGB": (2.75, RGB), "keypoints": (1.0, KEYPOINT)}
    for name, (y, colour) in rows.items():
        previous = box(axes, (0.1, y, 1.2, 0.5), f"{name},\nT frames", colour)
        for block in range(4):
            found = box(axes, (1.65 + 0.9 * block, y, 0.64, 0.5), f"block {block + 1}", colour)
            arrow(axes, right(previous), left(found))
            previous = found
        pyramid = box(
            axes, (2.55, y + (0.75 if name == "RGB" else -0.7), 2.44, 0.4), "sign pyramid: two heads", colour
        )
        for block in (1, 2, 3):
            x = 1.65 + 0.9 * block + 0.32
            edge = (x, y + 0.5) if name == "RGB" else (x, y)
            arrow(axes, edge, (x, pyramid[1] if name == "RGB" else pyramid[1] + 0.4))
        head = box(axes, (5.4, y, 1.0, 0.5), f"head of\n{name}", colour)
        arrow(axes, right(previous), left(head))
        arrow(axes, right(head), (6.85, 2.12 if name == "RGB" else 2.0))
    for block in range(3):
        x = 1.65 + 0.9 * block + 0.32
        arrow(axes, (x, 2.75), (x, 1.5), "<|-|>")
    joint = box(axes, (5.4, 1.87, 1.0, 0.5), "joint head", BOTH)
    arrow(axes, (4.99, 2.8), (5.4, 2.25))
    arrow(axes, (4.99, 1.45), (5.4, 2.0))
    arrow(axes, right(joint), (6.85, 2.07))
    average = box(axes, (6.85, 1.77, 1.15, 0.65), "mean, CTC\nbeam search", BOTH)
    glosses = box(axes, (8.4, 1.82, 1.1, 0.55), "glosses,\nand when")
    arrow(axes, right(average), left(glosses))
    mapper = box(axes, (6.85, 0.3, 1.15, 0.55), "mapper of a\nhead's features")
    text = box(axes, (8.4, 0.3, 1.1, 0.55), "mBART: the\nsentence")
    arrow(axes, (5.9, 1.0), (6.85, 0.62))
    arrow(axes, right(mapper), left(text))
    axes.text(
        6.0, 3.5, "in training: the mean teaches every head\n(self-distillation)", fontsize=8, color="#444"
    )
    axes.text(0.1, 0.1, "T / 4 steps behind block 4", fontsize=8, color="#444")
    save("two_stream")


def draw_code() -> None:
    """Folders from top to bottom; each imports those below it."""
    axes = canvas(9.6, 4.4)
    layers = [
        (
            "training.py   prediction.py   gen_pose.py   recipe.py   doctor.py   demo.py",
            "programs: parse, build, run",
        ),
        ("tasks", "isolated and continuous recognition, translation, behind one interface"),
        ("inference", "evaluation, one video, long recordings, export, web page"),
        ("report", "pages, charts, TensorBoard"),
        ("configs", "experiments, their schema, from keys to objects"),
    ]
    y = 3.95
    for name, what in layers:
        found = box(axes, (0.2, y, 9.2, 0.42), f"{name}:  {what}" if len(name) < 20 else name)
        arrow(axes, bottom(found), (4.8, y - 0.2))
        y -= 0.62
    box(axes, (0.2, y, 4.5, 0.42), "dataset:  from a file to a batch", RGB)
    box(axes, (4.9, y, 4.5, 0.42), "modeling:  networks, losses; fast: their speed-ups", KEYPOINT)
    for x in (2.45, 7.15):
        arrow(axes, (x, y), (x, y - 0.2))
    box(axes, (0.2, y - 0.62, 9.2, 0.42), "utils:  configuration, processes, checkpoints, progress, metrics")
    save("code")


if __name__ == "__main__":
    plt.rcParams["svg.hashsalt"] = "figures"
    plt.rcParams["svg.fonttype"] = "none"
    for draw in (draw_nla_slr, draw_two_stream, draw_code):
        draw()
