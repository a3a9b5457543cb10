"""The skeleton of a synthetic signer: from hand, mouth and head movement to the 133 COCO-WholeBody points.

Space is measured in shoulder widths from the middle of the shoulders: x to the right of the picture, y down,
z towards the camera. The signer faces the camera, so the signer's right side is on the left of the picture.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

RIGHT, LEFT = -1, 1  # the side of the picture on which that side of the signer appears

BODY, FEET, FACE = slice(0, 17), slice(17, 23), slice(23, 91)
HANDS = {LEFT: slice(91, 112), RIGHT: slice(112, 133)}
SHOULDER, ELBOW, WRIST, HIP = (
    {LEFT: 5, RIGHT: 6},
    {LEFT: 7, RIGHT: 8},
    {LEFT: 9, RIGHT: 10},
    {LEFT: 11, RIGHT: 12},
)
FINGERS = tuple(tuple(range(first, first + 4)) for first in (1, 5, 9, 13, 17))

PALM_CENTRE = 0.42  # where a hand's place is, from wrist to fingertips

# Knuckles (towards the thumb, towards the fingertips), bones and fan angles, in hand lengths and degrees.
_KNUCKLES = np.array([[0.17, 0.47], [0.06, 0.5], [-0.06, 0.48], [-0.17, 0.42]])
_BONES = np.array([[0.24, 0.15, 0.11], [0.26, 0.17, 0.12], [0.24, 0.16, 0.11], [0.18, 0.11, 0.09]])
_FAN = np.array([16.0, 4.0, -9.0, -23.0])
_BENDS = np.array([85.0, 100.0, 55.0])
_THUMB_BASE = np.array([0.14, 0.12, 0.02])
_THUMB_BONES = np.array([0.22, 0.17, 0.14])
_THUMB_OPEN, _THUMB_FOLDED = np.array([52.0, 62.0, 62.0]), np.array([38.0, -25.0, -65.0])


@dataclass(frozen=True)
class Body:
    """Proportions in shoulder widths."""

    head_height: float = 0.74
    head_width: float = 0.52
    neck: float = 0.2
    upper_arm: float = 0.84
    forearm: float = 0.72
    hand: float = 0.62
    torso: float = 1.4
    hip_width: float = 0.66


class HandMotion(NamedTuple):
    """Palm centre [T, 3] (x, y, z), handshape [T, 7] and orientation [T, 3] as defined with the lexicon."""

    place: np.ndarray
    shape: np.ndarray
    orientation: np.ndarray


class HeadMotion(NamedTuple):
    """Head roll [T] in degrees, sideways shift [T], brow raise [T] in 0..1, mouth [T, 2] (opening, width)."""

    roll: np.ndarray
    shift: np.ndarray
    brows: np.ndarray
    mouth: np.ndarray


def anchor(body: Body, name: str, side: int) -> np.ndarray:
    """Place [3] on the body from which the lexicon measures; raises KeyError for an unknown name."""
    top, height, half = -body.neck - body.head_height, body.head_height, body.head_width / 2
    out, down = {
        "temple": (half, top + 0.3 * height),
        "eyes": (0.0, top + 0.5 * height),
        "cheek": (half, top + 0.65 * height),
        "mouth": (0.0, top + 0.8 * height),
        "shoulder": (0.5, 0.0),
        "chest": (0.0, 0.35),
        "belly": (0.0, 0.8),
    }[name]
    return np.array([side * out, down, 0.0])


def skeleton(body: Body, hands: dict[int, HandMotion], head: HeadMotion) -> np.ndarray:
    """All 133 points over time as float64 [T, 133, 3] in shoulder widths; a hand out of reach is drawn in."""
    frames = len(head.roll)
    points = np.zeros((frames, 133, 3))
    for side, motion in hands.items():
        shoulder = np.array([side * 0.5, 0.0, 0.0])
        joints = body.hand * _hand_joints(motion.shape, motion.orientation, side)
        to_palm = PALM_CENTRE * body.hand * _hand_axes(motion.orientation, side)[..., 1]
        elbow, wrist = _reach(body, shoulder, motion.place - to_palm, side)
        points[:, SHOULDER[side]], points[:, ELBOW[side]], points[:, WRIST[side]] = shoulder, elbow, wrist
        points[:, HANDS[side]] = wrist[:, None] + joints
        hip = np.array([side * body.hip_width / 2, body.torso, 0.0])
        leg = np.array([[0, 0, 0], [0, 0.95, 0], [0, 1.9, 0]])
        points[:, [HIP[side], HIP[side] + 2, HIP[side] + 4]] = hip + leg
        first_foot_point = 17 if side == LEFT else 20
        foot = np.array([[side * 0.1, 2.05, 0.2], [side * 0.2, 2.05, 0.15], [0, 2.0, -0.1]])
        points[:, first_foot_point : first_foot_point + 3] = hip + foot
    face, features = _face(head)
    placed = np.concatenate([face, np.broadcast_to(features, (frames, *features.shape))], axis=1)
    placed = placed * [body.head_width, body.head_height, body.head_width]
    placed = _turn_head(body, placed, head)
    points[:, FACE], points[:, 0:5] = placed[:, :68], placed[:, 68:]
    return points


def _reach(body: Body, shoulder: np.ndarray, wrist: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Elbow [T, 3] and wrist [T, 3] of an arm whose elbow hangs down and outwards."""
    to_wrist = wrist - shoulder
    wanted = np.linalg.norm(to_wrist, axis=1, keepdims=True)
    axis = to_wrist / np.maximum(wanted, 1e-6)
    low, high = abs(body.upper_arm - body.forearm) + 0.05, (body.upper_arm + body.forearm) * 0.995
    distance = np.clip(wanted, low, high)
    along = (body.upper_arm**2 - body.forearm**2 + distance**2) / (2 * distance)
    off = np.sqrt(np.maximum(body.upper_arm**2 - along**2, 0))
    hang = np.array([side * 0.45, 1.0, -0.25])
    hang = hang - axis * (axis @ hang)[:, None]
    hang = hang / np.maximum(np.linalg.norm(hang, axis=1, keepdims=True), 1e-6)
    return shoulder + axis * along + hang * off, shoulder + axis * distance


