"""Keypoints drawn over the video they were found in, and what was recognised below it, for a person to judge."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from report.fonts import covering_font
from utils.errors import UserError

Line = tuple[int, int]

_BODY: list[Line] = [
    *((0, 1), (0, 2), (1, 3), (2, 4)),  # nose, eyes, ears
    *((5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),  # shoulders and arms
    *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),  # trunk and legs
    *((15, 17), (15, 18), (15, 19), (16, 20), (16, 21), (16, 22)),  # feet
]
_FACE: list[Line] = [
    (23 + first, 23 + second)
    for start, end, closed in (
        *((0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False)),
        *((36, 42, True), (42, 48, True), (48, 60, True), (60, 68, True)),
    )
    for first, second in [*pairwise(range(start, end)), *([(end - 1, start)] if closed else [])]
]
_FINGERS = [[0, 1 + 4 * finger, 2 + 4 * finger, 3 + 4 * finger, 4 + 4 * finger] for finger in range(5)]
_HAND: list[Line] = [line for finger in _FINGERS for line in pairwise(finger)]

# What is drawn, and in which colour (RGB).
SKELETON: dict[str, tuple[list[Line], tuple[int, int, int]]] = {
    "body": (_BODY, (255, 170, 0)),
    "face": (_FACE, (230, 230, 230)),
    "left hand": ([(91 + a, 91 + b) for a, b in _HAND], (0, 220, 90)),
    "right hand": ([(112 + a, 112 + b) for a, b in _HAND], (60, 140, 255)),
}
DRAWN_FROM = 0.3  # confidence of both ends of a line
_PRECISION = 4  # binary places of the coordinates
READABLE = 400  # pixels; a narrower video is enlarged before glosses are written below it


def draw_keypoints(frame: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """A copy of a frame, uint8 RGB [H, W, 3], with the skeleton of keypoints [133, 3] in its pixels."""
    drawn = frame.copy()
    thickness = max(1, round(min(frame.shape[:2]) / 240))
    places = np.round(keypoints[:, :2] * 2**_PRECISION).astype(int)
    seen = keypoints[:, 2] >= DRAWN_FROM
    for lines, colour in SKELETON.values():
        for first, second in lines:
            if seen[first] and seen[second]:
                ends = tuple(places[first].tolist()), tuple(places[second].tolist())
                cv2.line(drawn, *ends, colour, thickness, cv2.LINE_AA, _PRECISION)
    return drawn


class Caption(NamedTuple):
    """Glosses with their probabilities, best first, to be read in the frames from `start` to `end` (exclusive)."""

    start: int
    end: int
    guesses: Sequence[tuple[str, float]]


class _Strip:
    """The captions of a video below a picture of `width` pixels, a row for each gloss."""

    def __init__(self, width: int, captions: Sequence[Caption]):
        self.width, self.captions = width, captions
        self.rows = max((len(caption.guesses) for caption in captions), default=1)
        self.row_height = max(20, width // 20)
        font = covering_font(gloss for caption in captions for gloss, _ in caption.guesses)
        self._font = ImageFont.truetype(font, round(0.6 * self.row_height))

    @property
    def height(self) -> int:
        return self.rows * self.row_height + self.row_height // 2

    def draw(self, frame: int) -> np.ndarray:
        """uint8 RGB [height, width, 3]."""
        guesses = next((c.guesses for c in self.captions if c.start <= frame < c.end), [])
        strip = Image.new("RGB", (self.width, self.height), (24, 26, 31))
        canvas = ImageDraw.Draw(strip)
        pad, bar_left = self.row_height // 2, self.width // 2
        bar_width = self.width - bar_left - 4 * pad
        for row, (gloss, probability) in enumerate(guesses):
            middle = pad // 2 + row * self.row_height + self.row_height // 2
            colour = (255, 255, 255) if row == 0 else (160, 168, 180)
            canvas.text((pad, middle), self._fitted(gloss, bar_left - 2 * pad), colour, self._font, "lm")
            thickness = self.row_height // 5
            canvas.rectangle(
                (bar_left, middle - thickness, bar_left + probability * bar_width, middle + thickness),
                (90, 150, 255) if row == 0 else (70, 84, 112),
            )
            canvas.text((self.width - pad, middle), f"{100 * probability:.0f} %", colour, self._font, "rm")
        return np.asarray(strip)

    def _fitted(self, text: str, width: int) -> str:
        if self._font.getlength(text) <= width:
            return text
        while text and self._font.getlength(text + "…") > width:
            text = text[:-1]
        return text + "…"


def check_overlay(path: Path, video: Path) -> None:
    """Raise a `UserError` if an overlay cannot be written to `path`, or would replace the video."""
    if path.suffix != ".mp4" or path.resolve() == video.resolve():
        raise UserError(f"{path}: the overlay must be another file than the video and end in .mp4")


def write_overlay(
    path: Path,
    frames: Iterable[np.ndarray],
    keypoints: np.ndarray | None,
    rate: float,
    captions: Sequence[Caption] | None = None,
) -> None:
    """An mp4 (H.264) of a video with its keypoints and, below it, what was recognised.

    Args:
        frames: uint8 RGB [H, W, 3].
        keypoints: [frames, 133, 3] in pixels of the frames; None: not drawn.
        rate: frames per second.
        captions: what to write below; None leaves no room for it. Small videos are enlarged so that it can be read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        stream, strip, scale = None, None, 1
        for number, frame in enumerate(frames):
            if stream is None:
                if captions is not None:
                    scale = max(1, math.ceil(READABLE / frame.shape[1]))
                    strip = _Strip(scale * frame.shape[1], captions)
                height = scale * frame.shape[0] + (strip.height if strip else 0)
                stream = container.add_stream(
                    "libx264", rate=Fraction(rate).limit_denominator(1001), options={"crf": "20"}
                )
                stream.pix_fmt = "yuv420p"
                # The encoder wants even sides.
                stream.width, stream.height = scale * frame.shape[1] // 2 * 2, height // 2 * 2
            picture: np.ndarray = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            if keypoints is not None and number < len(keypoints):
                picture = draw_keypoints(picture, keypoints[number] * [scale, scale, 1])
            if strip is not None:
                picture = np.concatenate([picture, strip.draw(number)])
            picture = np.ascontiguousarray(picture[: stream.height, : stream.width], np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())
