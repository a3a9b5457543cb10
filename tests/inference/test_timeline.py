"""Signs in a continuous recording, from windows with known probabilities."""

import numpy as np
import pytest

from inference.timeline import (
    Segment,
    TimedGloss,
    cues,
    find_segments,
    moving_frames,
    timed,
    webvtt,
    without_rest,
)

GLOSSES = ["cold", "table", "rest", *(f"other{i}" for i in range(21))]
LENGTH, STRIDE = 8, 2


def windows(frames: int, signs: dict[tuple[int, int], str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A recording with signs at known frames: a window names the sign it sees most of, else `rest`, with 0.8."""
    starts = np.arange(0, frames - LENGTH + 1, STRIDE)
    probabilities = np.full((len(starts), len(GLOSSES)), 0.2 / 23)
    moving = np.zeros(frames, bool)
    for (first, last), _ in signs.items():
        moving[first:last] = True
    for row, start in enumerate(starts):
        shown = dict.fromkeys(GLOSSES, 0)
        for (first, last), gloss in signs.items():
            shown[gloss] += max(0, min(last, start + LENGTH) - max(first, start))
        gloss = max(shown, key=lambda name: shown[name])
        probabilities[row, GLOSSES.index(gloss if shown[gloss] > LENGTH / 2 else "rest")] = 0.8
    return starts, probabilities, moving


def test_signs_are_found_in_order_and_pauses_are_not() -> None:
    starts, probabilities, moving = windows(80, {(10, 20): "cold", (34, 44): "table", (60, 70): "cold"})
    found = find_segments(starts, LENGTH, probabilities, moving, GLOSSES, 0.3)
    assert [segment.gloss for segment in found] == ["cold", "table", "cold"]
    for segment, (first, last) in zip(found, [(10, 20), (34, 44), (60, 70)], strict=True):
        assert first <= segment.start < segment.end <= last


def test_without_motion_everything_counts_as_signing() -> None:
    starts, probabilities, _ = windows(40, {(10, 20): "cold"})
    found = find_segments(starts, LENGTH, probabilities, None, GLOSSES, 0.3)
    assert {"cold", "rest"} == {segment.gloss for segment in found}


def test_of_windows_that_overlap_the_likeliest_stays() -> None:
    starts = np.array([0, 4, 8])
    probabilities = np.array([[0.6, 0.4, 0.0], [0.1, 0.9, 0.0], [0.7, 0.3, 0.0]])
    found = find_segments(starts, LENGTH, probabilities, None, GLOSSES, 0.3)
    assert found == [Segment(4, 12, "table", 0.9)]
    found = find_segments(starts[[0, 2]], LENGTH, probabilities[[0, 2]], None, GLOSSES, 0.3)
    assert [segment.start for segment in found] == [0, 8]


def test_unlikely_signs_are_left_out() -> None:
    starts, probabilities = np.array([0, 20]), np.array([[0.5, 0.3, 0.2], [0.34, 0.33, 0.33]])
    found = find_segments(starts, LENGTH, probabilities, None, GLOSSES, 0.4)
    assert [segment.start for segment in found] == [0]
    assert find_segments(starts, LENGTH, probabilities, None, GLOSSES, 0.6) == []


def test_what_is_named_at_rest_is_discounted() -> None:
    probabilities = np.array([[0.0, 0.1, 0.9], [0.35, 0.25, 0.4]])
    corrected = without_rest(probabilities, np.array([0.0, 1.0]))
    assert corrected[1].argmax() == 0
    np.testing.assert_allclose(corrected.sum(axis=1), 1)
    np.testing.assert_array_equal(without_rest(probabilities, np.array([1.0, 1.0])), probabilities)


def person(frames: int) -> np.ndarray:
    """Keypoints of somebody at rest whose shoulders are 40 pixels apart."""
    points = np.zeros((frames, 133, 3), np.float32)
    points[..., 2] = 1
    points[:, 5, 0], points[:, 6, 0] = 60, 20
    return points


def test_a_hand_moves_from_a_speed_in_shoulder_widths() -> None:
    fast, slow = person(25), person(25)
    fast[:, 9, 0] = 1.0 * np.arange(25)  # 25 pixels a second: 0.625 shoulder widths
    slow[:, 9, 0] = 0.6 * np.arange(25)
    assert moving_frames(fast, 25).all() and not moving_frames(slow, 25).any()
    twice_as_large = fast.copy()
    twice_as_large[..., :2] *= 2
    assert moving_frames(twice_as_large, 25).all()
    assert moving_frames(fast, 50).all() and not moving_frames(fast, 12).any()


def test_a_hand_that_is_not_seen_rests() -> None:
    points = person(25)
    points[:, 9, 0] = 5.0 * np.arange(25)
    points[:, 9, 2] = 0
    assert not moving_frames(points, 25).any()
    assert not moving_frames(np.zeros((25, 133, 3), np.float32), 25).any()  # nobody there
    assert not moving_frames(person(1), 25).any()


def test_subtitles() -> None:
    segments = [Segment(0, 30, "rock & roll", 0.87), Segment(90_000, 90_010, "b<c", 0.5)]
    glosses = timed(segments, 25)
    assert glosses == [TimedGloss("rock & roll", 0.0, 1.2, 0.87), TimedGloss("b<c", 3600.0, 3600.4, 0.5)]
    assert webvtt(cues(glosses)) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.200\nrock &amp; roll (87 %)\n\n"
        "01:00:00.000 --> 01:00:00.400\nb&lt;c (50 %)\n"
    )
    assert webvtt([]) == "WEBVTT\n"


@pytest.mark.parametrize("length", [12, 20])
def test_windows_of_one_sign_that_overlap_are_one(length: int) -> None:
    starts = np.array([0, length - 1])
    probabilities = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    (segment,) = find_segments(starts, length, probabilities, None, GLOSSES, 0.3)
    assert segment == Segment(0, 2 * length - 1, "cold", 0.9)
