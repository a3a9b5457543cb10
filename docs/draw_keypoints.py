"""Draws docs/images/keypoints.png, the 133 COCO-WholeBody points: `python -m docs.draw_keypoints`.

The face is found by MediaPipe on the photograph of the tests (NASA, public domain); body and hand are sketches.
"""

from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from modeling.pose.mediapipe_holistic import BODY, MediaPipeHolistic
from report.overlay import SKELETON

ROOT = Path(__file__).parents[1]
# x (the person's left is on the right) and y of points 0 to 22.
SKETCH = np.array(
    [
        *((0, 9.0), (0.35, 9.4), (-0.35, 9.4), (0.8, 9.2), (-0.8, 9.2)),
        *((1.5, 7.6), (-1.5, 7.6), (2.3, 5.7), (-2.3, 5.7), (2.7, 4.0), (-2.7, 4.0)),
        *((0.9, 4.2), (-0.9, 4.2), (1.1, 2.3), (-1.1, 2.3), (1.2, 0.6), (-1.2, 0.6)),
        *((1.7, -0.1), (2.1, 0.2), (1.0, 0.0), (-1.7, -0.1), (-2.1, 0.2), (-1.0, 0.0)),
    ]
)
BASES = [(-1.6, 1.0), (-0.9, 3.0), (0.0, 3.3), (0.8, 3.1), (1.5, 2.6)]
STEPS = [(-0.6, 0.75), (-0.25, 0.95), (0.0, 1.05), (0.25, 0.95), (0.45, 0.75)]
HAND = np.array(
    [
        (0.0, 0.0),
        *((x + i * dx, y + i * dy) for (x, y), (dx, dy) in zip(BASES, STEPS, strict=True) for i in range(4)),
    ]
)


def draw(
    axes: Axes, points: np.ndarray, parts: list[str], first: int, title: str, missing: tuple[int, ...] = ()
) -> None:
    """Points [n, 2] of indices first, first + 1, ... with their lines and numbers."""
    for part in parts:
        lines, colour = SKELETON[part]
        for a, b in lines:
            if first <= min(a, b) and max(a, b) < first + len(points):
                axes.plot(
                    *points[[a - first, b - first]].T, color=np.array(colour) / 280, linewidth=1.2, zorder=1
                )
    for number, (x, y) in enumerate(points, start=first):
        axes.plot(x, y, "o", markersize=3.5, color="#bbbbbb" if number in missing else "black", zorder=2)
        axes.annotate(str(number), (x, y), (3, 3), textcoords="offset points", fontsize=8, color="#b00020")
    axes.set_title(title, fontsize=11)
    axes.set_aspect("equal")
    axes.axis("off")


def main() -> None:
    photo = cv2.cvtColor(cv2.imread(str(ROOT / "tests/assets/astronaut.jpg")), cv2.COLOR_BGR2RGB)
    (found,) = MediaPipeHolistic().estimate([photo])
    figure, (body, face, hand) = plt.subplots(1, 3, figsize=(15, 7), width_ratios=[1, 1.35, 1])
    draw(
        body,
        SKETCH,
        ["body"],
        0,
        "Body and feet\n(grey: not known to MediaPipe)",
        tuple({*range(23)} - set(BODY)),
    )
    (left, top), (right, bottom) = found[23:91, :2].min(axis=0) - 6, found[23:91, :2].max(axis=0) + 6
    face.imshow(photo, alpha=0.45, interpolation="bilinear")
    draw(face, found[23:91, :2], ["face"], 23, "Face")
    face.set_xlim(left, right)
    face.set_ylim(bottom, top)
    draw(hand, HAND, ["left hand"], 91, "Left hand, palm to the viewer\n(right hand: the same + 21)")
    figure.tight_layout()
    figure.savefig(ROOT / "docs/images/keypoints.png", dpi=90)


if __name__ == "__main__":
    main()
