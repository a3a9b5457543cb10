"""Fonts for glosses of any script, among those that are installed."""

from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

# Comes with matplotlib: Latin, Greek, Cyrillic, Arabic and more.
DEFAULT = font_manager.findfont("DejaVu Sans")


def covering_font(texts: Iterable[str]) -> str:
    """The file of a font that has every character of the texts, the default one if none does."""
    return _covering(
        frozenset(ord(character) for text in texts for character in text if character.isprintable())
    )


@cache
def _covering(characters: frozenset[int]) -> str:
    for path in [DEFAULT, *sorted(font_manager.findSystemFonts(), key=_plainness)]:
        try:
            if characters <= FT2Font(path).get_charmap().keys():
                return path
        except (OSError, RuntimeError):  # a font file that FreeType cannot read
            continue
    return DEFAULT


def _plainness(path: str) -> tuple[bool, bool, str]:
    return "Sans" not in path, "Regular" not in path, path
