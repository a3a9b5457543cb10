"""A synthetic signer: body, looks, manner of signing and camera, all drawn from one random generator.

`perform` signs one sign, `film` turns a moving skeleton into pictures and what a pose estimator would report for
them: the true points with a little noise, and low confidence where estimators struggle (hidden, fast, out of the
picture); and, where asked for, hands that are missed, taken for each other, or beside where they are.
"""

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np

from dataset.synthetic.drawing import SUPERSAMPLING, Appearance, Colour, draw
from dataset.synthetic.signs import REST, Sign, Track
from dataset.synthetic.skeleton import (
    BODY,
    FACE,
    FEET,
    HANDS,
    LEFT,
    RIGHT,
    Body,
    HandMotion,
    HeadMotion,
    anchor,
    skeleton,
)

FRAMES = (16, 26)  # shortest and longest clip
MOVE_IN = 3  # frames from the rest pose into the sign, and as many back
FIELD_OF_VIEW = 2.55  # shoulder widths across the picture

_SKINS: tuple[Colour, ...] = (
    (244, 208, 177), (231, 180, 143), (208, 152, 112), (172, 118, 82), (130, 86, 58), (92, 60, 42),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (28, 22, 20),
    (62, 40, 26),
    (112, 72, 40),
    (190, 150, 88),
    (140, 58, 30),
    (150, 148, 146),
)


@dataclass(frozen=True)
class Signer:
    """One person before one camera."""

    body: Body
    look: Appearance
    zoom: float
    offset: tuple[float, float]  # of the middle of the shoulders, as a share of the picture
    tempo: float
    amplitude: float
    image_noise: float  # standard deviation, grey levels
    estimator_errors: float  # how often the estimator errs, 0: never; about 1 as real ones do


def make_signer(
    rng: np.random.Generator, frame_size: int, variety: float = 1.0, estimator_errors: float = 0.0
) -> Signer:
    """Draw a signer for square pictures of `frame_size` pixels.

    variety: factor on the ranges of measures and manners; estimator_errors: see `Signer`.
    """

    def within(low: float, high: float) -> float:
        middle = (low + high) / 2
        return rng.uniform(middle + variety * (low - middle), middle + variety * (high - middle))

    body = Body(
        head_height=within(0.68, 0.78),
        head_width=within(0.48, 0.55),
        neck=within(0.16, 0.24),
        upper_arm=within(0.8, 0.88),
        forearm=within(0.69, 0.76),
        hand=within(0.58, 0.67),
        torso=within(1.32, 1.46),
        hip_width=within(0.6, 0.74),
    )
    skin = _vary(rng, _SKINS[rng.integers(len(_SKINS))], 0.06)
    clothes = _clothes(rng, skin)
    look = Appearance(
        skin=skin,
        hair=_vary(rng, _HAIRS[rng.integers(len(_HAIRS))], 0.15),
        hair_style=str(rng.choice(["short", "long", "bun", "bald"], p=[0.42, 0.33, 0.17, 0.08])),
        clothes=clothes,
        long_sleeves=bool(rng.random() < 0.85),
        arm_width=rng.uniform(0.2, 0.26),
        background=_background(rng, frame_size * SUPERSAMPLING),
    )
    return Signer(
        body=body,
        look=look,
        zoom=within(0.94, 1.05),
        offset=(0.5 + within(-0.04, 0.04), 0.43 + within(-0.02, 0.025)),
        tempo=within(0.9, 1.12),
        amplitude=within(0.92, 1.08),
        image_noise=max(0.0, within(1.0, 4.0)),
        estimator_errors=estimator_errors,
    )


