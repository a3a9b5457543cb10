"""What an evaluation of continuous recognition finds: the glosses that every head reads, and their errors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from torch import nn

from configs.schema import ContinuousConfig
from dataset.config import SentenceDataConfig
from dataset.footage import FootageReader
from dataset.gloss_cleanup import clean_glosses
from dataset.sentence_clips import SentenceBatch, SentenceDataset
from dataset.sentences import GlossClasses, Sentence
from inference.evaluation import Evaluator
from inference.timeline import Segment, segments
from modeling.continuous.decoding import beam_search
from modeling.continuous.network import ContinuousRecognizer, reported_prediction
from modeling.continuous.recognition import SentencePredictor
from report.analysis import confusion_counts
from report.pictures import MATRIX_GLOSSES, confusion_picture, on_white
from utils.distributed import Processes
from utils.files import write_json
from utils.metrics import COMPLETE, Coverage, noted
from utils.word_errors import WordErrors, align_words, count_errors, error_rate_interval


class Outcome(NamedTuple):
    """What is kept of a sentence under one setting.

    read: {head or ensemble: classes}. aligned: of the reported one, where in the clip each gloss is.
    """

    read: dict[str, list[int]]
    aligned: list[Segment]


def scored_glosses(glosses: Sequence[str], data: SentenceDataConfig) -> list[str]:
    """Glosses as they are compared: in one case if the data set's are looked up so, and cleaned as its owners do."""
    text = " ".join(glosses)
    if data.lower_case:
        text = text.upper() if data.cleanup == "phoenix2014t" else text.lower()
    return clean_glosses(text, data.cleanup).split()


@dataclass
class SentenceResults:
    """What was read in every sentence of a split that could be read, under one setting, in annotation order.

    names: of the sentences. references, hypotheses: glosses as they are compared, of {head or ensemble}. aligned: what
    the reported one read, before clean-up.
    """

    names: list[str]
    references: list[list[str]]
    hypotheses: dict[str, list[list[str]]]
    aligned: list[list[Segment]]
    vocabulary: Sequence[str]
    reported_name: str
    beam: int
    coverage: Coverage = COMPLETE

    @cached_property
    def errors(self) -> dict[str, list[WordErrors]]:
        """Of every sentence, by head and ensemble."""
        return {
            name: [count_errors(*pair) for pair in zip(self.references, read, strict=True)]
            for name, read in self.hypotheses.items()
        }

    @cached_property
    def totals(self) -> dict[str, WordErrors]:
        return {name: sum(errors, WordErrors()) for name, errors in self.errors.items()}

    @property
    def reported(self) -> WordErrors:
        return self.totals[self.reported_name]

    @property
    def smallest_name(self) -> str:
        """The head or ensemble with the fewest errors."""
        return min(self.totals, key=lambda name: self.totals[name].rate)

    @property
    def score(self) -> float:
        """The smallest word error rate of all heads and ensembles, in per cent (specification section 8)."""
        return self.totals[self.smallest_name].rate

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % intervals of the rates, in per cent."""
        return {name: error_rate_interval(errors) for name, errors in self.errors.items()}

    def entry(self) -> dict[str, Any]:
        return {
            "word_error_rate": {name: total.rate for name, total in self.totals.items()},
            "reported": self.reported_name,
            "smallest": self.smallest_name,
        }

    def summary(self) -> str:
        words = f"WER {self.reported.rate:.2f} ({self.reported_name})"
        if self.smallest_name != self.reported_name:
            words += f", smallest {self.score:.2f} ({self.smallest_name})"
        return f"{words}{noted(self.coverage)}"

    def scalars(self) -> Mapping[str, float]:
        """Rates of every head, and the parts of the reported one's."""
        values = {f"word_error_rate/{name}": total.rate for name, total in self.totals.items()}
        for kind in ("substitutions", "deletions", "insertions"):
            values[f"errors/{kind}"] = 100 * getattr(self.reported, kind) / max(1, self.reported.words)
        return values

    @cached_property
    def substitutions(self) -> list[tuple[str, str]]:
        """Each gloss of the references that was read, rightly or as another one, and what it was read as."""
        pairs = []
        for reference, read in zip(self.references, self.hypotheses[self.reported_name], strict=True):
            pairs += [(a, b) for _, a, b in align_words(reference, read) if a is not None and b is not None]
        return pairs

    def pictures(self) -> Mapping[str, np.ndarray]:
        """What the reported prediction takes for what."""
        glosses = sorted({gloss for pair in self.substitutions for gloss in pair})
        matrix, shown = confusion_counts(self.substitutions, glosses, MATRIX_GLOSSES)
        return {"substitutions": on_white(confusion_picture(matrix, shown))} if shown else {}

    def table(self) -> str:
        """Word error rates of all heads and ensembles in per cent; the reported one is marked."""
        head = ["WER", "sub", "del", "ins"]
        lines = [f"{'':18}" + "".join(f"{name:>8}" for name in head) + "   95 %"]
        for name, total in self.totals.items():
            parts = (total.substitutions, total.deletions, total.insertions)
            values = [total.rate, *(100 * part / max(1, total.words) for part in parts)]
            mark = "*" if name == self.reported_name else " "
            low, high = self.intervals[name]
            row = "".join(f"{value:8.2f}" for value in values)
            lines.append(f"{mark} {name:16}{row}   {low:.2f} to {high:.2f}")
        lines.append(
            f"* {len(self.names)} sentences, {self.reported.words} glosses, beam {self.beam}; "
            f"smallest: {self.smallest_name}{noted(self.coverage)}"
        )
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """JSON that everything else is made from: the report and its tables.

        `coverage` of the split, then
        `word_errors` by head and ensemble (rate in per cent with its 95 % bootstrap interval, counts), `reported`,
        which was `smallest`, the `beam`, the `vocabulary`, and `sentences` with reference and hypotheses as they are
        compared, and the glosses of the reported one with the frames they were found in (`end` exclusive).
        """
        content = {
            "coverage": self.coverage.content(),
            "reported": self.reported_name,
            "smallest": self.smallest_name,
            "beam": self.beam,
            "word_errors": {
                name: {"rate": total.rate, "interval": list(self.intervals[name]), **asdict(total)}
                for name, total in self.totals.items()
            },
            "vocabulary": list(self.vocabulary),
            "sentences": [
                {
                    "name": name,
                    "reference": " ".join(self.references[row]),
                    "hypotheses": {head: " ".join(read[row]) for head, read in self.hypotheses.items()},
                    "errors": asdict(self.errors[self.reported_name][row]),
                    "glosses": [asdict(gloss) for gloss in self.aligned[row]],
                }
                for row, name in enumerate(self.names)
            ],
        }
        write_json(path, content)


