"""The lexicon of the synthetic sign set: handshapes, places, movement and mouth of the sign of every gloss.

All forms are invented for this project and belong to no real sign language; only their structure (handshape,
location, movement, orientation, non-manual cue, look-alike pairs) follows real ones. Lengths are in shoulder
widths, angles in degrees, and every hand is described for its own side of the body (out: from the middle).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Size of the only difference within a look-alike pair, one constant per kind of cue: smaller is harder.
AMPLITUDE_CUE = 2.2  # ratio of the two movement amplitudes
CURL_CUE = 0.95  # difference in finger curl, 0 straight .. 1 folded
DIRECTION_CUE = 90.0  # difference in movement direction, degrees
PLACE_CUE = 0.35  # distance between the two places, shoulder widths

Place = tuple[float, float, float]  # out, down, forward


class Handshape(NamedTuple):
    """Finger curls in 0..1, spread in 0..1, and the share of the bend taken by the knuckles (0 is a claw)."""

    thumb: float
    index_finger: float
    middle: float
    ring: float
    little: float
    spread: float = 0.2
    knuckles: float = 1.0


class Orientation(NamedTuple):
    """Direction of a hand in degrees.

    point: fingers in the image plane, 0 up, 90 towards the middle of the body; palm: roll about the fingers,
    0 to the camera, 90 towards the middle (downwards if the fingers point inwards), 180 to the signer;
    tilt: fingers towards the camera.
    """

    point: float
    palm: float
    tilt: float = 0.0


class Mouth(NamedTuple):
    """Opening in 0..1 and width relative to the closed mouth (below 1 rounded, above 1 spread)."""

    opening: float
    width: float


CLOSED = Mouth(0.0, 1.0)


@dataclass(frozen=True)
class Track:
    """What one hand does: evenly timed keyframes of place (about an anchor), handshape and orientation."""

    anchor: str
    path: tuple[Place, ...]
    shapes: tuple[Handshape, ...]
    orientations: tuple[Orientation, ...]

    def sample(self, progress: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Place [T, 3], handshape [T, 7] and orientation [T, 3] at progress [T] in 0..1 through the sign."""
        return (
            _interpolate(np.array(self.path), progress),
            _interpolate(np.array(self.shapes), progress),
            _interpolate(np.array(self.orientations), progress),
        )


@dataclass(frozen=True)
class Sign:
    """One sign; `left` is None for a one-handed sign."""

    gloss: str
    right: Track
    left: Track | None = None
    mouth: Mouth = CLOSED
    head_roll: float = 0.0  # degrees, positive to the right of the picture


class LookAlike(NamedTuple):
    """Two signs that differ in one cue only."""

    first: str
    second: str
    similar_meaning: bool
    cue: str


LOOK_ALIKES = [
    LookAlike("cold", "winter", True, "amplitude"),
    LookAlike("rain", "snow", True, "curl"),
    LookAlike("doctor", "nurse", True, "direction"),
    LookAlike("table", "afternoon", False, "place"),
    LookAlike("cheese", "week", False, "direction"),
    LookAlike("apple", "uncle", False, "place"),
]

FLAT = Handshape(0.5, 0, 0, 0, 0, spread=0.0)
OPEN = Handshape(0, 0, 0, 0, 0, spread=1.0)
FIST = Handshape(1, 1, 1, 1, 1, spread=0.0)
INDEX = Handshape(1, 0, 1, 1, 1)
VEE = Handshape(1, 0, 0, 1, 1, spread=1.0)
HORN = Handshape(0, 1, 1, 1, 0, spread=0.6)
CURVED = Handshape(0.2, 0.45, 0.45, 0.45, 0.45, spread=0.1, knuckles=0.5)
BEAK_OPEN = Handshape(0.3, 0.1, 1, 1, 1)
BEAK_CLOSED = Handshape(0.6, 0.5, 1, 1, 1)
RELAXED = Handshape(0.4, 0.25, 0.3, 0.35, 0.4)

REST = Track("belly", ((0.3, 0.38, 0.1),), (RELAXED,), (Orientation(155, 170),))


def _interpolate(keyframes: np.ndarray, progress: np.ndarray) -> np.ndarray:
    """Catmull-Rom curve through evenly timed keyframes [K, D] at progress [T] in 0..1, as [T, D]."""
    last = len(keyframes) - 1
    if last == 0:
        return np.repeat(keyframes, len(progress), axis=0)
    position = np.clip(progress, 0, 1) * last
    start = np.minimum(position.astype(int), last - 1)
    t = (position - start)[:, None]
    before, a, b, after = (keyframes[np.clip(start + shift, 0, last)] for shift in (-1, 0, 1, 2))
    return a + 0.5 * t * (
        b - before + t * (2 * before - 5 * a + 4 * b - after + t * (3 * (a - b) + after - before))
    )


def shake(centre: Place, amplitude: Place, cycles: int) -> tuple[Place, ...]:
    """There-and-back movement about a centre."""
    out, down, forward = centre
    a, b, c = amplitude
    return tuple((out + s * a, down + s * b, forward + s * c) for s in [1, -1] * cycles + [1])


def along(length: float, angle: float) -> Place:
    """A step within the image plane; 0 degrees leads outwards, 90 downwards."""
    turn = np.deg2rad(angle)
    return length * float(np.cos(turn)), length * float(np.sin(turn)), 0.0


