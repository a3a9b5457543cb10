"""What of a gloss sequence does not count when it is scored (specification section 8).

The annotations of Phoenix tell more than the sign: where it is made, by which hand, whether it is repeated. Reference
and hypothesis are cleaned alike.
"""

import re
from typing import Literal

Cleanup = Literal["none", "phoenix2014", "phoenix2014t"]

_Rule = tuple[re.Pattern[str], str]  # what is replaced, and by what


def _rules(*rules: tuple[str, str]) -> tuple[_Rule, ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


_SPELLING = _rules(  # letters of a spelled word become one word: A B -> A+B
    (r"^([A-Z]) ([A-Z][+ ])", r"\1+\2"),
    (r"[ +]([A-Z]) ([A-Z]) ", r" \1+\2 "),
    *[(r"([ +][A-Z]) ([A-Z][ +])", r"\1+\2")] * 3,
    (r"([ +]SCH) ([A-Z][ +])", r"\1+\2"),
    (r"([ +]NN) ([A-Z][ +])", r"\1+\2"),
    (r"([ +][A-Z]) (NN[ +])", r"\1+\2"),
    (r"([ +][A-Z]) ([A-Z])$", r"\1+\2"),
)
_SPACES = _rules((r" +", " "))
_REPETITIONS = _rules(*[(r"(?<![\w-])(\b[A-Z]+(?![\w-])) \1(?![\w-])", r"\1")] * 4)

_PHOENIX_2014 = (
    *_rules(
        (r"loc-|cl-|qu-|poss-|lh-", ""),
        (r"S0NNE", "SONNE"),
        (r"HABEN2", "HABEN"),
        (r"__EMOTION__|__PU__|__LEFTHAND__|__EPENTHESIS__", ""),
        (r"WIE AUSSEHEN", "WIE-AUSSEHEN"),
        (r"ZEIGEN ", "ZEIGEN-BILDSCHIRM "),
        (r"ZEIGEN$", "ZEIGEN-BILDSCHIRM"),
    ),
    *_SPELLING,
    *_rules((r"([A-Z][A-Z])RAUM", r"\1"), (r"-PLUSPLUS", "")),
    *_SPACES,
    *_REPETITIONS,
)
_PHOENIX_2014T = (
    *_rules(
        (r"__LEFTHAND__|__EPENTHESIS__|__EMOTION__", ""),
        (r"\b__[^_ ]*__\b", ""),
        (r"\bloc-([^ ]*)\b", r"\1"),
        (r"\bcl-([^ ]*)\b", r"\1"),
        (r"\b([^ ]*)-PLUSPLUS\b", r"\1"),
        (r"\b([A-Z][A-Z]*)RAUM\b", r"\1"),
        (r"WIE AUSSEHEN", "WIE-AUSSEHEN"),
    ),
    *_SPELLING,
    *_SPACES,
    *_REPETITIONS,
)
_RULES = {"phoenix2014": _PHOENIX_2014, "phoenix2014t": _PHOENIX_2014T}


def clean_glosses(text: str, cleanup: Cleanup) -> str:
    """The glosses that count, separated by single spaces, without repeats of the word before.

    Args:
        text: glosses as they are annotated or recognised, in upper case, separated by spaces.
        cleanup: of which data set; `none` gives the text back as it is.
    """
    if cleanup == "none":
        return text
    for pattern, replacement in _RULES[cleanup]:
        text = pattern.sub(replacement, text)
    words = text.split()
    return " ".join(word for before, word in zip(["", *words], words, strict=False) if word != before)