class SentenceEvaluator(Evaluator[dict[str, Outcome], SentenceResults]):
    """Reads every sentence of a split, with beams of some sizes at once.

    Args:
        config: of the experiment; its model is what is evaluated.
        sentences: of the split.
        classes, vocabulary: of the glosses.
        reader: of the clips.
        beams: {evaluation setting: prefixes that are kept}.
    """

    dataset: SentenceDataset

    def __init__(
        self,
        config: ContinuousConfig,
        sentences: list[Sentence],
        classes: GlossClasses,
        vocabulary: list[str],
        reader: FootageReader,
        beams: dict[str, int],
        processes: Processes,
    ):
        self.config, self.sentences, self.vocabulary, self.beams = config, sentences, vocabulary, beams
        self.reported = reported_prediction(config.model)
        super().__init__(
            SentenceDataset(
                sentences,
                classes,
                reader,
                config.data,
                training=False,
                check=not config.evaluation.allow_missing,
            ),
            config.evaluation,
            config.data.workers,
            config.data.max_damaged_share,
            processes,
        )

    def take(self, network: nn.Module) -> str:
        self.predict = SentencePredictor(cast(ContinuousRecognizer, network), self.config.runtime)
        return self.predict.replaced

    def outcomes(self, batch: SentenceBatch) -> list[dict[str, Outcome]]:
        """By evaluation setting."""
        found = []
        for row in range(len(batch.lengths)):
            output = self.predict(*batch.sentence(row))
            logits = {name: values.cpu() for name, values in output.logits.items()}
            steps = {name: values.cpu() for name, values in output.steps.items()}
            of_sentence = {}
            for setting, beam in self.beams.items():
                read = {name: beam_search(logits[name], steps[name], beam)[0] for name in logits}
                aligned = segments(
                    logits[self.reported][0], read[self.reported], self.vocabulary, int(batch.first[row])
                )
                of_sentence[setting] = Outcome(read, aligned)
            found.append(of_sentence)
        return found

    def results(
        self, outcomes: dict[int, dict[str, Outcome]], coverage: Coverage
    ) -> dict[str, SentenceResults]:
        read = [self.sentences[sample] for sample in outcomes]
        return {
            setting: self._results(read, [x[setting] for x in outcomes.values()], beam, coverage)
            for setting, beam in self.beams.items()
        }

    def _results(
        self, sentences: list[Sentence], outcomes: list[Outcome], beam: int, coverage: Coverage
    ) -> SentenceResults:
        def compared(classes: list[int]) -> list[str]:
            return scored_glosses([self.vocabulary[i] for i in classes], self.config.data)

        return SentenceResults(
            [sentence.name for sentence in sentences],
            [scored_glosses(sentence.glosses, self.config.data) for sentence in sentences],
            {name: [compared(outcome.read[name]) for outcome in outcomes] for name in outcomes[0].read},
            [outcome.aligned for outcome in outcomes],
            self.vocabulary,
            self.reported,
            beam,
            coverage,
        )
