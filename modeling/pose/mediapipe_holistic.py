"""MediaPipe Holistic as a whole-body estimator: needs no checkpoint and no GPU.

Its pose, face and hand models come with the package `mediapipe` (requirements-mediapipe.txt). Their landmarks are
renamed to COCO-WholeBody by the tables below; docs/keypoints.md shows them.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np

from modeling.pose.estimator import NUM_KEYPOINTS
from utils.errors import UserError

# COCO-WholeBody body and feet -> MediaPipe pose landmark. It has no small toes (18, 21).
BODY = {
    0: 0,  # nose
    1: 2,  # left eye
    2: 5,
    3: 7,  # left ear
    4: 8,
    5: 11,  # left shoulder
    6: 12,
    7: 13,  # left elbow
    8: 14,
    9: 15,  # left wrist
    10: 16,
    11: 23,  # left hip
    12: 24,
    13: 25,  # left knee
    14: 26,
    15: 27,  # left ankle
    16: 28,
    17: 31,  # left big toe <- foot index
    19: 29,  # left heel
    20: 32,
    22: 30,
}

# COCO-WholeBody face points 23..90 -> vertex of MediaPipe's face mesh, in the order of the 68-point face.
FACE = [
    *(
        162,
        234,
        93,
        58,
        172,
        136,
        149,
        148,
        152,
        377,
        378,
        365,
        397,
        288,
        323,
        454,
        389,
    ),  # jaw, right ear to left
    *(71, 63, 105, 66, 107),  # right eyebrow
    *(336, 296, 334, 293, 301),  # left eyebrow
    *(168, 197, 5, 4),  # ridge of the nose
    *(75, 97, 2, 326, 305),  # nostrils
    *(33, 160, 158, 133, 153, 144),  # right eye
    *(362, 385, 387, 263, 373, 380),  # left eye
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # lips outside
    *(78, 82, 13, 312, 308, 317, 14, 87),  # lips inside
]
FIRST_FACE = 23
LEFT_HAND, RIGHT_HAND = slice(91, 112), slice(112, 133)  # both have the same 21 joints in the same order


class MediaPipeHolistic:
    """See `Estimator`. Body points carry MediaPipe's visibility as confidence; face and hands 1 where found.

    Tracks from frame to frame within a clip; landmarks are not smoothed over time, so that fast hands are not late.

    Raises:
        UserError: the package is not installed.
    """

    name = "mediapipe_holistic"

    def __init__(self) -> None:
        warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype")  # its own, on every import
        try:
            with _silenced():
                from mediapipe.python.solutions.holistic import Holistic
        except ImportError as error:
            raise UserError(
                f"the estimator mediapipe is not installed ({error}); "
                "pip install -c requirements.txt -r requirements-mediapipe.txt"
            ) from None
        self.version = version("mediapipe")
        self._build: Callable[..., Any] = Holistic
        self._holistic: Any = None

    def estimate(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Estimator.estimate`."""
        for number, frame in enumerate(frames):
            found = self._first(frame) if number == 0 else self._holistic.process(frame)
            yield _whole_body(found, *frame.shape[:2])

    def _first(self, frame: np.ndarray) -> Any:
        """The first frame of a clip: forgets what was tracked before, which starts the models anew."""
        with _silenced():
            if self._holistic is None:
                self._holistic = self._build(smooth_landmarks=False)
            else:
                self._holistic.reset()
            return self._holistic.process(frame)


def _whole_body(found: Any, height: int, width: int) -> np.ndarray:
    keypoints = np.zeros((NUM_KEYPOINTS, 3), np.float32)
    size = np.array([width, height, 1.0], np.float32)

    def landmarks(part: Any) -> np.ndarray:
        return np.array([(point.x, point.y, 1.0) for point in part.landmark], np.float32) * size

    if found.pose_landmarks:
        pose = landmarks(found.pose_landmarks)
        pose[:, 2] = [point.visibility for point in found.pose_landmarks.landmark]
        keypoints[list(BODY)] = pose[list(BODY.values())]
    if found.face_landmarks:
        keypoints[FIRST_FACE : FIRST_FACE + len(FACE)] = landmarks(found.face_landmarks)[FACE]
    if found.left_hand_landmarks:
        keypoints[LEFT_HAND] = landmarks(found.left_hand_landmarks)
    if found.right_hand_landmarks:
        keypoints[RIGHT_HAND] = landmarks(found.right_hand_landmarks)
    return keypoints


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep native code from writing its start-up notes to standard error; it offers no other way."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
