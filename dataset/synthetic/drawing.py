"""Drawing of a synthetic signer: one picture from 133 points in pixels and an appearance.

The picture is drawn at twice its size with anti-aliasing, then reduced. Depth is resolved by drawing order:
background, hair, trunk, head, then the arm that is further from the camera before the nearer one.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from dataset.synthetic.skeleton import ELBOW, FACE, FINGERS, HANDS, HIP, LEFT, RIGHT, SHOULDER, WRIST

SUPERSAMPLING = 2
_SUBPIXEL_BITS = 4

Colour = tuple[float, float, float]  # red, green, blue in 0..255


@dataclass(frozen=True)
class Appearance:
    """How a signer looks; widths in shoulder widths."""

    skin: Colour
    hair: Colour
    hair_style: str  # "short", "long", "bun" or "bald"
    clothes: Colour
    long_sleeves: bool
    arm_width: float
    background: np.ndarray  # uint8 [size * SUPERSAMPLING, size * SUPERSAMPLING, 3]


def shaded(colour: Colour, factor: float) -> Colour:
    """Colour made darker (factor below 1) or lighter."""
    red, green, blue = (min(255.0, channel * factor) for channel in colour)
    return red, green, blue


def draw(points: np.ndarray, look: Appearance, unit: float) -> np.ndarray:
    """Draw one picture as uint8 [size, size, 3], RGB.

    points: float [133, 3], x and y in pixels of the picture, z in pixels towards the camera;
    unit: pixels in a shoulder width.
    """
    canvas = _Canvas(look.background, unit * SUPERSAMPLING)
    points = points * SUPERSAMPLING
    _draw_hair_behind(canvas, points, look)
    _draw_trunk(canvas, points, look)
    _draw_head(canvas, points, look)
    for side in sorted((LEFT, RIGHT), key=lambda side: points[WRIST[side], 2]):
        _draw_arm(canvas, points, look, side)
        _draw_hand(canvas, points[HANDS[side]], look)
    size = look.background.shape[0] // SUPERSAMPLING
    return cv2.resize(canvas.picture, (size, size), interpolation=cv2.INTER_AREA)


class _Canvas:
    """A picture with sub-pixel drawing; widths are given in shoulder widths."""

    def __init__(self, background: np.ndarray, unit: float) -> None:
        self.picture = background.copy()
        self.unit = unit

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        cv2.fillPoly(self.picture, [_fixed(points)], colour, cv2.LINE_AA, _SUBPIXEL_BITS)

    def line(self, points: np.ndarray, *strokes: tuple[float, Colour]) -> None:
        """Lines of these widths and colours, one over the other."""
        fixed = [_fixed(points)]
        for width, colour in strokes:
            thickness = max(1, round(width * self.unit))
            cv2.polylines(self.picture, fixed, False, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

    def disc(self, centre: np.ndarray, radius: float, colour: Colour) -> None:
        x, y = (round(value * 2**_SUBPIXEL_BITS) for value in centre[:2].tolist())
        reach = round(radius * self.unit * 2**_SUBPIXEL_BITS)
        cv2.circle(self.picture, (x, y), reach, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)

    def limb(self, a: np.ndarray, b: np.ndarray, widths: tuple[float, float], colour: Colour) -> None:
        """A tapered limb with a darker rim and a lighter middle."""
        along = b[:2] - a[:2]
        length = float(np.hypot(*along))
        across = np.array([-along[1], along[0]]) / length if length > 1e-3 else np.zeros(2)
        for grow, factor in ((0.018, 0.7), (0.0, 1.0), (-0.045, 1.08)):
            wide, narrow = (max(width / 2 + grow, 0.01) for width in widths)
            first, last = across * wide * self.unit, across * narrow * self.unit
            tone = shaded(colour, factor)
            self.disc(a, wide, tone)
            self.disc(b, narrow, tone)
            self.polygon(np.array([a[:2] + first, b[:2] + last, b[:2] - last, a[:2] - first]), tone)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(points[:, :2] * 2**_SUBPIXEL_BITS).astype(np.int32)


def _head_frame(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle of the head and its half-axes to the right of the picture and down."""
    face = points[FACE, :2]
    right = (face[16] - face[0]) / 0.96
    ears = (face[0] + face[16]) / 2
    down = (face[33] - face[27]) / 0.44  # along the nose, for the chin drops as the mouth opens
    return ears, right, down


