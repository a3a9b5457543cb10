"""Scores of translations: BLEU and chrF by the package sacrebleu, ROUGE-L as published. Specification section 11."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from utils.metrics import CONFIDENCE, DRAWS
from utils.packages import translation_package

Unit = Literal["words", "characters"]
ORDERS = (1, 2, 3, 4)  # of BLEU
SCORE = "BLEU-4"  # by which epochs and runs are compared


@dataclass(frozen=True)
class TextScores:
    """Scores of all sentences, in per cent, and intervals of 95 %: {"BLEU-1", ..., "BLEU-4", "ROUGE-L", "chrF": value}.

    chrF has no interval.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def score_texts(
    references: Sequence[str], hypotheses: Sequence[str], unit: Unit, seed: int = 0
) -> TextScores:
    """Compare texts with what should have been said.

    Args:
        references, hypotheses: one each for at least one sentence.
        unit: what is compared; characters without the spaces between words.
        seed: of the sentences drawn anew with replacement, a thousand times, which intervals are made from. They answer
            for the choice of sentences alone.

    Raises:
        UserError: the package is missing.
    """
    sacrebleu = translation_package("sacrebleu")
    read, said = ([in_units(text, unit) for text in texts] for texts in (references, hypotheses))
    bleu = sacrebleu.BLEU(tokenize="none", smooth_method="floor", smooth_value=0, effective_order=True)
    each = [bleu.sentence_score(h, [r]) for h, r in zip(said, read, strict=True)]
    counts = np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in each], dtype=np.int64)
    rouge = np.array([rouge_l(r.split(), h.split()) for r, h in zip(read, said, strict=True)])
    names = [f"BLEU-{order}" for order in ORDERS]
    values = dict(zip(names, corpus_bleu(counts.sum(axis=0)), strict=True)) | {"ROUGE-L": float(rouge.mean())}
    rng, sentences = np.random.default_rng(seed), len(each)
    drawn = []
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(0, sentences, sentences), minlength=sentences)
        drawn.append([*corpus_bleu(times @ counts), times @ rouge / sentences])
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    intervals = {name: (float(a), float(b)) for name, a, b in zip(values, low, high, strict=True)}
    values["chrF"] = sacrebleu.CHRF().corpus_score(list(hypotheses), [list(references)]).score
    return TextScores(values, intervals)


def in_units(text: str, unit: Unit) -> str:
    """A text with a space between what is compared."""
    return " ".join(text.split() if unit == "words" else "".join(text.split()))


def corpus_bleu(counts: np.ndarray) -> list[float]:
    """BLEU of orders 1 to 4 in per cent.

    Args:
        counts: int [10]: of each order the n-grams that are right, then those that there are, then the lengths of
            hypotheses and references.
    """
    right, there, (said, wanted) = counts[:4], counts[4:8], counts[8:]
    if said == 0:
        return [0.0] * len(ORDERS)
    brevity = np.exp(min(0.0, 1 - wanted / said))
    with np.errstate(divide="ignore"):
        logs = np.log(right / np.maximum(there, 1))
    means = np.cumsum(logs) / np.array(ORDERS)
    return [float(100 * brevity * np.exp(mean)) for mean in means]


def rouge_l(reference: Sequence[str], hypothesis: Sequence[str]) -> float:
    """ROUGE-L of one sentence in per cent. The weight of recall is precision divided by recall, as published."""
    common = _longest_common(reference, hypothesis)
    recall, precision = common / max(1, len(reference)), common / max(1, len(hypothesis))
    beta = precision / (recall + 1e-12)
    return 100 * (1 + beta**2) * recall * precision / (recall + beta**2 * precision + 1e-12)


def _longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for place, other in enumerate(b, start=1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]
