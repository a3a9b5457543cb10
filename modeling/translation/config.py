"""Configuration of translation: mapper, text model, generation. Free of heavy imports."""

from dataclasses import dataclass, field
from typing import Literal

from utils.config import ConfigError


@dataclass(frozen=True)
class ScratchConfig:
    """A small text model at its random start."""

    layers: int = 2  # of the encoder, and of the decoder
    width: int = 256  # length of its vectors
    heads: int = 4  # of attention
    positions: int = 512  # of tokens, and of steps of a source, at most

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "positions"):
            if getattr(self, name) < 1:
                raise ConfigError(name, "must be at least 1")
        if self.width % self.heads:
            raise ConfigError("heads", f"must divide the width, {self.width}")


@dataclass(frozen=True)
class TextModelConfig:
    """Either a local mBART or a small model of the same kind."""

    folder: str | None = None  # as `dataset.prune_mbart` makes it
    scratch: ScratchConfig | None = None
    dropout: float = 0.3
    attention_dropout: float = 0.1

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.scratch is None):
            raise ConfigError(
                "folder", "give either folder (a local mBART) or scratch (a small model from nothing)"
            )
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(name, "must be at least 0 and below 1")


@dataclass(frozen=True)
class TranslationModelConfig:
    """What is read of a sentence, and the text model that says it."""

    # The true glosses, or the head of the recognition whose gloss representation (or probabilities) is read.
    source: Literal["gloss", "rgb", "keypoint", "joint"] = "joint"
    # mlp: of the gloss representation; embedding: the mean of gloss embeddings by the glosses' probabilities.
    mapper: Literal["mlp", "embedding"] = "mlp"
    text_model: TextModelConfig = field(default_factory=lambda: TextModelConfig(scratch=ScratchConfig()))
    train_embeddings: bool = True  # of glosses and of the text model's tokens


@dataclass(frozen=True)
class TranslationLossConfig:
    """Smoothed cross-entropy of the text, and CTC of the heads; their weights are 1."""

    label_smoothing: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError("label_smoothing", "must be at least 0 and below 1")


@dataclass(frozen=True)
class GenerationConfig:
    """How a text is searched for."""

    beam: int = 5  # texts that are kept
    length_penalty: float = 1.0  # a text's score is divided by its length to this power
    validation_beam: int = 4  # the same where epochs are compared
    max_tokens: int = 100  # the language, with which a text starts, among them

    def __post_init__(self) -> None:
        for name in ("beam", "validation_beam"):
            if getattr(self, name) < 1:
                raise ConfigError(name, "must be at least 1")
        if self.max_tokens < 2:
            raise ConfigError("max_tokens", "must be at least 2")
