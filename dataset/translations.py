"""From sentences with their texts to padded batches: stored features, glosses, and the tokens of the text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from dataset.batch import Problem, Request, SampleSet
from dataset.features import FeatureStore
from dataset.sentences import GlossClasses, Sentence
from dataset.texts import TextVocabulary
from utils.errors import UserError

PAD = 1  # the token that fills texts up
ADDED = 1e-8  # to features, as published


@dataclass
class TranslationBatch:
    """B sentences.

    features: {stream: float32 [B, T, C]}, of each sentence the first `steps`, int64 [B]; empty where glosses are
    read. glosses: int64 [B, L], classes, of each the first `counts`, int64 [B]. labels: int64 [B, N], tokens of the
    text up to `</s>`, then padding. To evaluate what reads features there are no glosses.
    """

    samples: list[int]
    features: dict[str, Tensor]
    steps: Tensor
    glosses: Tensor
    counts: Tensor
    labels: Tensor
    problems: list[Problem]
    error: str | None

    def to(self, device: torch.device) -> Self:
        return self._map(lambda x: x.to(device, non_blocking=True))

    def part(self, chosen: slice) -> Self:
        """Some of the sentences."""
        return self._map(lambda x: x[chosen])

    def sentence(self, row: int) -> Self:
        """One of the sentences, without what fills it up."""
        steps, count = int(self.steps[row]), int(self.counts[row])
        alone = self.part(slice(row, row + 1))
        features = {stream: x[:, :steps] for stream, x in alone.features.items()}
        return replace(alone, features=features, glosses=alone.glosses[:, :count])

    def of_steps(self, steps: int) -> Self:
        """The same with features padded to so many steps."""
        padding = steps - next((x.shape[1] for x in self.features.values()), steps)
        return replace(
            self, features={stream: pad(x, (0, 0, 0, padding)) for stream, x in self.features.items()}
        )

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(
            self,
            features={stream: change(x) for stream, x in self.features.items()},
            steps=change(self.steps),
            glosses=change(self.glosses),
            counts=change(self.counts),
            labels=change(self.labels),
        )


class TranslationDataset(SampleSet):
    """Sentences of a split.

    Args:
        sentences: each with its text.
        classes: of their glosses.
        texts: sub-words of the texts.
        store: of their features; None where glosses are read.
        source: file of the sentences, for messages.
        most_tokens: that the text model has positions for.
        training: whether to learn from them, which needs their glosses even if features are read.

    Raises:
        UserError: a sentence has no text or too long a one, no features, or a gloss that is needed but not known.
    """

    def __init__(
        self,
        sentences: Sequence[Sentence],
        classes: GlossClasses,
        texts: TextVocabulary,
        store: FeatureStore | None,
        source: str,
        most_tokens: int,
        training: bool,
    ):
        self.sentences, self.store = sentences, store
        if silent := [sentence.name for sentence in sentences if not sentence.text]:
            raise UserError(
                f"{source}: {len(silent)} of {len(sentences)} sentences have no text, {silent[0]!r} first; translation "
                "needs one of each, in the column text"
            )
        if store is not None and (unseen := [s.name for s in sentences if s.name not in store.names]):
            raise UserError(
                f"{store.path}: no features of {len(unseen)} sentences, {unseen[0]!r} first; "
                "python -m inference.features makes them"
            )
        needed = training or store is None
        self.glosses = [
            torch.tensor(classes.of(sentence) if needed else [], dtype=torch.int64) for sentence in sentences
        ]
        self.labels = [torch.tensor(texts.encode(sentence.text or "")) for sentence in sentences]
        for sentence, tokens in zip(sentences, self.labels, strict=True):
            if len(tokens) > most_tokens:
                raise UserError(
                    f"{source}: the text of {sentence.name!r} has {len(tokens)} tokens, more than the {most_tokens} "
                    "positions of the text model; shorten it or take the sentence out"
                )

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def names(self) -> list[str]:
        return [sentence.name for sentence in self.sentences]

    def __getitem__(self, requests: list[Request]) -> TranslationBatch:
        chosen = [request.sample for request in requests]
        features: dict[str, Tensor] = {}
        steps = torch.zeros(len(chosen), dtype=torch.int64)
        if self.store is not None:
            try:
                found = [self.store.read(self.sentences[sample].name) for sample in chosen]
            except UserError as error:
                nothing = torch.empty(0)
                return TranslationBatch([], {}, nothing, nothing, nothing, nothing, [], str(error))
            features = {
                stream: pad_sequence([x[stream] + ADDED for x in found], batch_first=True)
                for stream in found[0]
            }
            steps = torch.tensor([len(next(iter(x.values()))) for x in found])
        return TranslationBatch(
            samples=chosen,
            features=features,
            steps=steps,
            glosses=pad_sequence([self.glosses[sample] for sample in chosen], batch_first=True),
            counts=torch.tensor([len(self.glosses[sample]) for sample in chosen]),
            labels=pad_sequence(
                [self.labels[sample] for sample in chosen], batch_first=True, padding_value=PAD
            ),
            problems=[],
            error=None,
        )
