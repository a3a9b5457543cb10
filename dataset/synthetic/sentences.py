"""A synthetic signer signs a sentence: signs one after another, between which the hands travel.

Postures are known where a hand signs, waits or rests; between them it travels on a smooth curve that leaves and
arrives at the speed of what it joins. Signs bend towards where the hands come from and go to. The left hand of a
one-handed sign stays, drops, or is already on its way to where it will be needed next.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dataset.synthetic.grammar import LENGTHS
from dataset.synthetic.signer import Signer, film, placed, trace
from dataset.synthetic.signs import CLOSED, REST, Sign
from dataset.synthetic.skeleton import LEFT, RIGHT, Body, HandMotion, HeadMotion, skeleton

FRAMES = (40, 160)  # shortest and longest sentence
SIGN_FRAMES = (8, 18)  # shortest and longest sign in it
TRAVEL_FRAMES = (2, 7)  # shortest and longest way between two signs

_SIDES = (RIGHT, LEFT)
_PLACE, _SHAPE, _ORIENTATION = slice(0, 3), slice(3, 10), slice(10, 13)  # the parts of a posture
_HEAD_SMOOTHING = 7  # frames over which a movement of head and mouth is spread


class Span(NamedTuple):
    """A sign within a sentence: frames from `start` to before `end`, without the travel to and from it."""

    gloss: str
    start: int
    end: int


@dataclass
class _Stretch:
    """Frames in which the hands sign, wait or rest.

    hands: postures [T, 13] by side; fewer, in the middle of T, of a left hand that a sign does not need.
    sign: None while waiting or resting. travel: frames between it and the one before. start: its first frame.
    """

    hands: dict[int, np.ndarray]
    sign: Sign | None = None
    travel: int = 0
    start: int = 0

    @property
    def frames(self) -> int:
        return len(self.hands[RIGHT])

    def idle(self, side: int) -> bool:
        """Whether a hand has nothing to do in this sign."""
        return side == LEFT and self.sign is not None and self.sign.left is None


def perform_sentence(
    signer: Signer, signs: list[Sign], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[Span]]:
    """One sentence, from rest to rest: pictures and estimated points as `film` gives them, and where each sign is.

    T lies within FRAMES.

    Raises:
        ValueError: fewer or more signs than the grammar knows, which would not fit into FRAMES.
    """
    if len(signs) not in LENGTHS:
        raise ValueError(f"a sentence has {min(LENGTHS)} to {max(LENGTHS)} signs, not {len(signs)}")
    frames = 0
    while not FRAMES[0] <= frames <= FRAMES[1]:
        stretches = _stretches(signer, signs, rng)
        frames = stretches[-1].start + stretches[-1].frames
    hands = {side: _travelled(stretches, side, frames, rng) for side in _SIDES}
    points = skeleton(signer.body, hands, _head_motion(stretches, frames, rng))
    spans = [Span(x.sign.gloss, x.start, x.start + x.frames) for x in stretches if x.sign is not None]
    pictures, estimated = film(signer, points, rng)
    return pictures, estimated, spans


def _stretches(signer: Signer, signs: list[Sign], rng: np.random.Generator) -> list[_Stretch]:
    """What happens one after the other, with its place in time."""
    tempo = signer.tempo * rng.normal(1, 0.07)
    rest = _rest(signer.body, rng)
    signed = [_signed(signer, sign, tempo, rng) for sign in signs[:-1]]
    signed.append(_signed(signer, signs[-1], tempo / 1.15, rng))  # the last one takes its time
    _employ_left_hand(signed, rest[LEFT], rng)
    stretches = [_still(rest, int(rng.integers(1, 4)))]
    for stretch in signed:
        stretches.append(stretch)
        if stretch is not signed[-1] and rng.random() < 0.15:
            stretches.append(_pause(stretch, rest, rng))
    stretches.append(_still(rest, int(rng.integers(1, 5))))
    for before, after in pairwise(stretches):
        after.travel = _travel_frames(before, after, tempo, rng)
        after.start = before.start + before.frames + after.travel
    for before, stretch, after in zip(stretches[:-2], stretches[1:-1], stretches[2:], strict=True):
        if stretch.sign is not None:
            _bend(before, stretch, after, rng)
    return stretches


def _signed(signer: Signer, sign: Sign, tempo: float, rng: np.random.Generator) -> _Stretch:
    """A sign by the hands that it needs, mostly slower at its ends than in its middle."""
    turns = max(len(sign.right.path), len(sign.right.shapes), len(sign.right.orientations)) - 1
    frames = max(
        rng.normal(11.6, 1.5) / tempo, 2 * turns
    )  # there and back is seen in four frames, not in fewer
    even = np.linspace(0, 1, int(np.clip(round(frames), *SIGN_FRAMES)))
    progress = even + rng.normal(-0.024, 0.02) * np.sin(2 * np.pi * even)
    amplitude = signer.amplitude * rng.normal(0.97, 0.05)
    tracks = {RIGHT: sign.right, LEFT: sign.left}
    hands = {
        side: _joined(trace(signer.body, track, side, progress, amplitude, rng))
        for side, track in tracks.items()
        if track is not None
    }
    return _Stretch(hands, sign)


def _joined(motion: HandMotion) -> np.ndarray:
    """Postures [T, 13]."""
    return np.concatenate(motion, axis=1)


def _rest(body: Body, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Where the hands rest in this sentence, [13] by side."""
    rest = {side: _joined(placed(body, REST, side, np.zeros(1)))[0] for side in _SIDES}
    for posture in rest.values():
        posture[_PLACE] += rng.normal(0, 0.03, 3)
    return rest


