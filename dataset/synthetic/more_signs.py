"""Forty more signs beside those of `signs`, most of them in look-alike pairs: together the larger, harder lexicon."""

from collections.abc import Callable
from typing import NamedTuple

from dataset.synthetic.signs import (
    AMPLITUDE_CUE,
    CLOSED,
    CURL_CUE,
    CURVED,
    DIRECTION_CUE,
    FIST,
    FLAT,
    HORN,
    INDEX,
    LOOK_ALIKES,
    OPEN,
    PLACE_CUE,
    SIGNS,
    VEE,
    Handshape,
    LookAlike,
    Mouth,
    Orientation,
    Place,
    Sign,
    Track,
    along,
    shake,
)

# What the cue is for the first and for the second sign of a pair.
CUES = {
    "amplitude": (1.0, AMPLITUDE_CUE),
    "curl": (CURL_CUE, 0.0),
    "direction": (0.0, DIRECTION_CUE),
    "place": (0.0, PLACE_CUE),
}
UP, INWARDS, DOWN = Orientation(0, 0), Orientation(75, 100), Orientation(140, 90)


class _Form(NamedTuple):
    """Both hands, and what the face does."""

    right: Track
    left: Track | None = None
    mouth: Mouth = CLOSED
    head_roll: float = 0.0


class _Pair(NamedTuple):
    """Two signs of one form, which depends on the size of the cue."""

    first: str
    second: str
    similar_meaning: bool
    cue: str
    form: Callable[[float], _Form]


def _both(track: Track) -> _Form:
    return _Form(track, track)


def _curled(curl: float) -> Handshape:
    return Handshape(0.3 * curl, curl, curl, curl, curl, spread=0.6, knuckles=0.5)


def _swing(centre: Place, length: float, angle: float, cycles: int = 2) -> tuple[Place, ...]:
    """There-and-back movement within the image plane."""
    return shake(centre, along(length, angle), cycles)


def _still(anchor: str, place: Place, shape: Handshape, orientation: Orientation) -> Track:
    return Track(anchor, (place,), (shape,), (orientation,))


