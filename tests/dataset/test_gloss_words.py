"""Glosses as annotators write them."""

import pytest

from dataset.glosses.words import pieces, spellings, words_of_gloss


@pytest.mark.parametrize(
    ("gloss", "words"),
    [
        ("book", ["book"]),
        ("BOOK(1)", ["BOOK"]),
        ("book (2)", ["book"]),
        ("book_2", ["book"]),
        ("BOOK#3", ["BOOK"]),
        ("ice_cream", ["ice", "cream"]),
        ("ice cream", ["ice", "cream"]),
        ("hard of hearing", ["hard", "of", "hearing"]),
        ("give/take", ["give", "take"]),
        ("bank (river)", ["bank", "river"]),
        ("ice-skating", ["ice-skating"]),
        ("d-o-g", ["dog"]),
        ("T.V.", ["TV"]),
        ("u s a", ["usa"]),
        ("fs-JOHN", ["JOHN"]),
        ("#JOB", ["JOB"]),
        ("don't", ["don't"]),
        ("what?", ["what"]),
        ("30", ["30"]),
        ("a", ["a"]),
        ("高兴（1）", ["高兴"]),  # noqa: RUF001
        ("Mädchen2", ["Mädchen2"]),
        ("?", ["?"]),
    ],
)
def test_words_of_gloss(gloss: str, words: list[str]) -> None:
    assert words_of_gloss(gloss) == words


def test_spellings_and_pieces() -> None:
    assert spellings("OK") == ["ok", "OK", "Ok"]
    assert spellings("africa") == ["africa", "Africa", "AFRICA"]
    assert pieces("ice-skating") == ["ice", "skating"]
    assert pieces("高兴") == ["高", "兴"]
    assert pieces("book") == [] and pieces("高") == []
