"""What an evaluation of translation says: what was said of every sentence, and how well.

`inference.translation_scores` wrote it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from report.runs import evaluation_content, evaluation_path
from utils.errors import UserError
from utils.metrics import COMPLETE, Coverage
from utils.text_scores import Unit, in_units
from utils.word_errors import Operation, align_words


class SaidSentence(NamedTuple):
    """A sentence: its glosses, what should have been said, and what was."""

    name: str
    glosses: str
    reference: str
    hypothesis: str


class Score(NamedTuple):
    """In per cent, and the 95 % interval if it has one."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class TranslationEvaluation:
    """Of one run, split and setting, or of several runs together.

    unit: what is compared. ensemble: the other runs that translated together with this one. scores: by name.
    """

    path: Path
    unit: Unit
    ensemble: list[str]
    scores: dict[str, Score]
    sentences: list[SaidSentence]
    coverage: Coverage = COMPLETE

    @cached_property
    def alignments(self) -> list[list[tuple[Operation, str | None, str | None]]]:
        """Of every sentence, how what was said comes of what should have been, unit by unit; see `align_words`."""
        return [
            align_words(in_units(s.reference, self.unit).split(), in_units(s.hypothesis, self.unit).split())
            for s in self.sentences
        ]

    @cached_property
    def errors(self) -> list[int]:
        """Units of every sentence that are another one, left out or made up."""
        return [sum(operation != "correct" for operation, *_ in found) for found in self.alignments]


def read_translation_evaluation(
    run: str | Path, split: str, setting: str, ensemble: bool = False
) -> TranslationEvaluation:
    """The evaluation of a run folder; `ensemble`: of the run together with others.

    Raises:
        UserError: it was not made.
    """
    name = setting + "_ensemble" * ensemble
    content = evaluation_content(run, split, name, "sentences")
    return TranslationEvaluation(
        evaluation_path(run, split, name),
        content["unit"],
        content["ensemble"],
        {
            score: Score(found["value"], found["interval"] and tuple(found["interval"]))
            for score, found in content["scores"].items()
        },
        [SaidSentence(*(row[key] for key in SaidSentence._fields)) for row in content["sentences"]],
        Coverage.of(content),
    )


def refuse_other_texts(evaluations: Sequence[TranslationEvaluation]) -> None:
    """Raise a `UserError` if evaluations are of different sentences or texts, or compare them in different units."""
    first = evaluations[0]
    for evaluation in evaluations:
        if [(s.name, s.reference) for s in evaluation.sentences] != [
            (s.name, s.reference) for s in first.sentences
        ]:
            raise UserError(
                f"{evaluation.path}: of other sentences than {first.path}; runs can be compared on one set only"
            )
        if evaluation.unit != first.unit:
            raise UserError(
                f"{evaluation.path}: compares {evaluation.unit}, but {first.path} compares {first.unit}; evaluate both "
                "with the same texts.unit"
            )
