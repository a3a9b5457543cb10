"""Word error rates of sentences: what is substituted, deleted and inserted (specification section 8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from utils.metrics import CONFIDENCE, DRAWS

Operation = Literal["correct", "substitution", "insertion", "deletion"]
# What an alignment pays: a substitution is less than a deletion and an insertion.
SUBSTITUTION, DELETION, INSERTION = 4, 3, 3


@dataclass(frozen=True)
class WordErrors:
    """Counts of one sentence, or of many: they can be added, `sum(errors, WordErrors())`.

    words: of the reference.
    """

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors in per cent of the words, above 100 where more is inserted; without words, in per cent of one."""
        return 100.0 * self.errors / max(self.words, 1)

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def align_words(
    reference: Sequence[str], hypothesis: Sequence[str]
) -> list[tuple[Operation, str | None, str | None]]:
    """How the hypothesis comes of the reference, at the least cost.

    Of equal alignments, from the end, a correct word is taken first, then a substitution, an insertion, a deletion.

    Returns:
        In order, each operation with the reference's word (None of an insertion) and the hypothesis' word (None of a
        deletion).
    """
    costs = [[INSERTION * j for j in range(len(hypothesis) + 1)]]  # costs[i][j]: of the first i and j words
    for i, word in enumerate(reference, start=1):
        above, row = costs[-1], [DELETION * i]
        for j, other in enumerate(hypothesis, start=1):
            matched = above[j - 1] + (0 if word == other else SUBSTITUTION)
            row.append(min(matched, row[-1] + INSERTION, above[j] + DELETION))
        costs.append(row)

    aligned: list[tuple[Operation, str | None, str | None]] = []
    i, j = len(reference), len(hypothesis)
    while i or j:
        cost = costs[i][j]
        if i and j and reference[i - 1] == hypothesis[j - 1] and cost == costs[i - 1][j - 1]:
            i, j = i - 1, j - 1
            aligned.append(("correct", reference[i], hypothesis[j]))
        elif i and j and cost == costs[i - 1][j - 1] + SUBSTITUTION:
            i, j = i - 1, j - 1
            aligned.append(("substitution", reference[i], hypothesis[j]))
        elif j and cost == costs[i][j - 1] + INSERTION:
            j -= 1
            aligned.append(("insertion", None, hypothesis[j]))
        else:
            i -= 1
            aligned.append(("deletion", reference[i], None))
    return aligned[::-1]


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> WordErrors:
    """The errors of one sentence."""
    operations = [operation for operation, _, _ in align_words(reference, hypothesis)]
    counts = [operations.count(operation) for operation in ("substitution", "deletion", "insertion")]
    return WordErrors(len(reference), *counts)


def error_rate_interval(per_sentence: Sequence[WordErrors], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the total rate, in per cent, from sentences drawn anew with replacement.

    It answers for the choice of test sentences alone. Equal seeds draw equal sentences for all that is compared.

    Args:
        per_sentence: at least one.
    """
    counts = np.array([(sentence.errors, sentence.words) for sentence in per_sentence])
    sentences = len(counts)
    rng = np.random.default_rng(seed)
    drawn = (np.bincount(rng.integers(0, sentences, sentences), minlength=sentences) for _ in range(DRAWS))
    errors, words = np.array([times @ counts for times in drawn]).T
    low, high = np.quantile(
        100.0 * errors / np.maximum(words, 1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    )
    return float(low), float(high)
