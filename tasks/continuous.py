"""Continuous recognition (Two-Stream network): a clip shows a sentence, and the network reads its glosses."""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from torch import nn

from configs.build import build_continuous_recognizer, load_initial_weights, sentence_reader
from configs.schema import ContinuousConfig
from dataset.annotations import Split
from dataset.footage import at
from dataset.sentence_clips import SentenceBatch, SentenceDataset
from dataset.sentences import GlossClasses, read_sentences
from inference.sentence_errors import SentenceEvaluator
from modeling.continuous.augment import draw_augmentation, prepare_sentences
from modeling.continuous.network import ContinuousRecognizer
from modeling.continuous.objective import ContinuousObjective
from modeling.continuous.recognition import ContinuousStep, PreparedSentences
from modeling.weights import LoadReport
from report.pictures import captioned
from report.sentence_views import inputs_filmstrip
from tasks.task import Task
from utils.distributed import Processes
from utils.seeding import generator


class ContinuousRecognition(Task):
    """A sample is a sentence with its glosses; the score is the word error rate."""

    config: ContinuousConfig
    higher_is_better = False

    def __init__(self, config: ContinuousConfig, processes: Processes):
        super().__init__(config, processes)
        # Validation keeps one prefix, which is fast; see `modeling.continuous.decoding`.
        self.settings = ("beam_1", f"beam_{config.decoding.beam}")
        self.annotations = read_sentences(config.data)
        self.vocabulary = self.annotations.vocabulary
        self.classes = GlossClasses(self.vocabulary, config.data.lower_case)
        self.reader = sentence_reader(config)

    def training_data(self) -> SentenceDataset:
        return SentenceDataset(
            self.annotations.split("train"),
            self.classes,
            self.reader,
            self.config.data,
            training=True,
        )

    def summary(self) -> str:
        sentences, streams = self.annotations.split("train"), ", ".join(self.config.model.streams)
        return f"{len(sentences)} training sentences, {len(self.vocabulary)} classes with the blank, streams {streams}"

    def announcements(self) -> list[str]:
        if self.reader.cache is None:
            return []
        splits = ("train", self.config.evaluation.validation_split)
        sentences = [sentence for sentence in self.annotations.clips if sentence.split in splits]
        return [self.reader.cache.announcement(self.reader.video_frames(sentences))]

    def build_network(self) -> ContinuousRecognizer:
        return build_continuous_recognizer(self.config, len(self.vocabulary))

    def load_initial_weights(self, network: nn.Module) -> list[LoadReport]:
        return load_initial_weights(network, self.config)

    def training_step(
        self, network: nn.Module, parallel: nn.Module, optimizer: torch.optim.Optimizer
    ) -> ContinuousStep:
        return ContinuousStep(
            cast(ContinuousRecognizer, network),
            parallel,
            ContinuousObjective(self.config.loss),
            optimizer,
            self.config.training,
            self.config.runtime,
        )

    @torch.no_grad()
    def parts(self, batch: SentenceBatch, number: int) -> Iterator[PreparedSentences]:
        """Sentences that are computed together, on all processes, are padded to the longest of them, so that the number
        of processes does not matter."""
        config, rank, sentences = self.config, self.processes.rank, len(batch.lengths)
        per_batch = config.augment.draw == "per_batch"
        places = [()] if per_batch else [(rank * sentences + i,) for i in range(sentences)]
        rngs = [generator(config.seed, "augment", number, *place) for place in places]
        size = config.data.frame_size
        draws = [draw_augmentation(config.augment, config.model, size, rng) for rng in rngs]
        together = sentences // config.training.accumulate
        for first in range(0, sentences, together):
            chosen = slice(first, first + together)
            longest = self.processes.largest(int(batch.lengths[chosen].max()))
            windows = batch.of_length(longest)[chosen]
            yield PreparedSentences(
                prepare_sentences(
                    at(windows, batch.frames),
                    at(windows, batch.keypoints),
                    config.model,
                    draws if per_batch else draws[chosen],
                ),
                batch.lengths[chosen],
                batch.glosses[chosen],
                batch.counts[chosen],
            )

    def evaluator(self, split: str, settings: Sequence[str]) -> SentenceEvaluator:
        sentences = self.annotations.split(cast(Split, split))
        beams = {setting: int(setting.removeprefix("beam_")) for setting in settings}
        return SentenceEvaluator(
            self.config, sentences, self.classes, self.vocabulary, self.reader, beams, self.processes
        )

    def pictures(self, part: PreparedSentences) -> dict[str, np.ndarray]:
        """The first sentence with its glosses."""
        glosses = part.glosses[0, : part.counts[0]].tolist()
        strip = inputs_filmstrip(part.inputs, self.config.model.streams, int(part.lengths[0]))
        return {"sentence": captioned(strip, " ".join(self.vocabulary[gloss] for gloss in glosses))}
