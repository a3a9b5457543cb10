"""A trained model from where it was saved: a run folder, a checkpoint, an export, or a published checkpoint.

An export is a folder with `recognizer.json`, readable, which says everything but the weights, and the weights in
`model.safetensors`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from configs.build import (
    build_continuous_recognizer,
    build_recognizer,
    build_translator,
    checkpoint_path,
    stage_weights,
)
from configs.schema import Config, ContinuousConfig, IsolatedConfig, TranslationConfig, experiment_from_dict
from dataset.sentences import read_clips
from dataset.texts import TextVocabulary
from modeling.continuous.network import ContinuousRecognizer
from modeling.recognizer import Recognizer
from modeling.translation.network import Translator, heads_of_weights
from modeling.weights import load_matching
from utils.checkpoint import load_checkpoint
from utils.errors import UserError
from utils.files import read_json

EXPORTED, EXPORTED_WEIGHTS = "recognizer.json", "model.safetensors"

N = TypeVar("N", bound=nn.Module)
C = TypeVar("C", bound=Config)


@dataclass
class TrainedModel(Generic[N, C]):
    """A network with what its outputs mean; `config` is that of its training."""

    recognizer: N
    vocabulary: list[str]
    config: C


class IsolatedModel(TrainedModel[Recognizer, IsolatedConfig]):
    """It names the sign of a clip."""


class ContinuousModel(TrainedModel[ContinuousRecognizer, ContinuousConfig]):
    """It reads the glosses of a sentence."""


class TranslationModel(TrainedModel[Translator, TranslationConfig]):
    """It says the text of a sentence."""

    @property
    def texts(self) -> TextVocabulary:
        """The sub-words that it was trained with."""
        return TextVocabulary.of_tensors(self.recognizer.sentencepiece, self.recognizer.tokens)

    def together_with(self, others: Iterable[Self]) -> "list[Self]":
        """This model and others, which can translate together.

        Raises:
            UserError: one has other glosses or other sub-words.
        """
        models = [self, *others]
        for other in models:
            tokens = zip(self.texts.tensors(), other.texts.tensors(), strict=True)
            if other.vocabulary != self.vocabulary or not all(torch.equal(x, y) for x, y in tokens):
                raise UserError(
                    f"{other.config.run}: has other glosses or sub-words than {self.config.run}; models that translate "
                    "together must have learned from the same data"
                )
        return models


AnyModel = IsolatedModel | ContinuousModel | TranslationModel


@overload
def load_model(path: Path, config: IsolatedConfig) -> IsolatedModel: ...
@overload
def load_model(path: Path, config: ContinuousConfig) -> ContinuousModel: ...
@overload
def load_model(path: Path, config: TranslationConfig) -> TranslationModel: ...
@overload
def load_model(path: Path, config: Config | None = None) -> AnyModel: ...
def load_model(path: Path, config: Config | None = None) -> AnyModel:
    """The model saved at `path`, ready to predict, on the CPU.

    Args:
        path: run folder, checkpoint file, or folder of an export.
        config: says the task that the model must be of, and, of a published checkpoint, vocabulary and sizes; ours
            stand alone.

    Raises:
        UserError: there is nothing there, it is damaged or of another task, or a published checkpoint comes without
            `config`.
    """
    content = read_trained(path)
    if "vocabulary" in content:
        vocabulary, trained = content["vocabulary"], experiment_from_dict(content["config"], str(path))
        if config is not None and config.task != trained.task:
            raise UserError(
                f"{path}: a model of {trained.kind}, but the configuration is of {config.kind}; name the "
                "configuration that the model was trained with"
            )
        config = trained
    elif config is None:
        raise UserError(
            f"{path}: a published checkpoint does not say what model it is; "
            "use prediction.py --config ... --checkpoint"
        )
    else:
        vocabulary = read_clips(config.data).vocabulary
    if isinstance(config, ContinuousConfig):
        network = build_continuous_recognizer(config, len(vocabulary))
        return ContinuousModel(_with_weights(network, content, path), vocabulary, config)
    if isinstance(config, TranslationConfig):
        return _translation_model(config, vocabulary, content, path)
    assert isinstance(config, IsolatedConfig)
    embeddings = content.get("model", {}).get("gloss_embeddings")
    recognizer = build_recognizer(config, len(vocabulary), embeddings, auxiliary=False)
    return IsolatedModel(_with_weights(recognizer, content, path), vocabulary, config)


def recognition_of(config: TranslationConfig, vocabulary: Sequence[str]) -> ContinuousModel:
    """The continuous recognition that a translation reads with; it has the translation's `vocabulary`.

    Raises:
        UserError: there is no such model, it reads other glosses, or glosses are translated.
    """
    if config.recognition is None:
        raise UserError(
            f"{config.run}: translates glosses; videos need a model that reads rgb, keypoint or joint (model.source)"
        )
    model = load_model(Path(config.recognition))
    if not isinstance(model, ContinuousModel):
        raise UserError(
            f"recognition: {config.recognition}: a model of {model.config.kind}; name one of continuous recognition"
        )
    if model.vocabulary != vocabulary:
        raise UserError(
            f"recognition: {config.recognition}: knows {len(model.vocabulary)} glosses which are not the "
            f"{len(vocabulary)} of the data; name data.vocabulary as its configuration does"
        )
    return model


def _translation_model(
    config: TranslationConfig, vocabulary: list[str], content: dict[str, Any], path: Path
) -> TranslationModel:
    """Its heads and its sub-words are in its checkpoint, whatever became of the recognition they are from."""
    weights = content["model"]
    try:
        texts = TextVocabulary.of_tensors(weights["sentencepiece"], weights["tokens"])
    except KeyError as error:
        raise UserError(f"{path}: not a model of translation of this project: lacks {error}") from None
    translator = build_translator(config, vocabulary, texts, heads_of_weights(weights))
    return TranslationModel(_with_weights(translator, content, path), vocabulary, config)


def _with_weights(network: N, content: dict[str, Any], path: Path) -> N:
    """A network with the weights of a checkpoint, all of them.

    Raises:
        UserError: they are of another network.
    """
    report = load_matching(network, stage_weights(content, network, str(path)), str(path))
    if report.left or report.mismatched:
        raise UserError(f"{report}; the checkpoint is of another model or vocabulary")
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network


def read_trained(path: Path) -> dict[str, Any]:
    """The content of a checkpoint or of an export, as a dict with `model` (weights), `vocabulary` and `config`."""
    if (path / EXPORTED).is_file():
        content: dict[str, Any] = read_json(path / EXPORTED, dict)
        if not {"vocabulary", "config"} <= content.keys():
            raise UserError(
                f"{path / EXPORTED}: not an export of this project; python -m inference.export makes one"
            )
        try:
            return {**content, "model": load_file(str(path / EXPORTED_WEIGHTS))}
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path / EXPORTED_WEIGHTS}: cannot be read: {error}") from None
    if not checkpoint_path(path).is_file():
        raise UserError(
            f"{path}: no trained model: neither a checkpoint nor a run with best.pt; train first or name another"
        )
    return load_checkpoint(checkpoint_path(path))