def _oval(
    centre: np.ndarray, right: np.ndarray, down: np.ndarray, start: float = 0, stop: float = 360
) -> np.ndarray:
    cosine, sine = _arc(start, stop)
    return centre + right * cosine + down * sine


@cache
def _arc(start: float, stop: float) -> tuple[np.ndarray, np.ndarray]:
    angles = np.deg2rad(np.linspace(start, stop, 25))[:, None]
    return np.cos(angles), np.sin(angles)


def _draw_hair_behind(canvas: _Canvas, points: np.ndarray, look: Appearance) -> None:
    centre, right, down = _head_frame(points)
    if look.hair_style == "long":
        top = _oval(centre, 0.62 * right, 1.1 * down, 180, 360)
        ends = np.array([centre + 0.72 * right + 1.75 * down, centre - 0.72 * right + 1.75 * down])
        canvas.polygon(np.concatenate([top, ends]), shaded(look.hair, 0.8))
    elif look.hair_style == "bun":
        canvas.disc(centre - 1.2 * down, 0.14, look.hair)


def _draw_trunk(canvas: _Canvas, points: np.ndarray, look: Appearance) -> None:
    left, right = points[SHOULDER[RIGHT], :2], points[SHOULDER[LEFT], :2]  # in the picture
    hip_left, hip_right = points[HIP[RIGHT], :2], points[HIP[LEFT], :2]
    unit = canvas.unit
    neck = (left + right) / 2
    chin = points[FACE, :2][8]
    side, down = np.array([unit, 0.0]), np.array([0.0, unit])
    outline = [
        neck - 0.17 * side - 0.08 * down,
        left + 0.03 * side - 0.05 * down,
        left - 0.08 * side + 0.08 * down,
        left - 0.03 * side + 0.4 * down,
        left + 0.01 * side + 0.9 * down,
        hip_left - 0.13 * side,
        hip_left - 0.16 * side + 0.4 * down,
        hip_right + 0.16 * side + 0.4 * down,
        hip_right + 0.13 * side,
        right - 0.01 * side + 0.9 * down,
        right + 0.03 * side + 0.4 * down,
        right + 0.08 * side + 0.08 * down,
        right - 0.03 * side - 0.05 * down,
        neck + 0.17 * side - 0.08 * down,
    ]
    cloth = shaded(look.clothes, 0.88)
    canvas.polygon(np.array(outline), cloth)
    canvas.polygon(_oval(neck - 0.06 * down, 0.17 * side, 0.14 * down), shaded(look.clothes, 0.6))
    canvas.polygon(_oval(neck - 0.08 * down, 0.15 * side, 0.13 * down), shaded(look.skin, 0.85))
    jaw = chin - 0.12 * down
    throat = [neck - 0.14 * side, jaw - 0.14 * side, jaw + 0.14 * side, neck + 0.14 * side]
    canvas.polygon(np.array(throat), shaded(look.skin, 0.78))


def _draw_head(canvas: _Canvas, points: np.ndarray, look: Appearance) -> None:
    centre, right, down = _head_frame(points)
    for sign in (-1, 1):
        canvas.disc(centre + sign * 0.5 * right, 0.055, shaded(look.skin, 0.8))
    jaw = points[FACE, :2][:17]
    crown = _oval(centre, 0.49 * right, 0.98 * down, 360, 180)
    canvas.polygon(np.concatenate([jaw, crown]), look.skin)
    if look.hair_style != "bald":
        canvas.polygon(_hairline(centre, right, down), look.hair)
    _draw_face(canvas, points[FACE, :2], look)


