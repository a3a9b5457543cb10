"""The signs of a recording, one after the other: of a sentence that was read, or of what a sliding window sees.

For the latter the network was trained on single signs and names one in every window, also where somebody rests or goes
from one sign to the next. Two things tell such windows apart: hands that are still, and a gloss that the network names
whenever they are. What remains is thinned by non-maximum suppression: of windows that overlap, the likeliest stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import numpy as np
from torch import Tensor

from dataset.sentence_clips import STRIDE
from modeling.continuous.alignment import best_path_alignment, sign_spans

MOVING = 0.5  # speed of a wrist, in shoulder widths per second, from which a hand counts as moving
SPEED_OVER = 0.12  # seconds before and after a frame, over which its speed is taken
SEEN = 0.3  # confidence of a keypoint
MAX_OVERLAP = 0.1  # of two windows, as a share of their length

SHOULDERS, WRISTS = (5, 6), (9, 10)  # COCO-WholeBody


@dataclass(frozen=True)
class Segment:
    """A sign in a recording; `start` and `end` in frames, the end exclusive. See `find_segments` for the rest."""

    start: int
    end: int
    gloss: str
    probability: float


def segments(logits: Tensor, glosses: list[int], vocabulary: Sequence[str], first: int) -> list[Segment]:
    """Where in a sentence the glosses that were found in it are signed.

    Args:
        logits: float [T, V], of the steps of the sentence.
        glosses: classes, in order.
        vocabulary: what they mean.
        first: frame that the first step begins with.
    """
    spans = sign_spans(best_path_alignment(logits, glosses), len(logits))
    return [
        Segment(first + STRIDE * start, first + STRIDE * end, vocabulary[gloss], probability)
        for gloss, start, end, probability in spans
    ]


class TimedGloss(NamedTuple):
    """A gloss that is signed from `start` to `end`, in seconds, and its probability in [0, 1]."""

    gloss: str
    start: float
    end: float
    probability: float


def timed(segments: Sequence[Segment], rate: float) -> list[TimedGloss]:
    """The segments of a video with `rate` frames per second, in seconds, rounded to milliseconds."""
    return [
        TimedGloss(
            segment.gloss,
            round(segment.start / rate, 3),
            round(segment.end / rate, 3),
            segment.probability,
        )
        for segment in segments
    ]


def moving_frames(keypoints: np.ndarray, rate: float) -> np.ndarray:
    """Whether either hand moves: bool [frames], from keypoints [frames, 133, 3] at `rate` frames per second.

    A hand that is not seen counts as still: out of the picture it rests.
    """
    reach = max(1, round(SPEED_OVER * rate))
    frames = np.arange(len(keypoints))
    before, after = np.maximum(frames - reach, 0), np.minimum(frames + reach, len(keypoints) - 1)
    shoulders = keypoints[:, SHOULDERS]
    seen = (shoulders[..., 2] >= SEEN).all(axis=1)
    if not seen.any():
        return np.zeros(len(keypoints), bool)
    width = np.median(np.linalg.norm(shoulders[seen, 0, :2] - shoulders[seen, 1, :2], axis=1))
    wrists = keypoints[:, WRISTS]
    path = np.linalg.norm(wrists[after, :, :2] - wrists[before, :, :2], axis=2)  # [frames, 2] pixels
    seconds = np.maximum(after - before, 1)[:, None] / rate
    seen_twice = (wrists[before, :, 2] >= SEEN) & (wrists[after, :, 2] >= SEEN)
    moving: np.ndarray = ((path / max(width, 1e-6) / seconds >= MOVING) & seen_twice).any(axis=1)
    return moving


def find_segments(
    starts: np.ndarray,
    length: int,
    probabilities: np.ndarray,
    moving: np.ndarray | None,
    vocabulary: Sequence[str],
    min_probability: float,
) -> list[Segment]:
    """The signs of a recording in order of time.

    Args:
        starts: first frame of each window, int [windows], ascending.
        length: frames of a window.
        probabilities: of the network, float [windows, glosses].
        moving: whether hands move, bool [frames]; None if not known: then everything counts as signing.
        vocabulary: glosses in class order.
        min_probability: below it nothing is named.

    Returns:
        Segments whose probability is the network's, corrected for what it names at rest (`without_rest`), times the
        share of the window in which hands move. They reach from the first to the last frame of the window with a
        moving hand; windows of the same gloss that overlap are one.
    """
    share = np.ones(len(starts))
    if moving is not None:
        share = np.array([moving[start : start + length].mean() for start in starts])
        probabilities = without_rest(probabilities, share)
    best = probabilities.argmax(axis=1)
    score = probabilities.max(axis=1) * share
    kept: list[int] = []
    for window in np.argsort(-score, kind="stable"):
        if score[window] < min_probability:
            break
        if all(abs(starts[window] - starts[other]) >= (1 - MAX_OVERLAP) * length for other in kept):
            kept.append(int(window))
    segments: list[Segment] = []
    for window in sorted(kept):
        start, end = int(starts[window]), int(starts[window]) + length
        if moving is not None:
            inside = np.flatnonzero(moving[start:end])
            start, end = start + int(inside[0]), start + int(inside[-1]) + 1
        segment = Segment(start, end, vocabulary[best[window]], float(score[window]))
        last = segments[-1] if segments else None
        if last is not None and last.gloss == segment.gloss and segment.start < last.end:
            probability = max(last.probability, segment.probability)
            segments[-1] = Segment(last.start, segment.end, last.gloss, probability)
        else:
            segments.append(segment)
    return segments


def without_rest(probabilities: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Probabilities [windows, glosses] that no longer favour the glosses which the network names at rest.

    Each is divided by its mean over the windows at rest, those in which hands move less than half of the time
    (`share`, [windows]), plus that of a uniform guess; then rows sum to 1 again. Without rest nothing changes.
    """
    at_rest = share < 0.5
    if not at_rest.any():
        return probabilities
    corrected = probabilities / (probabilities[at_rest].mean(axis=0) + 1 / probabilities.shape[1])
    return corrected / corrected.sum(axis=1, keepdims=True)


class Cue(NamedTuple):
    """A text that is shown from `start` to `end`, in seconds."""

    text: str
    start: float
    end: float


def cues(glosses: Sequence[TimedGloss]) -> list[Cue]:
    """Glosses, each with its probability, as they are shown."""
    return [Cue(f"{x.gloss} ({100 * x.probability:.0f} %)", x.start, x.end) for x in glosses]


def webvtt(cues: Sequence[Cue]) -> str:
    """Subtitles."""
    shown = [f"{_time(x.start)} --> {_time(x.end)}\n{escape(x.text, quote=False)}\n" for x in cues]
    return "\n".join(["WEBVTT\n", *shown])


def _time(seconds: float) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
