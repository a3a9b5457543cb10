"""MediaPipe Holistic on a photograph of a person (NASA, public domain), and its mapping to COCO-WholeBody."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from modeling.pose.mediapipe_holistic import BODY, FACE, MediaPipeHolistic
from utils.errors import UserError

PHOTO = Path(__file__).parents[2] / "assets" / "astronaut.jpg"


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(PHOTO)), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def estimator() -> MediaPipeHolistic:
    return MediaPipeHolistic()


def test_the_mapping_is_complete() -> None:
    assert len(FACE) == len(set(FACE)) == 68
    assert sorted(BODY) == [i for i in range(23) if i not in (18, 21)]


def test_a_person_is_found_where_it_is(estimator: MediaPipeHolistic, photo: np.ndarray) -> None:
    (points,) = estimator.estimate([photo])
    x, y, confidence = points.T
    assert points.shape == (133, 3) and points.dtype == np.float32
    # Her face, in pixels of the picture; her left is on the right.
    assert 105 < x[2] < x[0] < x[1] < 165 and 55 < y[[0, 1, 2]].min() < y[[0, 1, 2]].max() < 95
    assert x[6] < x[5] and y[[5, 6]].min() > y[0]  # shoulders
    face = np.s_[23:91]
    assert (confidence[face] == 1).all()
    mouth, chin, brows = points[71:91].mean(axis=0), points[23 + 8], points[40:50].mean(axis=0)
    assert brows[1] < y[0] < mouth[1] < chin[1]
    assert x[23] < x[31] < x[39]  # the jaw runs from her right ear over the chin to her left
    assert not confidence[[18, 21]].any()  # it has no small toes
    for hand in (points[91:112], points[112:133]):  # found whole or not at all
        assert (hand[:, 2] == 1).all() or not hand.any()


def test_every_clip_starts_anew(estimator: MediaPipeHolistic, photo: np.ndarray) -> None:
    moved = [np.roll(photo, 4 * step, axis=1) for step in range(4)]
    first = np.stack(list(estimator.estimate(moved)))
    list(estimator.estimate([photo[::-1].copy()] * 3))
    assert np.array_equal(np.stack(list(estimator.estimate(moved))), first)


def test_nobody_is_all_zero(estimator: MediaPipeHolistic) -> None:
    (points,) = estimator.estimate([np.zeros((120, 160, 3), np.uint8)])
    assert points.shape == (133, 3) and not points.any()


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("mediapipe")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UserError, match=r"not installed.*pip install .*requirements-mediapipe\.txt"):
        MediaPipeHolistic()