def _hand_axes(orientation: np.ndarray, side: int) -> np.ndarray:
    """Axes of a hand [T, 3, 3]; columns point to the thumb's side, along the fingers, out of the palm."""
    point, palm, tilt = np.deg2rad(orientation).T
    zero = np.zeros_like(point)
    columns = np.stack(
        [
            np.stack([np.cos(palm), zero, -np.sin(palm)], -1),
            np.stack([zero, zero - 1, zero], -1),
            np.stack([np.sin(palm), zero, np.cos(palm)], -1),
        ],
        axis=1,
    )
    x, y, z = np.moveaxis(columns, -1, 0)
    tilt, point = tilt[:, None], point[:, None]
    y, z = y * np.cos(tilt) + z * np.sin(tilt), -y * np.sin(tilt) + z * np.cos(tilt)
    x, y = x * np.cos(point) - y * np.sin(point), x * np.sin(point) + y * np.cos(point)
    return np.stack([-side * x, y, z], axis=1)


def _hand_joints(shape: np.ndarray, orientation: np.ndarray, side: int) -> np.ndarray:
    """The 21 joints of a hand from its wrist as [T, 21, 3], in hand lengths."""
    frames = len(shape)
    curls, spread, knuckles = shape[:, :5], shape[:, 5], shape[:, 6]
    joints = np.zeros((frames, 21, 3))  # towards the thumb, along the fingers, out of the palm
    shares = np.stack([knuckles, np.ones(frames), np.ones(frames)], axis=1)
    for finger in range(4):
        fan = np.deg2rad(_FAN[finger] * spread)
        joint = np.broadcast_to([*_KNUCKLES[finger], 0.0], (frames, 3))
        bends = np.cumsum(np.deg2rad(_BENDS) * shares * curls[:, finger + 1, None], axis=1)
        joints[:, 5 + 4 * finger] = joint
        for bone in range(3):
            bend = bends[:, bone]
            direction = np.stack(
                [np.sin(fan) * np.cos(bend), np.cos(fan) * np.cos(bend), np.sin(bend)], axis=1
            )
            joint = joint + _BONES[finger, bone] * direction
            joints[:, 6 + 4 * finger + bone] = joint
    joint = np.broadcast_to(_THUMB_BASE, (frames, 3))
    joints[:, 1] = joint
    angles = np.deg2rad(_THUMB_OPEN + curls[:, :1] * (_THUMB_FOLDED - _THUMB_OPEN))
    for bone in range(3):
        raised = 0.25 + 0.35 * curls[:, 0] * (bone < 2)
        flat = np.sqrt(1 - raised**2)
        direction = np.stack([flat * np.sin(angles[:, bone]), flat * np.cos(angles[:, bone]), raised], axis=1)
        joint = joint + _THUMB_BONES[bone] * direction
        joints[:, 2 + bone] = joint
    return np.einsum("tij,tkj->tki", _hand_axes(orientation, side), joints)


