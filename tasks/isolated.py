"""Isolated recognition (NLA-SLR): a clip shows one sign, and the network names its gloss."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from configs.build import build_recognizer, clip_format, gloss_embeddings, load_initial_weights
from configs.schema import IsolatedConfig
from dataset.annotations import Split, read_annotations
from dataset.clips import ClipBatch, ClipDataset, ClipReader
from inference.accuracy import EVAL_SETTINGS, AccuracyEvaluator
from modeling.augment import draw_augmentation, visible_inputs
from modeling.objective import MixedLabels, Objective
from modeling.recognition import Preparation, Prepared, RecognitionStep
from modeling.recognizer import Recognizer
from modeling.weights import LoadReport
from report.pictures import captioned, filmstrip
from tasks.task import Task
from utils.distributed import Processes
from utils.errors import UserError
from utils.seeding import generator

CLIPS_SHOWN = 4  # in TensorBoard


class IsolatedRecognition(Task):
    """A sample is a clip with its gloss; the score is top-1."""

    config: IsolatedConfig
    settings = tuple(EVAL_SETTINGS)

    def __init__(self, config: IsolatedConfig, processes: Processes):
        super().__init__(config, processes)
        self.annotations = read_annotations(config.data)
        self.vocabulary = self.annotations.vocabulary
        self.reader = ClipReader(config.data, clip_format(config.model))
        self.prepare = Preparation(config.model, config.loss.intra_modality_mixup, config.training.accumulate)

    @cached_property
    def embeddings(self) -> Tensor | None:
        """float32 [glosses, dimension] if the loss has language parts, else None."""
        return gloss_embeddings(self.config, self.vocabulary)

    def training_data(self) -> ClipDataset:
        together = self.config.training.batch_size // self.config.training.accumulate
        if together * self.config.model.last_places < 2:
            raise UserError(
                f"training.batch_size, training.accumulate: {together} clip at a time leaves BatchNorm a single value "
                "in the last maps of so small a model; take at least 2, or larger pictures or longer clips"
            )
        return ClipDataset(self.annotations.split("train"), self.vocabulary, self.reader, crops=None)

    def summary(self) -> str:
        clips, streams = self.annotations.split("train"), ", ".join(self.config.model.streams)
        return f"{len(clips)} training clips, {len(self.vocabulary)} glosses, streams {streams}"

    def announcements(self) -> list[str]:
        if self.reader.cache is None:
            return []
        splits = ("train", self.config.evaluation.validation_split)
        clips = [clip for clip in self.annotations.clips if clip.split in splits]
        return [self.reader.cache.announcement(self.reader.video_frames(clips))]

    def build_network(self) -> Recognizer:
        return build_recognizer(self.config, len(self.vocabulary), self.embeddings)

    def load_initial_weights(self, network: nn.Module) -> list[LoadReport]:
        return load_initial_weights(cast(Recognizer, network), self.config)

    def training_step(
        self, network: nn.Module, parallel: nn.Module, optimizer: torch.optim.Optimizer
    ) -> RecognitionStep:
        objective = Objective(self.config.loss, len(self.vocabulary), self.embeddings)
        return RecognitionStep(
            cast(Recognizer, network),
            parallel,
            objective.to(self.processes.device),
            optimizer,
            self.config.training,
            self.config.runtime,
        )

    def parts(self, batch: ClipBatch, number: int) -> Iterator[Prepared]:
        config, rank, clips = self.config, self.processes.rank, len(batch.labels)
        places = [()] if config.augment.draw == "per_batch" else [(rank * clips + i,) for i in range(clips)]
        rngs = [generator(config.seed, "augment", number, *place) for place in places]
        size = config.data.frame_size
        draws = [draw_augmentation(config.augment, config.model, size, rng) for rng in rngs]
        mixup_rng = generator(config.seed, "mixup", number)
        return self.prepare(*batch.crops(), batch.labels, draws, mixup_rng, rank)

    def evaluator(self, split: str, settings: Sequence[str]) -> AccuracyEvaluator:
        clips = self.annotations.split(cast(Split, split))
        return AccuracyEvaluator(self.config, clips, self.vocabulary, self.reader, settings, self.processes)

    def pictures(self, part: Prepared) -> dict[str, np.ndarray]:
        """The first clips with their glosses."""
        labels = part.labels
        if isinstance(labels, MixedLabels):
            pairs = zip(labels.first.tolist(), labels.second.tolist(), strict=True)
            captions = [
                f"{labels.share:.0%} {self.vocabulary[i]}, {1 - labels.share:.0%} {self.vocabulary[j]}"
                for i, j in pairs
            ]
        else:
            captions = [self.vocabulary[label] for label in labels.tolist()]
        maps = [
            None if x is None else x.numpy() for x in visible_inputs(part.inputs, self.config.model.streams)
        ]
        strips = [
            captioned(filmstrip(*(None if x is None else x[i] for x in maps)), caption)
            for i, caption in enumerate(captions[:CLIPS_SHOWN])
        ]
        return {"clips": np.concatenate(strips)}
