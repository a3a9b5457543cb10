"""What counts of annotated glosses: one case for each rule, and what holds of all."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.gloss_cleanup import Cleanup, clean_glosses

BOTH: dict[str, str] = {
    "__LEFTHAND__ REGEN __EMOTION__": "REGEN",
    "HABEN __EPENTHESIS__ HABEN": "HABEN",
    "loc-NORD cl-KOMMEN": "NORD KOMMEN",
    "GROSS-PLUSPLUS WOLKE": "GROSS WOLKE",
    "SUEDRAUM RAUM": "SUED RAUM",
    "WIE AUSSEHEN": "WIE-AUSSEHEN",
    "A B": "A B",  # at the end of the text the first rule wants something behind
    "A B C": "A+B+C",
    "WORT A B C D E F REGEN": "WORT A+B+C+D+E+F REGEN",
    "WORT SCH A NN B C": "WORT SCH+A+NN+B+C",
    "WORT SCH A NN B": "WORT SCH+A+NN B",  # the last rule, for the end, knows single letters only
    "REGEN REGEN REGEN  REGEN REGEN REGEN": "REGEN",
    "REGEN IX REGEN": "REGEN IX REGEN",
    "NEG-HABEN NEG-HABEN": "NEG-HABEN",
    "X+Y X+Y": "X+Y+X+Y",
    "  ": "",
}
PHOENIX_2014 = {
    "qu-WAS poss-MEIN lh-DREI": "WAS MEIN DREI",
    "S0NNE SONNE HABEN2 HABEN": "SONNE HABEN",
    "__PU__ REGEN __ON__": "REGEN __ON__",
    "ZEIGEN REGEN ZEIGEN": "ZEIGEN-BILDSCHIRM REGEN ZEIGEN-BILDSCHIRM",
}
PHOENIX_2014T = {
    "qu-WAS poss-MEIN": "qu-WAS poss-MEIN",
    "S0NNE HABEN2": "S0NNE HABEN2",
    "__PU__ REGEN __ON__ __OFF__": "REGEN",
    "ZEIGEN": "ZEIGEN",
}
CASES = [("phoenix2014", *case) for case in (BOTH | PHOENIX_2014).items()]
CASES += [("phoenix2014t", *case) for case in (BOTH | PHOENIX_2014T).items()]


@pytest.mark.parametrize(("cleanup", "text", "expected"), CASES)
def test_each_rule(cleanup: Cleanup, text: str, expected: str) -> None:
    assert clean_glosses(text, cleanup) == expected


def test_without_cleanup_nothing_changes() -> None:
    assert clean_glosses("loc-NORD  REGEN REGEN", "none") == "loc-NORD  REGEN REGEN"


@given(
    st.lists(
        st.sampled_from(["REGEN", "A", "SCH", "loc-NORD", "__ON__", "WIE", "AUSSEHEN", "GROSS-PLUSPLUS"])
    )
)
def test_words_are_separated_once_and_differ_from_the_one_before(words: list[str]) -> None:
    for cleanup in ("phoenix2014", "phoenix2014t"):
        found = clean_glosses(" ".join(words), cleanup).split(" ")
        assert found == [""] or "" not in found
        assert all(before != word for before, word in pairwise(found))
