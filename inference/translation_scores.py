"""What an evaluation of translation finds: the text of every sentence, and its scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import nn

from configs.schema import TranslationConfig
from dataset.batch import Request
from dataset.texts import TextVocabulary
from dataset.translations import TranslationBatch, TranslationDataset
from inference.evaluation import Evaluator
from modeling.translation.beam_search import generate
from modeling.translation.network import Translator
from modeling.translation.text_model import Source, stacked
from utils.distributed import Processes
from utils.files import write_json
from utils.metrics import COMPLETE, Coverage, noted
from utils.text_scores import SCORE, TextScores, Unit, score_texts

GERMAN = "de_DE"


class Member(NamedTuple):
    """One of the networks that translate together: its run, itself, and the sentences as it reads them."""

    run: str
    network: Translator
    data: TranslationDataset


@dataclass
class TextResults:
    """What was said of every sentence of a split that could be read, under one setting, in annotation order.

    names: of the sentences. glosses, references: what was signed and what should have been said. vocabulary: glosses.
    ensemble: other runs that translated together with this one.
    """

    names: list[str]
    glosses: list[str]
    references: list[str]
    hypotheses: list[str]
    vocabulary: Sequence[str]
    unit: Unit
    beam: int
    ensemble: Sequence[str] = ()
    coverage: Coverage = COMPLETE

    @cached_property
    def scores(self) -> TextScores:
        return score_texts(self.references, self.hypotheses, self.unit)

    @property
    def score(self) -> float:
        """BLEU-4 in per cent."""
        return self.scores.values[SCORE]

    def entry(self) -> dict[str, Any]:
        return {"scores": self.scores.values}

    def summary(self) -> str:
        return f"BLEU-4 {self.score:.2f}, ROUGE-L {self.scores.values['ROUGE-L']:.2f}{noted(self.coverage)}"

    def scalars(self) -> Mapping[str, float]:
        return {f"scores/{name}": value for name, value in self.scores.values.items()}

    def pictures(self) -> Mapping[str, np.ndarray]:
        return {}

    def table(self) -> str:
        """All scores in per cent."""
        lines = [f"{'':8}{'score':>8}   95 %"]
        for name, value in self.scores.values.items():
            interval = self.scores.intervals.get(name)
            lines.append(
                f"{name:8}{value:8.2f}   " + ("{:.2f} to {:.2f}".format(*interval) if interval else "-")
            )
        lines.append(
            f"{len(self.names)} sentences, compared by {self.unit}, beam {self.beam}{noted(self.coverage)}"
        )
        if self.ensemble:
            lines.append(f"together with {', '.join(self.ensemble)}")
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """JSON that everything else is made from: the report and its tables.

        `coverage` of the split, then
        `scores` (value in per cent and its 95 % bootstrap interval), `unit`, `beam`, `ensemble`, the `vocabulary` of
        glosses, and `sentences` with glosses, reference and hypothesis.
        """
        rows = zip(self.names, self.glosses, self.references, self.hypotheses, strict=True)
        content = {
            "coverage": self.coverage.content(),
            "unit": self.unit,
            "beam": self.beam,
            "ensemble": list(self.ensemble),
            "scores": {
                name: {"value": value, "interval": self.scores.intervals.get(name)}
                for name, value in self.scores.values.items()
            },
            "vocabulary": list(self.vocabulary),
            "sentences": [
                dict(zip(("name", "glosses", "reference", "hypothesis"), row, strict=True)) for row in rows
            ],
        }
        write_json(path, content)


class TranslationEvaluator(Evaluator[dict[str, str], TextResults]):
    """Translates every sentence of a split, with beams of some sizes.

    Args:
        config: of the experiment; its generation is used.
        data: the sentences, as the network to evaluate reads them.
        vocabulary: of the glosses.
        beams: {evaluation setting: texts that are kept}.
        others: that translate together with the network.
    """

    dataset: TranslationDataset

    def __init__(
        self,
        config: TranslationConfig,
        data: TranslationDataset,
        vocabulary: list[str],
        beams: dict[str, int],
        processes: Processes,
        others: Sequence[Member] = (),
    ):
        self.config, self.vocabulary, self.beams, self.others = config, vocabulary, beams, others
        super().__init__(data, config.evaluation, 0, config.data.max_damaged_share, processes)

    def take(self, network: nn.Module) -> str:
        self.members = [Member(self.config.run, cast(Translator, network), self.dataset), *self.others]
        for member in self.members:
            member.network.to(self.processes.device).eval()
        first = self.members[0].network
        self.texts = TextVocabulary.of_tensors(first.sentencepiece.cpu(), first.tokens.cpu())
        return f"{len(self.members)} networks together" if self.others else "plain network"

    def outcomes(self, batch: TranslationBatch) -> list[dict[str, str]]:
        """By evaluation setting."""
        requests = [Request(sample, None) for sample in batch.samples]
        read = [batch, *(member.data[requests].to(self.processes.device) for member in self.others)]
        models = [member.network.text for member in self.members]
        sources = [
            sources_of(member.network, sentences)
            for member, sentences in zip(self.members, read, strict=True)
        ]
        found: list[dict[str, str]] = [{} for _ in batch.samples]
        for setting, beam in self.beams.items():
            for outcome, tokens in zip(
                found, generate(models, sources, self.config.generation, beam), strict=True
            ):
                outcome[setting] = spoken(self.texts.decode(tokens), self.config.texts.language)
        return found

    def results(self, outcomes: dict[int, dict[str, str]], coverage: Coverage) -> dict[str, TextResults]:
        language = self.config.texts.language
        sentences = [self.dataset.sentences[sample] for sample in outcomes]
        return {
            setting: TextResults(
                [sentence.name for sentence in sentences],
                [sentence.gloss for sentence in sentences],
                [spoken(sentence.text or "", language) for sentence in sentences],
                [outcome[setting] for outcome in outcomes.values()],
                self.vocabulary,
                self.config.texts.unit,
                beam,
                [member.run for member in self.others],
                coverage,
            )
            for setting, beam in self.beams.items()
        }


@torch.inference_mode()
def sources_of(network: Translator, batch: TranslationBatch) -> Source:
    """What the text model reads of a batch, each sentence by itself, so that it does not depend on the others."""
    alone = [batch.sentence(row) for row in range(len(batch.steps))]
    return stacked([network.source(x.features, x.steps, x.glosses, x.counts)[0] for x in alone])


def spoken(text: str, language: str | None) -> str:
    """A text as it is compared: German has a space before the full stop that ends it (specification section 11)."""
    if language == GERMAN and text.endswith(".") and not text.endswith(" ."):
        return f"{text[:-1]} ."
    return text