def _similar_pairs() -> list[Sign]:
    """Look-alikes of similar meaning."""
    signs = []
    for gloss, amplitude in (("cold", 0.1), ("winter", 0.1 * AMPLITUDE_CUE)):
        shiver = Track("chest", shake((0.42, 0, 0.4), (amplitude, 0, 0), 3), (FIST,), (Orientation(0, 60),))
        signs.append(Sign(gloss, shiver, shiver))
    for gloss, curl in (("rain", CURL_CUE), ("snow", 0.0)):
        fingers = Handshape(0.3 * curl, curl, curl, curl, curl, spread=1.0, knuckles=0.3)
        fall = Track("eyes", ((0.58, -0.2, 0.4), (0.58, 0.35, 0.4)) * 2, (fingers,), (Orientation(0, 0),))
        signs.append(Sign(gloss, fall, fall))
    held = Track("chest", ((0.2, 0.38, 0.4),), (FIST,), (Orientation(75, 200),))
    for gloss, angle in (("doctor", 0.0), ("nurse", DIRECTION_CUE)):
        path = shake((-0.08, 0.02, 0.55), along(0.2, angle), 2)
        signs.append(Sign(gloss, Track("chest", path, (VEE,), (Orientation(50, 0),)), held))
    return signs


def _distinct_pairs() -> list[Sign]:
    """Look-alikes of distinct meaning."""
    signs = []
    arm = Track("belly", ((-0.05, 0, 0.4),), (FLAT,), (Orientation(95, 100),))
    for gloss, higher in (("table", 0.0), ("afternoon", PLACE_CUE)):
        path = shake((0.15, -0.25 - higher, 0.5), (0, 0.14, 0), 2)
        signs.append(Sign(gloss, Track("belly", path, (FLAT,), (Orientation(70, 90),)), arm))
    for gloss, angle in (("cheese", 0.0), ("week", DIRECTION_CUE)):
        path = shake((0.2, 0.05, 0.5), along(0.26, angle), 2)
        signs.append(Sign(gloss, Track("chest", path, (INDEX,), (Orientation(20, 60),))))
    twist = (Orientation(80, 60), Orientation(80, 130)) * 3
    for gloss, lower in (("apple", PLACE_CUE), ("uncle", 0.0)):
        place = (0.3, lower - 0.05, 0.3)
        signs.append(Sign(gloss, Track("cheek", (place,), (INDEX,), twist)))
    return signs


def _others() -> list[Sign]:
    """Signs that stand apart."""
    turn_page = (Orientation(20, 80), Orientation(-10, 10)) * 2
    book = Track("chest", ((0.1, 0.3, 0.4), (0.25, 0.32, 0.4)) * 2, (FLAT,), turn_page)
    tip = (Orientation(0, 90), Orientation(35, 90)) * 2
    drink = Track("mouth", ((0.25, 0.3, 0.4), (0.16, 0.08, 0.35)) * 2, (CURVED,), tip)
    wheel, counter_wheel = (
        Track("chest", shake((0.38, 0.3, 0.5), (0.02, sway, 0), 2), (FIST,), (Orientation(30, 90, 20),))
        for sway in (0.22, -0.22)
    )
    sleep = Track("cheek", ((0.2, 0.05, 0.2), (0.2, 0.1, 0.2)), (FLAT,), (Orientation(35, 120),))
    bird = Track("mouth", ((0.12, 0.06, 0.35),), (BEAK_OPEN, BEAK_CLOSED) * 3, (Orientation(-10, 20),))
    think = Track("temple", shake((0.34, 0.1, 0.25), (0.1, -0.05, 0), 2), (INDEX,), (Orientation(30, 120),))
    big = Track("chest", ((0.2, 0.1, 0.4), (0.85, 0, 0.3)) * 2, (OPEN,), (Orientation(-10, 60),))
    swim = tuple((0.6 - 0.13 * step, 0.1 * (-1) ** step, 0.4) for step in range(7))
    fish = Track("belly", swim, (FLAT,), (Orientation(60, 20), Orientation(105, 20)) * 3)
    phone = Track("cheek", ((0.25, 0, 0.25),), (HORN,), (Orientation(-20, 25),))
    hammer = Track("belly", shake((0.05, -0.4, 0.5), (0, 0.22, 0), 2), (FIST,), (Orientation(80, 90),))
    anvil = Track("belly", ((0, 0.05, 0.4),), (FIST,), (Orientation(80, 90),))
    cradle, counter_cradle = (
        Track("belly", shake((-0.05, down, 0.4), (sway, 0, 0), 1), (FLAT,), (Orientation(85, 180),))
        for down, sway in ((-0.05, 0.22), (0.12, -0.22))
    )
    tree = Track("shoulder", ((0.2, -0.55, 0.3),), (OPEN,), (Orientation(0, -40), Orientation(0, 70)) * 3)
    return [
        Sign("book", book, book),
        Sign("drink", drink, mouth=Mouth(0.4, 0.6)),
        Sign("car", wheel, counter_wheel),
        Sign("sleep", sleep, head_roll=-16),
        Sign("bird", bird),
        Sign("think", think),
        Sign("big", big, big),
        Sign("fish", fish),
        Sign("phone", phone, mouth=Mouth(0.1, 1.3)),
        Sign("work", hammer, anvil),
        Sign("baby", cradle, counter_cradle),
        Sign("tree", tree),
    ]


SIGNS: tuple[Sign, ...] = (*_similar_pairs(), *_distinct_pairs(), *_others())
