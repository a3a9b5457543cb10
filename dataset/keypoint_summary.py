"""What an estimator found in the clips of a data set, in a few numbers a person can judge."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dataset.keypoints import PARTS

HAND_FOUND_FROM = 0.3  # mean confidence of its 21 points
_FACE = [*PARTS["face_others"], *PARTS["mouth"]]
_LEFT_HAND, _RIGHT_HAND = PARTS["hand"][:21], PARTS["hand"][21:]


@dataclass(frozen=True)
class KeypointSummary:
    """Of some clips.

    without_person: frames in which nothing was found. with_hand, with_both_hands: shares of the frames in which at
    least one hand, and both, were found. confidence: mean over frames and points, by part.
    """

    clips: int
    frames: int
    without_person: int
    with_hand: float
    with_both_hands: float
    confidence: dict[str, float]

    def __str__(self) -> str:
        means = ", ".join(f"{part} {value:.2f}" for part, value in self.confidence.items())
        return (
            f"{self.clips} clips, {self.frames} frames; {self.without_person} frames without a person; "
            f"a hand in {100 * self.with_hand:.1f} %, both in {100 * self.with_both_hands:.1f} % of the frames; "
            f"mean confidence: {means}"
        )


def hands_found(keypoints: np.ndarray) -> np.ndarray:
    """How many hands were found in each frame of a clip, 0 to 2: [frames, 133, 3] -> int [frames]."""
    sides = [keypoints[:, points, 2].mean(axis=1) >= HAND_FOUND_FROM for points in (_LEFT_HAND, _RIGHT_HAND)]
    return np.sum(sides, axis=0)


def summarise_keypoints(clips: Iterable[np.ndarray]) -> KeypointSummary:
    """The summary of the keypoints, [frames, 133, 3] a clip."""
    parts = {"body": PARTS["pose"], "face": _FACE, "left hand": _LEFT_HAND, "right hand": _RIGHT_HAND}
    count, without_person = 0, 0
    hands = np.zeros(3, np.int64)  # frames with none, one and two
    sums = dict.fromkeys(parts, 0.0)
    for keypoints in clips:
        confidence = keypoints[..., 2]
        count += 1
        without_person += int((confidence.max(axis=1) <= 0).sum())
        hands += np.bincount(hands_found(keypoints), minlength=3)
        for part, points in parts.items():
            sums[part] += float(confidence[:, points].mean(axis=1).sum(dtype=np.float64))
    frames = int(hands.sum())
    share = 1 / max(1, frames)
    return KeypointSummary(
        count,
        frames,
        without_person,
        float(hands[1:].sum() * share),
        float(hands[2] * share),
        {part: total * share for part, total in sums.items()},
    )
