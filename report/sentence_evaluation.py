"""What an evaluation of continuous recognition says: which glosses were read, and which were not.

`inference.sentence_errors` wrote it; the glosses of references and hypotheses are as the word error rate compares them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from report.runs import evaluation_content, evaluation_path
from utils.boundaries import BoundaryDistances, Span, boundary_distances
from utils.errors import UserError
from utils.files import read_json
from utils.metrics import COMPLETE, Coverage
from utils.word_errors import Operation, WordErrors, align_words, count_errors, error_rate_interval


@dataclass(frozen=True)
class ReadSentence:
    """A sentence and what was read in it.

    hypotheses: by head and ensemble. spans: of the reported one, before clean-up.
    """

    name: str
    reference: list[str]
    hypotheses: dict[str, list[str]]
    spans: list[Span]


@dataclass(frozen=True)
class HeadErrors:
    """The errors of a head or ensemble in all sentences, and the 95 % interval of their rate, in per cent."""

    total: WordErrors
    interval: tuple[float, float]

    @property
    def parts(self) -> list[float]:
        """Substitutions, deletions and insertions in per cent of the glosses, which add up to the rate."""
        counts = (self.total.substitutions, self.total.deletions, self.total.insertions)
        return [100 * count / max(1, self.total.words) for count in counts]


@dataclass(frozen=True)
class SentenceEvaluation:
    """Of one run, split and setting.

    reported: the head or ensemble that counts. heads: the errors of each.
    """

    path: Path
    reported: str
    heads: dict[str, HeadErrors]
    sentences: list[ReadSentence]
    coverage: Coverage = COMPLETE

    @property
    def result(self) -> HeadErrors:
        """The reported one's."""
        return self.heads[self.reported]

    @cached_property
    def alignments(self) -> list[list[tuple[Operation, str | None, str | None]]]:
        """Of every sentence, how what was read comes of what was signed; see `align_words`."""
        return [align_words(s.reference, s.hypotheses[self.reported]) for s in self.sentences]

    @cached_property
    def errors(self) -> list[WordErrors]:
        """The reported one's in every sentence."""
        return [count_errors(s.reference, s.hypotheses[self.reported]) for s in self.sentences]

    def mistakes(self, operation: Operation) -> Counter[tuple[str | None, str | None]]:
        """How often each gloss was read as each other one, left out, or made up, by what was signed and read."""
        return Counter(
            (signed, read)
            for alignment in self.alignments
            for found, signed, read in alignment
            if found == operation
        )


def read_sentence_evaluation(run: str | Path, split: str, setting: str) -> SentenceEvaluation:
    """The evaluation of a run folder.

    Raises:
        UserError: it was not made, or by an earlier version.
    """
    content = evaluation_content(run, split, setting, "sentences")
    return SentenceEvaluation(
        evaluation_path(run, split, setting),
        content["reported"],
        {name: _head_errors(values) for name, values in content["word_errors"].items()},
        [
            ReadSentence(
                sentence["name"],
                sentence["reference"].split(),
                {head: read.split() for head, read in sentence["hypotheses"].items()},
                [(gloss["gloss"], gloss["start"], gloss["end"]) for gloss in sentence["glosses"]],
            )
            for sentence in content["sentences"]
        ],
        Coverage.of(content),
    )


def _head_errors(values: Mapping[str, Any]) -> HeadErrors:
    counts = WordErrors(*(values[name] for name in ("words", "substitutions", "deletions", "insertions")))
    return HeadErrors(counts, tuple(values["interval"]))


def refuse_other_sentences(evaluations: Sequence[SentenceEvaluation]) -> None:
    """Raise a `UserError` if evaluations are of different sentences, or compare their glosses in different ways."""
    first = evaluations[0]
    for evaluation in evaluations:
        if [(s.name, s.reference) for s in evaluation.sentences] != [
            (s.name, s.reference) for s in first.sentences
        ]:
            raise UserError(
                f"{evaluation.path}: of other sentences than {first.path}; runs can be compared on one set only"
            )


def rate_difference(
    evaluation: SentenceEvaluation, first: SentenceEvaluation
) -> tuple[float, tuple[float, float]]:
    """How the word error rate differs from that of another evaluation of the same sentences, with its 95 % interval."""
    changes = [
        WordErrors(one.words, substitutions=one.errors - other.errors)
        for one, other in zip(evaluation.errors, first.errors, strict=True)
    ]
    return sum(changes, WordErrors()).rate, error_rate_interval(changes)


def true_spans(index: str | None) -> dict[str, list[Span]]:
    """When each gloss is signed, by sentence: from the spans.json that embedded sentences have beside their index.

    Nothing if there is no such file.
    """
    if index is None or not (path := Path(index).with_name("spans.json")).is_file():
        return {}
    return {
        name: [(gloss, start, end) for gloss, start, end in spans]
        for name, spans in read_json(path, dict).items()
    }


def distances(evaluation: SentenceEvaluation, signed: Mapping[str, list[Span]]) -> BoundaryDistances | None:
    """Of the boundaries of what was read, in the sentences whose true ones are known."""
    known = [sentence for sentence in evaluation.sentences if sentence.name in signed]
    return boundary_distances([s.spans for s in known], [signed[s.name] for s in known])
