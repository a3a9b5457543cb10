"""Word errors against all alignments of short sentences, and against examples counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.word_errors import WordErrors, align_words, count_errors, error_rate_interval

PREFERRED = ["correct", "substitution", "insertion", "deletion"]
COSTS = {"correct": 0, "substitution": 4, "insertion": 3, "deletion": 3}


def all_alignments(reference: str, hypothesis: str) -> list[list[str]]:
    """Operations from the end."""
    if not reference and not hypothesis:
        return [[]]
    found = []
    if reference and hypothesis:
        matched = "correct" if reference[-1] == hypothesis[-1] else "substitution"
        found += [[matched, *rest] for rest in all_alignments(reference[:-1], hypothesis[:-1])]
    if hypothesis:
        found += [["insertion", *rest] for rest in all_alignments(reference, hypothesis[:-1])]
    if reference:
        found += [["deletion", *rest] for rest in all_alignments(reference[:-1], hypothesis)]
    return found


@given(st.text("AB", max_size=4), st.text("ABC", max_size=4))
def test_of_the_cheapest_alignments_the_preferred_one(reference: str, hypothesis: str) -> None:
    best = min(
        all_alignments(reference, hypothesis),
        key=lambda ways: (sum(COSTS[way] for way in ways), [PREFERRED.index(way) for way in ways]),
    )
    aligned = align_words(reference, hypothesis)
    assert [operation for operation, _, _ in aligned][::-1] == best
    assert "".join(word for _, word, _ in aligned if word) == reference
    assert "".join(word for _, _, word in aligned if word) == hypothesis
    assert count_errors(reference, hypothesis) == WordErrors(
        len(reference), best.count("substitution"), best.count("deletion"), best.count("insertion")
    )


def test_hand_counted_example() -> None:
    assert align_words(["MORGEN", "REGEN", "NORD"], ["REGEN", "SUED", "KOMMEN"]) == [
        ("deletion", "MORGEN", None),
        ("correct", "REGEN", "REGEN"),
        ("insertion", None, "SUED"),
        ("substitution", "NORD", "KOMMEN"),
    ]
    found = count_errors(["MORGEN", "REGEN", "NORD"], ["REGEN", "SUED", "KOMMEN"])
    assert found == WordErrors(words=3, substitutions=1, deletions=1, insertions=1)
    assert found.errors == 3 and found.rate == 100.0


def test_two_wrong_words_are_substituted_rather_than_deleted_and_inserted() -> None:
    assert count_errors("AB", "BA") == WordErrors(2, 0, 1, 1)  # 6 against 8 of two substitutions
    assert count_errors("AB", "CD") == WordErrors(2, 2, 0, 0)
    assert count_errors("A", "BCD") == WordErrors(1, 1, 0, 2)


def test_long_sentences_do_not_overflow() -> None:
    assert count_errors(["A"] * 300, ["B"] * 100) == WordErrors(300, 100, 200, 0)


def test_without_words() -> None:
    assert count_errors([], []) == WordErrors() and WordErrors().rate == 0.0
    assert count_errors(["A", "B"], []) == WordErrors(2, 0, 2, 0)
    assert count_errors([], ["A", "B"]).rate == 200.0


def test_the_total_is_of_all_words_and_no_mean_of_rates() -> None:
    total = sum([WordErrors(1, 1), WordErrors(9, 0, 1), WordErrors(10, 0, 0, 2)], WordErrors())
    assert total == WordErrors(20, 1, 1, 2)
    assert total.rate == pytest.approx(20.0)


def test_intervals_hold_the_rate_about_as_often_as_they_say() -> None:
    """Sets of 60 sentences of 3 to 9 words, each wrong with a known probability: 95 % of the intervals, +- 4 %."""
    rng, share, held = np.random.default_rng(0), 0.3, 0
    for seed in range(100):
        words = rng.integers(3, 10, 60).tolist()
        low, high = error_rate_interval([WordErrors(n, int(rng.binomial(n, share))) for n in words], seed)
        held += low <= 100 * share <= high
    assert 88 <= held <= 99


def test_intervals_of_sentences_that_are_all_alike_have_no_width() -> None:
    assert error_rate_interval([WordErrors(4, 1)] * 7) == (25.0, 25.0)
    assert error_rate_interval([WordErrors()] * 3) == (0.0, 0.0)


def test_long_sentences_weigh_more() -> None:
    low, high = error_rate_interval([WordErrors(1, 1)] * 50 + [WordErrors(99, 0)] * 50)
    assert 0.0 < low < 1.0 < high < 2.0