def _face(head: HeadMotion) -> tuple[np.ndarray, np.ndarray]:
    """68 face points [T, 68, 3] and nose, eyes, ears [5, 3] about the head's middle, in head sizes."""
    points = np.zeros((len(head.roll), 68, 3))
    jaw = np.deg2rad(np.linspace(180, 0, 17))
    points[:, 0:17, :2] = np.stack([0.48 * np.cos(jaw), 0.02 + 0.47 * np.sin(jaw) ** 0.85], axis=1)
    points[:, 0:17, 1] += 0.08 * head.mouth[:, :1] * np.sin(jaw)  # the chin drops as the mouth opens
    arch = np.array([0.02, -0.015, -0.03, -0.025, -0.005])
    raise_ = -0.05 * head.brows[:, None]
    points[:, 17:22, 0], points[:, 17:22, 1] = np.linspace(-0.36, -0.08, 5), -0.13 + arch + raise_
    points[:, 22:27, 0], points[:, 22:27, 1] = np.linspace(0.08, 0.36, 5), -0.13 + arch[::-1] + raise_
    points[:, 27:31, 1] = np.linspace(-0.03, 0.16, 4)
    points[:, 31:36, 0], points[:, 31:36, 1] = (
        np.linspace(-0.09, 0.09, 5),
        0.19 - 0.02 * np.abs(np.arange(5) - 2),
    )
    eye = np.deg2rad([180, 120, 60, 0, -60, -120])
    for first, centre in ((36, -0.215), (42, 0.215)):
        points[:, first : first + 6, 0] = centre + 0.085 * np.cos(eye)
        points[:, first : first + 6, 1] = -0.02 - 0.035 * np.sin(eye)
    points[:, 48:68, :2] = _mouth(head.mouth)
    points[..., 2] = 0.5 * np.sqrt(np.maximum(0.27 - points[..., 0] ** 2, 0))
    features = np.array(
        [[0, 0.17, 0.5], [0.215, -0.02, 0.4], [-0.215, -0.02, 0.4], [0.5, 0.04, 0], [-0.5, 0.04, 0]]
    )
    return points, features


def _mouth(mouth: np.ndarray) -> np.ndarray:
    """Outer 12 and inner 8 lip points [T, 20, 2] for mouth [T, 2] (opening, width)."""
    opening, width = mouth[:, :1], mouth[:, 1:]
    outer, inner = np.deg2rad(180 - 30 * np.arange(12)), np.deg2rad(180 - 45 * np.arange(8))
    lips = []
    for angles, half_width, upper, lower in (
        (outer, 0.17, 0.025 + 0.04 * opening, 0.035 + 0.2 * opening),
        (inner, 0.13, 0.004 + 0.03 * opening, 0.004 + 0.17 * opening),
    ):
        height = np.where(np.sin(angles) > 0, upper, lower)
        lips.append(np.stack([half_width * width * np.cos(angles), 0.3 - height * np.sin(angles)], axis=-1))
    return np.concatenate(lips, axis=1)


def _turn_head(body: Body, points: np.ndarray, head: HeadMotion) -> np.ndarray:
    """Roll head points [T, N, 3], given about the head's middle, about the neck and shift them sideways."""
    roll = np.deg2rad(head.roll)[:, None]
    x, y = points[..., 0], points[..., 1] - body.head_height / 2 - body.neck / 2
    turned = [x * np.cos(roll) - y * np.sin(roll) + head.shift[:, None], x * np.sin(roll) + y * np.cos(roll)]
    return np.stack([turned[0], turned[1] - body.neck / 2, points[..., 2]], axis=-1)