def perform(signer: Signer, sign: Sign, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One clip of a sign, between rest and rest: pictures and estimated points as `film` gives them.

    T lies within FRAMES.
    """
    frames = int(np.clip(round(rng.normal(20.5, 1.8) / signer.tempo), *FRAMES))
    presence, progress = _timing(frames, rng)
    amplitude = signer.amplitude * rng.normal(1, 0.04)
    hands = {
        side: _hand_motion(signer.body, track or REST, side, presence, progress, amplitude, rng)
        for side, track in ((RIGHT, sign.right), (LEFT, sign.left))
    }
    return film(signer, skeleton(signer.body, hands, _head_motion(sign, presence, rng)), rng)


def film(signer: Signer, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What the camera sees of a moving skeleton: pictures uint8 [T, size, size, 3] (RGB), and what an estimator
    finds in them, float32 [T, 133, 3], (x, y) in pixels and a confidence in 0..1.

    points: float [T, 133, 3] in shoulder widths, as `skeleton` gives them.
    """
    size = signer.look.background.shape[0] // SUPERSAMPLING
    frames = len(points)
    points, unit = _points_in_picture(signer, points, size, rng)
    light = rng.uniform(0.88, 1.1)
    grain = rng.normal(0, signer.image_noise, (size + 32, size + 32, 3)).astype(np.float32)
    shifts = rng.integers(0, 32, (frames, 2))
    pictures = np.empty((frames, size, size, 3), np.uint8)
    for frame in range(frames):
        picture = draw(points[frame], signer.look, unit)
        down, right = shifts[frame]
        noise = grain[down : down + size, right : right + size]
        pictures[frame] = cv2.addWeighted(picture, light, noise, 1.0, 0.0, dtype=cv2.CV_8U)
    found = _estimate(points, size, rng)
    if signer.estimator_errors:
        _err(found, size, signer.estimator_errors, rng)
    return pictures, found


def _points_in_picture(
    signer: Signer, points: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Points [T, 133, 3] in pixels of points in shoulder widths, and the pixels in a shoulder width."""
    unit = size / FIELD_OF_VIEW * signer.zoom * rng.normal(1, 0.01)
    sway = np.cumsum(rng.normal(0, 0.004, (len(points), 2)), axis=0)
    origin = (np.array(signer.offset) + rng.normal(0, 0.008, 2)) * size
    in_picture = points * unit
    in_picture[..., :2] = origin + unit * (points[..., :2] + sway[:, None])
    return in_picture, unit


def _timing(frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How far the hands are from rest into the sign, and how far the sign is along, both [T] in 0..1."""
    time = np.arange(frames) + rng.uniform(-0.3, 0.3)
    inside = np.clip(np.minimum(time + 1, frames - time) / (MOVE_IN + 1), 0, 1)
    presence = inside * inside * (3 - 2 * inside)
    progress = np.clip((time - MOVE_IN + 1) / (frames - 2 * MOVE_IN + 1), 0, 1)
    return presence, progress


def _hand_motion(
    body: Body,
    track: Track,
    side: int,
    presence: np.ndarray,
    progress: np.ndarray,
    amplitude: float,
    rng: np.random.Generator,
) -> HandMotion:
    """A hand that rises from rest into the sign and goes back."""
    motion = trace(body, track, side, progress, amplitude, rng)
    rest = placed(body, REST, side, progress)
    weight = presence[:, None]
    return HandMotion(*(low + weight * (high - low) for low, high in zip(rest, motion, strict=True)))


def placed(body: Body, track: Track, side: int, progress: np.ndarray) -> HandMotion:
    """A hand that follows a track exactly, at progress [T] in 0..1 through it."""
    place, shape, orientation = track.sample(progress)
    return HandMotion(anchor(body, track.anchor, side) + place * [side, 1, 1], shape, orientation)


def trace(
    body: Body, track: Track, side: int, progress: np.ndarray, amplitude: float, rng: np.random.Generator
) -> HandMotion:
    """A hand that follows a track as people do, a little off and never twice alike.

    amplitude: size of the movement relative to the lexicon's.
    """
    place, shape, orientation = track.sample(progress)
    middle = np.mean(track.path, axis=0)
    place = middle + amplitude * (place - middle) + rng.normal(0, 0.02, 3)
    place = place + np.cumsum(rng.normal(0, 0.006, place.shape), axis=0)
    place = anchor(body, track.anchor, side) + place * [side, 1, 1]
    shape = np.clip(shape + rng.normal(0, 0.04, shape.shape[1]), 0, 1)
    return HandMotion(place, shape, orientation + rng.normal(0, 5, 3))


def _head_motion(sign: Sign, presence: np.ndarray, rng: np.random.Generator) -> HeadMotion:
    frames = len(presence)
    mouth = np.array([0.0, 1.0]) + presence[:, None] * (np.array(sign.mouth) - [0.0, 1.0])
    mouth = mouth * [rng.normal(1, 0.08), rng.normal(1, 0.04)]
    wander = np.cumsum(rng.normal(0, 0.4, (frames, 2)), axis=0)
    return HeadMotion(
        roll=sign.head_roll * presence + rng.normal(0, 2) + wander[:, 0],
        shift=0.006 * wander[:, 1],
        brows=np.full(frames, rng.uniform(0, 0.6)),
        mouth=np.maximum(mouth, 0),
    )


def _estimate(points: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """What a pose estimator would report for the true points [T, 133, 3]: float32 [T, 133, 3]."""
    frames = len(points)
    confidence = rng.normal(0.9, 0.03, (frames, 133))
    jitter = np.full((frames, 133), 0.004)  # standard deviation, pictures
    for side, hand in HANDS.items():
        motion = np.gradient(points[:, hand, :2].mean(axis=1), axis=0)
        speed = np.linalg.norm(motion, axis=1) / size  # pictures per frame
        ahead = points[:, HANDS[-side]].mean(axis=1) - points[:, hand].mean(axis=1)
        hidden = (np.linalg.norm(ahead[:, :2], axis=1) < 0.1 * size) & (ahead[:, 2] > 0)
        lost = rng.random(frames) < 0.02 + 0.3 * speed
        confidence[:, hand] -= (0.08 + 1.2 * speed + 0.25 * hidden + 0.3 * lost)[:, None]
        jitter[:, hand] *= (1 + 6 * speed + 0.6 * hidden + 4 * lost)[:, None]
    confidence[:, FACE] -= 0.04
    stray = rng.random((frames, 133)) < 0.003
    jitter[stray], confidence[stray] = 0.05, 0.25
    seen = points[..., :2] + rng.normal(0, 1, (frames, 133, 2)) * jitter[..., None] * size
    outside = np.any((points[..., :2] < 0) | (points[..., :2] >= size), axis=-1)
    confidence[outside] = rng.uniform(0.02, 0.2, int(outside.sum()))
    legs = np.r_[BODY.stop - 4 : BODY.stop, FEET]
    confidence[:, legs] = rng.uniform(0.02, 0.2, (frames, len(legs)))
    seen = np.clip(seen, -0.05 * size, 1.02 * size)
    return np.concatenate([seen, np.clip(confidence, 0.01, 1)[..., None]], axis=-1).astype(np.float32)


def _err(found: np.ndarray, size: int, often: float, rng: np.random.Generator) -> None:
    """Make the errors of real estimators in points [T, 133, 3], which last for some frames.

    A hand that is not found has zeros, confidence and all. Hands close together are taken for each other. And one
    frame's hand as a whole is a little beside where it is.
    """
    left, right = (found[:, hand, :2].mean(axis=1) for hand in HANDS.values())
    for hand, middle in zip(HANDS.values(), (left, right), strict=True):
        found[:, hand, :2] += often * rng.normal(0, 0.006 * size, (len(found), 1, 2))
        speed = np.linalg.norm(np.gradient(middle, axis=0), axis=1) / size  # pictures per frame
        found[_spells(often * (0.02 + 0.8 * speed), 3, rng), hand] = 0
    close = np.linalg.norm(left - right, axis=1) < 0.2 * size
    exchanged = _spells(0.1 * often * close, 2, rng)
    both = np.r_[HANDS[LEFT], HANDS[RIGHT]], np.r_[HANDS[RIGHT], HANDS[LEFT]]
    found[np.ix_(exchanged, both[0])] = found[np.ix_(exchanged, both[1])]


def _spells(chance: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Numbers of the frames in spells that begin with chance [T] at each frame and last `length` frames on average."""
    within = np.zeros(len(chance), bool)
    for start in np.flatnonzero(rng.random(len(chance)) < chance):
        within[start : start + rng.geometric(1 / length)] = True
    return np.flatnonzero(within)


def _vary(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    factor = 1 + rng.uniform(-amount, amount)
    red, green, blue = (float(np.clip(channel * factor + rng.normal(0, 4), 5, 250)) for channel in colour)
    return red, green, blue


def _random_colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> Colour:
    """A colour between green and violet: the studio has no skin tones but the signer's own."""
    red, green, blue = colorsys.hsv_to_rgb(
        rng.uniform(0.3, 0.8), rng.uniform(*saturation), rng.uniform(*value)
    )
    return 255 * red, 255 * green, 255 * blue


def _clothes(rng: np.random.Generator, skin: Colour) -> Colour:
    """A plain, cool and dark colour, darker than the skin, as signers are asked to wear."""
    while True:
        colour = _random_colour(rng, (0.15, 0.75), (0.08, 0.4))
        if np.dot(np.subtract(skin, colour), (0.3, 0.59, 0.11)) > 35:
            return colour


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """The light wall of a studio, unevenly lit."""
    wall = np.array(_random_colour(rng, (0.03, 0.25), (0.7, 0.95)), np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    light = 1 + rng.uniform(0.05, 0.25) * (np.cos(angle) * x + np.sin(angle) * y)
    return np.clip(wall * light[..., None], 0, 255).astype(np.uint8)
