"""Keypoints drawn over the video they were found in, for a person to judge them."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np

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


def write_overlay(path: Path, frames: Iterable[np.ndarray], keypoints: np.ndarray, rate: float) -> None:
    """An mp4 (H.264) of the frames, uint8 RGB [H, W, 3], with the keypoints [frames, 133, 3] drawn in."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = None
        for frame, points in zip(frames, keypoints, strict=False):
            if stream is None:
                stream = container.add_stream("libx264", rate=round(rate), options={"crf": "20"})
                stream.pix_fmt = "yuv420p"
                # The encoder wants even sides.
                stream.width, stream.height = frame.shape[1] // 2 * 2, frame.shape[0] // 2 * 2
            picture = draw_keypoints(frame, points)[: stream.height, : stream.width]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())
