"""From a gloss as annotators write it to the words that a table of word vectors may know."""

import re
import unicodedata

_FINGERSPELLED = re.compile(r"^(?:#|fs[-:_ ])", re.IGNORECASE)  # #JOB, fs-JOHN
_VARIANT = re.compile(r"(?<=[^\W\d])[\s_#.-]*(?:\(\s*\d+\s*\)|(?<=[\s_#.-])\d+)$")  # book(1), book_2, BOOK #3
_SPELLED = re.compile(r"^[^\W\d_](?:[-. ][^\W\d_])+\.?$")  # d-o-g, t.v.
_SEPARATORS = re.compile(r"[\s_/+,;:()\[\]]+")
_PUNCTUATION = "\"'`.?!*#&-"


def words_of_gloss(gloss: str) -> list[str]:
    """The words of a gloss, as written but for what annotation adds to them; at least one.

    Marks of fingerspelling and numbers of variants are dropped (`book(1)`, `BOOK_2` -> book, BOOK), spelled letters
    joined (`d-o-g` -> dog), several words taken apart (`ice_cream` -> ice, cream). Hyphenated words stay whole.
    """
    text = unicodedata.normalize("NFKC", gloss).strip()
    text = _VARIANT.sub("", _FINGERSPELLED.sub("", text)).strip()
    if _SPELLED.match(text):
        return [re.sub(r"[-. ]", "", text)]
    words = [word.strip(_PUNCTUATION) for word in _SEPARATORS.split(text)]
    return [word for word in words if word] or [gloss]


def spellings(word: str) -> list[str]:
    """How a word may stand in a table, likeliest first: glosses in capitals are a convention, names have one."""
    return list(dict.fromkeys([word.lower(), word, word.capitalize(), word.upper()]))


def pieces(word: str) -> list[str]:
    """What a word that no table knows is made of: the parts of a hyphenated one, the characters of a Chinese one."""
    if "-" in word:
        return [part for part in word.split("-") if part]
    if len(word) > 1 and all("CJK" in unicodedata.name(character, "") for character in word):
        return list(word)
    return []