def _still(postures: dict[int, np.ndarray], frames: int) -> _Stretch:
    """Hands that keep a posture [13]."""
    return _Stretch({side: np.repeat(posture[None], frames, axis=0) for side, posture in postures.items()})


def _pause(stretch: _Stretch, rest: dict[int, np.ndarray], rng: np.random.Generator) -> _Stretch:
    """The last posture is held; in a long pause the hands sink most of the way to rest."""
    long = rng.random() < 0.15
    frames = int(rng.integers(8, 13) if long else rng.integers(2, 8))
    sunk = rng.uniform(0.6, 1) if long else rng.uniform(0, 0.12)
    return _still({side: _sunk(stretch.hands[side][-1], rest[side], sunk) for side in _SIDES}, frames)


def _sunk(posture: np.ndarray, rest: np.ndarray, share: float) -> np.ndarray:
    return posture + share * (rest - posture)


def _employ_left_hand(signed: list[_Stretch], rest: np.ndarray, rng: np.random.Generator) -> None:
    """Give the left hand of every one-handed sign a posture, which it has in the middle of that sign: half raised for
    the next sign if that needs it, lowered a little from where it was, or at rest."""
    posture = rest
    for stretch, following in zip(signed, [*signed[1:], None], strict=True):
        if LEFT in stretch.hands:
            posture = stretch.hands[LEFT][-1]
            continue
        draw = rng.random()
        if draw < 0.35 and following is not None and LEFT in following.hands:
            posture = _sunk(following.hands[LEFT][0], rest, rng.uniform(0.3, 0.6))
        elif draw < 0.65:
            posture = _sunk(posture, rest, rng.uniform(0.05, 0.3))
        else:
            posture = rest
        stretch.hands[LEFT] = np.repeat(posture[None], stretch.frames - 2 * (stretch.frames // 3), axis=0)


def _travel_frames(before: _Stretch, after: _Stretch, tempo: float, rng: np.random.Generator) -> int:
    """Frames between two stretches: the further the hands have to go and to turn, the more."""
    effort = 0.0
    for side in _SIDES:
        if not before.idle(side) and not after.idle(side):  # an idle hand has more time
            way = after.hands[side][0] - before.hands[side][-1]
            effort = max(effort, float(np.linalg.norm(way[_PLACE]) + np.abs(way[_ORIENTATION]).max() / 500))
    return int(np.clip(round((1.2 + 2.1 * effort + rng.normal(0, 0.3)) / tempo), *TRAVEL_FRAMES))


def _bend(before: _Stretch, stretch: _Stretch, after: _Stretch, rng: np.random.Generator) -> None:
    """Coarticulation: the first third of a sign is drawn to where the hands were, the last to where they will be."""
    for side in _SIDES:
        if stretch.idle(side):
            continue
        postures = stretch.hands[side]
        along = np.linspace(0, 1, len(postures))[:, None]
        start = rng.uniform(0.1, 0.35) * np.maximum(1 - 3 * along, 0) ** 2
        end = rng.uniform(0.0, 0.2) * np.maximum(3 * along - 2, 0) ** 2
        came, goes = before.hands[side][-1] - postures[0], after.hands[side][0] - postures[-1]
        stretch.hands[side] = postures + start * came + end * goes


def _travelled(stretches: list[_Stretch], side: int, frames: int, rng: np.random.Generator) -> HandMotion:
    """A hand through the whole sentence: the known postures, and cubic curves between them."""
    motion = np.empty((frames, 13))
    arrived = 0
    for number, stretch in enumerate(stretches):
        known = stretch.hands[side]
        start = stretch.start + (stretch.frames - len(known)) // 2
        motion[start : start + len(known)] = known
        if number:
            before = stretches[number - 1].hands[side]
            motion[arrived:start] = _travel(before, known, start - arrived, rng)
        arrived = start + len(known)
    motion[:, _PLACE] += _wander(frames, 3, 0.01, rng)
    motion[:, _SHAPE] = np.clip(motion[:, _SHAPE], 0, 1)
    return HandMotion(*np.split(motion, (3, 10), axis=1))


def _travel(before: np.ndarray, after: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Postures [frames, 13] of a cubic curve that leaves and arrives at the speeds of its ends; the hand swings out."""
    steps = frames + 1
    t = np.arange(1, steps)[:, None] / steps
    a, b = before[-1], after[0]
    leave = steps * (before[-1] - before[-2]) if len(before) > 1 else np.zeros(13)
    arrive = steps * (after[1] - after[0]) if len(after) > 1 else np.zeros(13)
    path = a + t * t * (3 - 2 * t) * (b - a) + t * (1 - t) * ((1 - t) * leave - t * arrive)
    swing = np.linalg.norm((b - a)[_PLACE]) * rng.normal([0, 0.02, 0.08], 0.06)
    path[:, _PLACE] += 16 * (t * (1 - t)) ** 2 * swing
    return path


def _head_motion(stretches: list[_Stretch], frames: int, rng: np.random.Generator) -> HeadMotion:
    """Head and mouth go with the signs, a little ahead of the hands, and never jump."""
    wanted = np.tile([*CLOSED, 0.0], (frames, 1))  # mouth opening, mouth width, roll
    for stretch in stretches:
        if stretch.sign is not None:
            first = max(stretch.start - stretch.travel // 2 - 1, 0)
            form = np.array([*stretch.sign.mouth, stretch.sign.head_roll])
            wanted[first : stretch.start + stretch.frames] = form * rng.normal(1, [0.08, 0.04, 0.08])
    opening, width, roll = _smoothed(wanted, _HEAD_SMOOTHING).T
    wander = _wander(frames, 3, 1.0, rng)
    return HeadMotion(
        roll=roll + rng.normal(0, 2) + 1.5 * wander[:, 0],
        shift=0.015 * wander[:, 1],
        brows=np.clip(rng.uniform(0, 0.6) + 0.15 * wander[:, 2], 0, 1),
        mouth=np.maximum(np.stack([opening, width], axis=1), 0),
    )


def _wander(frames: int, values: int, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Slow unrest [frames, values] of that standard deviation."""
    length = 15
    noise = _smoothed(rng.normal(0, 1, (frames + 2 * length, values)), length)[length:-length]
    window = np.hanning(length + 2)
    return deviation * noise * window.sum() / np.linalg.norm(window)


def _smoothed(values: np.ndarray, length: int) -> np.ndarray:
    """Values [T, D], each the weighted mean of `length` (odd) about it; the ends are held."""
    window = np.hanning(length + 2)[1:-1]
    window = window / window.sum()
    held = np.pad(values, ((length // 2, length // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, window, mode="valid") for column in held.T], axis=1)
