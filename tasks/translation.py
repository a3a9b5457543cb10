"""Translation (Two-Stream network): the text of a sentence, from its glosses or from what a recognition saw of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import nn

from configs.build import build_translator, load_gloss_to_text, texts_of
from configs.schema import TranslationConfig
from dataset.annotations import Split
from dataset.features import FeatureStore
from dataset.sentences import GlossClasses, read_sentences
from dataset.translations import TranslationBatch, TranslationDataset
from inference.features import features_folder, fingerprint
from inference.trained_model import ContinuousModel, TranslationModel, recognition_of
from inference.translation_scores import Member, TranslationEvaluator
from modeling.translation.network import Translator, heads_to_translate
from modeling.translation.objective import TranslationStep
from modeling.translation.text_model import positions_of
from modeling.weights import LoadReport
from tasks.task import Task
from utils.distributed import Processes


class Translation(Task):
    """A sample is a sentence with its text; the score is BLEU-4."""

    config: TranslationConfig

    def __init__(self, config: TranslationConfig, processes: Processes):
        super().__init__(config, processes)
        generation = config.generation
        self.settings = (f"beam_{generation.validation_beam}", f"beam_{generation.beam}")
        self.annotations = read_sentences(config.data)
        self.vocabulary = self.annotations.vocabulary
        self.classes = GlossClasses(self.vocabulary, config.data.lower_case)
        self.texts = texts_of(config, self.annotations.split("train"))

    @cached_property
    def recognition(self) -> ContinuousModel | None:
        """What is translated from; None: glosses are. Errors: see `recognition_of`."""
        return None if self.config.recognition is None else recognition_of(self.config, self.vocabulary)

    def training_data(self) -> TranslationDataset:
        return self.data("train")

    def data(self, split: Split) -> TranslationDataset:
        """The sentences of a split.

        Raises:
            UserError: there are none, or their features are missing or of other weights; see `TranslationDataset`.
        """
        store = None
        if self.recognition is not None:
            source = Path(cast(str, self.config.recognition))
            store = FeatureStore(features_folder(source) / f"{split}.safetensors")
            store.refuse_other_origin(fingerprint(self.recognition.recognizer), str(source))
        return TranslationDataset(
            self.annotations.split(split),
            self.classes,
            self.texts,
            store,
            self.config.data.annotations,
            positions_of(self.config.model.text_model),
            training=split == "train",
        )

    def build_network(self) -> Translator:
        heads = None if self.recognition is None else heads_to_translate(self.recognition.recognizer)
        return build_translator(self.config, self.vocabulary, self.texts, heads)

    def load_initial_weights(self, network: nn.Module) -> list[LoadReport]:
        return load_gloss_to_text(cast(Translator, network), self.config)

    def training_step(
        self, network: nn.Module, parallel: nn.Module, optimizer: torch.optim.Optimizer
    ) -> TranslationStep:
        return TranslationStep(parallel, optimizer, self.config.training, self.config.loss)

    def parts(self, batch: TranslationBatch, number: int) -> Iterator[TranslationBatch]:
        """Features of sentences that are computed together, on all processes, are padded to the longest of them, so
        that the number of processes does not matter."""
        sentences = len(batch.steps)
        together = sentences // self.config.training.accumulate
        for first in range(0, sentences, together):
            part = batch.part(slice(first, first + together))
            yield part.of_steps(self.processes.largest(int(part.steps.max())))

    def evaluator(
        self, split: str, settings: Sequence[str], others: Sequence[TranslationModel] = ()
    ) -> TranslationEvaluator:
        """`others`: models that translate together with the network to evaluate."""
        members = [
            Member(
                other.config.run,
                other.recognizer,
                Translation(replace(other.config, data=self.config.data), self.processes).data(
                    cast(Split, split)
                ),
            )
            for other in others
        ]
        beams = {setting: int(setting.removeprefix("beam_")) for setting in settings}
        return TranslationEvaluator(
            self.config,
            self.data(cast(Split, split)),
            self.vocabulary,
            beams,
            self.processes,
            members,
        )

    def precision(self) -> str:
        return "fp32"

    def summary(self) -> str:
        sentences, read = self.annotations.split("train"), self.config.model.source
        seen = "glosses" if read == "gloss" else f"the {read} head"
        return f"{len(sentences)} training sentences, {self.texts.size} tokens, from {seen}"
