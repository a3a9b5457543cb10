"""Fonts for glosses of any script, among those that are installed."""

from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

DEFAULT = font_manager.findfont(
    "DejaVu Sans"
)  # comes with matplotlib: Latin, Greek, Cyrillic, Arabic and more


def covering_font(texts: Iterable[str]) -> str:
    """The file of a font that has every character of the texts, the default one if none does."""
    return _covering(
        frozenset(ord(character) for text in texts for character in text if character.isprintable())
    )


def font_family(texts: Iterable[str]) -> str:
    """The name of that font."""
    return font_manager.FontProperties(fname=covering_font(texts)).get_name()


@cache
def _covering(characters: frozenset[int]) -> str:
    # matplotlib brings a font that has every character, as an empty box.
    fonts = {font.fname for font in font_manager.fontManager.ttflist if "LastResort" not in font.fname}
    for path in [DEFAULT, *sorted(fonts)]:
        try:
            if characters <= FT2Font(path).get_charmap().keys():
                return path
        except (OSError, RuntimeError):  # a font file that FreeType cannot read
            continue
    return DEFAULT