_PAIRS = (
    _Pair(
        "mother",
        "father",
        True,
        "place",
        lambda lower: _Form(
            Track("temple", ((0.1, lower, 0.25), (0.25, lower, 0.4)) * 2, (OPEN,), (Orientation(-20, 70),))
        ),
    ),
    _Pair(
        "boy",
        "girl",
        True,
        "curl",
        lambda curl: _Form(
            Track("temple", ((0.2, 0, 0.3), (0.2, 0.15, 0.45)) * 2, (_curled(curl),), (Orientation(40, 80),))
        ),
    ),
    _Pair(
        "coffee",
        "tea",
        True,
        "direction",
        lambda angle: _Form(
            Track("belly", _swing((0.05, -0.35, 0.5), 0.18, angle, 3), (FIST,), (INWARDS,)),
            _still("belly", (0.05, 0, 0.4), FIST, INWARDS),
        ),
    ),
    _Pair(
        "eat",
        "food",
        True,
        "amplitude",
        lambda size: _Form(
            Track(
                "mouth",
                shake((0.2, 0.12, 0.35), (0, 0.08 * size, 0.05), 3),
                (CURVED,),
                (Orientation(25, 170),),
            )
        ),
    ),
    _Pair(
        "house",
        "home",
        True,
        "amplitude",
        lambda size: _both(
            Track(
                "shoulder",
                ((0.1, -0.2, 0.4), (0.1 + 0.17 * size, 0, 0.4)) * 2,
                (FLAT,),
                (Orientation(35, 90),),
            )
        ),
    ),
    _Pair(
        "teacher",
        "student",
        True,
        "place",
        lambda lower: _both(
            Track("eyes", ((0.45, lower, 0.2), (0.45, lower, 0.5)) * 2, (CURVED,), (Orientation(20, 20),))
        ),
    ),
    _Pair(
        "sister",
        "brother",
        True,
        "curl",
        lambda curl: _Form(
            Track("chest", ((0.3, 0.2, 0.5), (0.0, 0.2, 0.5)) * 2, (_curled(curl),), (INWARDS,)),
            _still("chest", (0.0, 0.4, 0.4), INDEX, INWARDS),
        ),
    ),
    _Pair(
        "hot",
        "warm",
        True,
        "direction",
        lambda angle: _Form(
            Track("mouth", _swing((0.25, 0.15, 0.4), 0.2, angle), (OPEN,), (Orientation(10, 150),)),
            mouth=Mouth(0.6, 0.9),
        ),
    ),
    _Pair(
        "king",
        "queen",
        True,
        "place",
        lambda lower: _Form(
            Track("shoulder", _swing((-0.1, lower, 0.35), 0.2, 45), (VEE,), (Orientation(30, 120),))
        ),
    ),
    _Pair(
        "milk",
        "problem",
        False,
        "place",
        lambda lower: _Form(Track("shoulder", ((0.15, lower - 0.1, 0.4),), (OPEN, FIST) * 3, (UP,))),
    ),
    _Pair(
        "river",
        "shirt",
        False,
        "direction",
        lambda angle: _Form(Track("chest", _swing((0.15, 0.1, 0.45), 0.28, angle), (VEE,), (DOWN,))),
    ),
    _Pair(
        "window",
        "lunch",
        False,
        "amplitude",
        lambda size: _Form(
            Track("chest", shake((0.05, -0.1, 0.45), (0, 0.11 * size, 0), 2), (FLAT,), (INWARDS,)),
            _still("chest", (0.05, 0.3, 0.4), FLAT, INWARDS),
        ),
    ),
    _Pair(
        "blue",
        "train",
        False,
        "curl",
        lambda curl: _Form(
            Track("chest", ((0.55, -0.1, 0.4), (0.2, -0.1, 0.4)) * 2, (_curled(curl),), (Orientation(0, 60),))
        ),
    ),
    _Pair(
        "flower",
        "question",
        False,
        "place",
        lambda lower: _Form(
            Track("mouth", ((0.2, lower, 0.3), (-0.1, lower, 0.3)) * 2, (HORN,), (Orientation(10, 160),))
        ),
    ),
    _Pair(
        "key",
        "yesterday",
        False,
        "direction",
        lambda angle: _Form(
            Track("belly", _swing((0.1, -0.25, 0.5), 0.2, angle), (INDEX,), (Orientation(60, 70),)),
            _still("belly", (0.05, 0.05, 0.4), OPEN, INWARDS),
        ),
    ),
    _Pair(
        "money",
        "cat",
        False,
        "amplitude",
        lambda size: _Form(
            Track("cheek", shake((0.3, 0.1, 0.35), (0.1 * size, 0, 0), 3), (VEE,), (Orientation(15, 100),))
        ),
    ),
    _Pair(
        "shoe",
        "moon",
        False,
        "place",
        lambda lower: _both(
            Track(
                "chest",
                ((0.35, lower - 0.15, 0.45), (0.1, lower - 0.15, 0.45)) * 2,
                (FIST,),
                (Orientation(60, 120),),
            )
        ),
    ),
    _Pair(
        "sugar",
        "number",
        False,
        "curl",
        lambda curl: _Form(
            Track(
                "cheek", ((0.15, 0.1, 0.3), (0.35, 0.3, 0.4)) * 2, (_curled(curl),), (Orientation(50, 150),)
            )
        ),
    ),
)


def _others() -> list[Sign]:
    """Signs that stand apart."""
    wing = Track("shoulder", ((0.55, 0, 0.2), (0.7, -0.35, 0.2)) * 2, (FLAT,), (Orientation(-50, 20),))
    hug = Track("chest", ((-0.15, 0.05, 0.35),), (FIST,), (Orientation(50, 180),))
    conduct = Track("shoulder", _swing((0.15, -0.25, 0.5), 0.25, 20, 3), (INDEX,), (Orientation(10, 30),))
    ears = Track("temple", ((0.1, -0.15, 0.2),), (VEE, FIST) * 3, (Orientation(0, 10),))
    return [
        Sign("airplane", wing, wing),
        Sign("love", hug, hug, head_roll=14),
        Sign("music", conduct, Track("chest", _swing((0.3, 0.2, 0.4), 0.15, 90), (OPEN,), (UP,))),
        Sign("horse", ears, mouth=Mouth(0.3, 1.2)),
    ]


def _paired() -> list[Sign]:
    return [
        Sign(gloss, *pair.form(size))
        for pair in _PAIRS
        for gloss, size in zip((pair.first, pair.second), CUES[pair.cue], strict=True)
    ]


LEXICON: tuple[Sign, ...] = (*SIGNS, *_paired(), *_others())
ALL_LOOK_ALIKES = [*LOOK_ALIKES, *(LookAlike(*pair[:4]) for pair in _PAIRS)]
