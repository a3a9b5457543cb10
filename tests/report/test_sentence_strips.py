"""Pictures of sentences: what stands where, and what stands out."""

from xml.etree import ElementTree

import numpy as np
import pytest

from report.sentence_strips import LEFT, RIGHT, WIDTH, SentenceStrip, SentenceView
from utils.boundaries import Span

HOSTILE = "<b>&"
VOCABULARY = ["<s>", "cold", "snow", HOSTILE]
PICTURE = np.zeros((128, 1536, 3), np.uint8)


def drawn(probabilities: np.ndarray, signed: list[Span], read: list[Span]) -> ElementTree.Element:
    view = SentenceView(PICTURE, 40, {"rgb": probabilities}, VOCABULARY)
    return ElementTree.fromstring(SentenceStrip(view, signed, read).svg())


def x(frame: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * frame / 40


def sure_of(gloss: int, step: int) -> np.ndarray:
    """Of 10 steps: the blank, but for one of them."""
    probabilities = np.zeros((10, len(VOCABULARY)), np.float32)
    probabilities[:, 0] = 1
    probabilities[step] = np.eye(len(VOCABULARY))[gloss]
    return probabilities


def test_glosses_stand_over_their_frames_and_wrong_ones_are_hollow() -> None:
    picture = drawn(sure_of(2, 3), [("cold", 4, 8), (HOSTILE, 20, 30)], [("cold", 6, 9), ("snow", 24, 28)])
    bars = [bar for bar in picture.iter("rect") if bar.get("class") is None]
    places = [float(bar.get("x", "")) for bar in bars]
    assert places == pytest.approx([x(4), x(20), x(6), x(24)], abs=0.06)
    assert [bar.get("fill") == "none" for bar in bars] == [False, True, False, True]
    assert bars[0].get("stroke") == bars[2].get("stroke") != bars[1].get("stroke")
    assert [text.text for text in picture.iter("text") if text.get("class") == "bad"] == [HOSTILE, "snow"]


def test_a_curve_peaks_at_its_step_and_the_blank_has_none() -> None:
    picture = drawn(sure_of(2, 3), [], [])
    (curve,) = picture.iter("polygon")
    points = [tuple(map(float, point.split(","))) for point in curve.get("points", "").split()]
    heights = [y for _, y in points]
    assert points[int(np.argmin(heights))][0] == pytest.approx(x(4 * 3.5), abs=0.06)
    assert [text.text for text in picture.iter("text") if text.get("class") == "peak"] == ["snow"]


def test_a_curve_at_the_edge_stays_inside() -> None:
    for step in (0, 9):
        (curve,) = drawn(sure_of(1, step), [], []).iter("polygon")
        places = [float(point.split(",")[0]) for point in curve.get("points", "").split()]
        assert min(places) >= LEFT and max(places) <= WIDTH - RIGHT


def test_names_that_would_overlap_take_lines_of_their_own() -> None:
    picture = drawn(sure_of(1, 0), [], [("cold", 4, 6), ("snow", 6, 7), ("cold", 30, 33)])
    lines = [float(text.get("y", "")) for text in picture.iter("text") if text.get("class") == "gloss"]
    assert lines[0] == lines[2] < lines[1]
