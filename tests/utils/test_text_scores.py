"""Scores of translations; the golden comparison has the published figures."""

import sys

import pytest

from utils.text_scores import in_units, rouge_l, score_texts


def test_equal_texts_have_full_marks_and_others_none() -> None:
    texts = ["it rains in the north today", "tomorrow the sun shines in the south"]
    same = score_texts(texts, texts, "words")
    assert all(value == pytest.approx(100) for value in same.values.values())
    assert all(pair == pytest.approx((100, 100)) for pair in same.intervals.values())
    nothing = score_texts(texts, ["", ""], "words")
    assert all(value == 0 for value in nothing.values.values())


def test_short_texts_are_punished_and_order_counts() -> None:
    reference = ["a b c d e f g h"]
    half = score_texts(reference, ["a b c d"], "words").values
    assert half["BLEU-4"] == pytest.approx(100 * 2.718281828459045**-1)  # all right, half as long
    mixed = score_texts(reference, ["a c b e d g f h"], "words").values
    assert mixed["BLEU-1"] == pytest.approx(100) and mixed["BLEU-4"] == 0


def test_intervals_are_around_the_value_and_the_same_again() -> None:
    references = [f"a b c d {i}" for i in range(20)]
    hypotheses = [text if i % 2 else "a b x d" for i, text in enumerate(references)]
    found = score_texts(references, hypotheses, "words")
    for name, (low, high) in found.intervals.items():
        assert low < found.values[name] < high
    assert score_texts(references, hypotheses, "words").intervals == found.intervals


def test_characters_are_compared_without_spaces() -> None:
    assert in_units("今天 天气", "characters") == "今 天 天 气"
    assert score_texts(["今天天气"], ["今天 天气"], "characters").values["BLEU-4"] == pytest.approx(100)


def test_rouge_weighs_recall_as_published() -> None:
    # Of "a b c d" and "a c": 2 in common, recall 1/2, precision 1, so beta is 2.
    expected = 100 * (1 + 4) * 0.5 * 1 / (0.5 + 4 * 1)
    assert rouge_l(["a", "b", "c", "d"], ["a", "c"]) == pytest.approx(expected)
    assert rouge_l(["a"], []) == 0


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(Exception, match="sacrebleu is not installed: pip install"):
        score_texts(["a"], ["a"], "words")