def _hairline(centre: np.ndarray, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    cap = _oval(centre + 0.02 * down, 0.53 * right, 1.12 * down, 180, 360)
    fringe = _oval(centre - 0.02 * down, 0.42 * right, 0.58 * down, 360, 180)
    return np.concatenate([cap, fringe])


def _draw_face(canvas: _Canvas, face: np.ndarray, look: Appearance) -> None:
    shadow = shaded(look.skin, 0.7)
    brow = shaded(look.hair, 0.8) if look.hair_style != "bald" else shaded(look.skin, 0.45)
    for first in (17, 22):
        canvas.line(face[first : first + 5], (0.025, brow))
    for first in (36, 42):
        eye = face[first : first + 6]
        canvas.polygon(eye, (240, 240, 240))
        canvas.disc(eye.mean(axis=0), 0.02, (35, 25, 20))
        canvas.line(eye[:4], (0.01, shaded(look.skin, 0.4)))
    canvas.line(face[27:31], (0.012, shadow))
    canvas.line(face[31:36], (0.02, shadow))
    red, green, blue = look.skin
    canvas.polygon(face[48:60], (0.45 * red + 80, 0.45 * green + 15, 0.45 * blue + 20))
    canvas.polygon(face[60:68], (45, 15, 15))


def _draw_arm(canvas: _Canvas, points: np.ndarray, look: Appearance, side: int) -> None:
    shoulder, elbow, wrist = points[SHOULDER[side]], points[ELBOW[side]], points[WRIST[side]]
    thick, thin = look.arm_width, 0.62 * look.arm_width
    cuff = 1.12  # sleeves are wider than the arm
    inward = np.array([-side * 0.03, 0.07, 0.0]) * canvas.unit
    shoulder = shoulder + inward  # the joint lies below the outline of the shoulder
    if look.long_sleeves:
        canvas.limb(shoulder, elbow, (thick * cuff, 0.85 * thick * cuff), look.clothes)
        canvas.limb(elbow, elbow + 0.93 * (wrist - elbow), (0.85 * thick * cuff, thin * cuff), look.clothes)
    else:
        canvas.limb(shoulder, elbow, (0.9 * thick, 0.8 * thick), look.skin)
        canvas.limb(
            shoulder, shoulder + 0.55 * (elbow - shoulder), (thick * cuff, thick * cuff), look.clothes
        )
        canvas.limb(elbow, wrist, (0.8 * thick, thin), look.skin)


def _draw_hand(canvas: _Canvas, joints: np.ndarray, look: Appearance) -> None:
    """Palm and fingers, the farthest first; nearer parts are lighter."""
    unit = canvas.unit
    palm = joints[[0, 1, 2, 5, 9, 13, 17]]
    wrist_depth = joints[0, 2]
    parts: list[tuple[float, tuple[int, ...] | None]] = [(float(palm[:, 2].mean()), None)]
    parts += [(float(joints[list(finger), 2].mean()), finger) for finger in FINGERS]
    for depth, finger in sorted(parts, key=lambda part: part[0]):
        colour = shaded(look.skin, float(np.clip(1.02 + 0.5 * (depth - wrist_depth) / unit, 0.86, 1.16)))
        rim = shaded(look.skin, 0.5)
        if finger is None:
            outline = joints[[1, 5, 9, 13, 17, 0]]
            canvas.line(outline[[0, 1, 2, 3, 4, 5, 0]], (0.13, rim), (0.09, colour))
            canvas.polygon(outline, colour)
        else:
            width = 0.095 if finger[0] == 1 else 0.085
            canvas.line(joints[list(finger)], (width + 0.04, rim), (width, colour))
            if finger[0] != 1:
                canvas.disc(joints[finger[0]], width / 2, colour)
