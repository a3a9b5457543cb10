"""Everything an experiment can say, section by section. Free of heavy imports.

Each section is defined beside the code that uses it. The YAML files of this folder are experiments.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dataset.config import DataConfig, FootageConfig, SentenceDataConfig
from modeling.config import (
    AugmentConfig,
    LossConfig,
    ModelConfig,
    RuntimeConfig,
    StreamsConfig,
    TrainingConfig,
)
from modeling.continuous.config import ContinuousLossConfig, ContinuousModelConfig, DecodingConfig
from modeling.pose.config import PoseConfig
from modeling.translation.config import GenerationConfig, TranslationLossConfig, TranslationModelConfig
from utils.config import ConfigError, from_dict, load_config
from utils.config_files import read_values
from utils.errors import UserError
from utils.text_scores import Unit


@dataclass(frozen=True)
class InitConfig:
    """Where the weights come from; without either the network starts at random."""

    # S3D weights for every encoder: S3D_kinetics400.pt, or the run of a single stream.
    encoder: str | None = None
    # Run folders or checkpoints of earlier stages, loaded by name in this order. Published two-stream checkpoints
    # do not say their clip length: the first is taken for the longer clips, the second for the shorter.
    stages: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class EvaluationConfig:
    validation_split: Literal["train", "dev", "test"] | None = "dev"  # read after an epoch; null: none
    validate_every: int = 1  # so many epochs, and after the last one
    batch_size: int = 8  # clips at a time
    # Leave out clips that cannot be read, and say so beside every figure; false: the first one ends the evaluation.
    allow_missing: bool = False

    def __post_init__(self) -> None:
        for name in ("validate_every", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(name, "must be at least 1")


@dataclass(frozen=True)
class Config:
    """What experiments of all tasks say; each task has its own kind of data, model and loss."""

    run: str  # folder of this run: checkpoints, metrics, predictions
    data: FootageConfig
    task: str = "isolated"  # see tasks/
    seed: int = 321
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("seed", "must not be negative")

    @property
    def kind(self) -> str:
        """The task in words."""
        return self.task


@dataclass(frozen=True)
class RecognitionConfig(Config):
    """Recognition: a network reads frames and keypoints of clips."""

    model: StreamsConfig = field(default_factory=StreamsConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    init: InitConfig = field(default_factory=InitConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if "rgb" in self.model.modalities and self.data.videos is None:
            raise ConfigError("data.videos", "missing; the model has RGB streams")
        if "keypoint" in self.model.modalities and self.data.keypoints is None:
            raise ConfigError("data.keypoints", "missing; the model has keypoint streams")

    @property
    def kind(self) -> str:
        return f"{self.task} recognition"


@dataclass(frozen=True)
class IsolatedConfig(RecognitionConfig):
    """Isolated recognition: a clip shows one sign."""

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss.needs_language and self.data.word_embeddings is None:
            raise ConfigError("data.word_embeddings", "missing; the loss has language parts")


@dataclass(frozen=True)
class ContinuousConfig(RecognitionConfig):
    """Continuous recognition: a clip shows a sentence."""

    data: SentenceDataConfig
    model: ContinuousModelConfig = field(default_factory=ContinuousModelConfig)
    loss: ContinuousLossConfig = field(default_factory=ContinuousLossConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)


@dataclass(frozen=True)
class TextsConfig:
    """The texts that are translated to."""

    unit: Unit = "words"  # what scores compare
    pieces: int = 1000  # sub-words, at most, of a vocabulary that is made of the training texts
    language: str | None = None  # that a local mBART speaks, as its tokenizer calls it: de_DE, zh_CN

    def __post_init__(self) -> None:
        if self.pieces < 1:
            raise ConfigError("pieces", "must be at least 1")


@dataclass(frozen=True)
class TranslationConfig(Config):
    """Translation: the text of a sentence from its glosses, or from what a trained recognition saw of it."""

    data: SentenceDataConfig
    # The run of continuous recognition whose stored features are read (python -m inference.features makes them) and
    # whose heads are trained further; none where glosses are read.
    recognition: str | None = None
    gloss_to_text: str | None = None  # the run whose text model and gloss embeddings are trained further
    model: TranslationModelConfig = field(default_factory=TranslationModelConfig)
    loss: TranslationLossConfig = field(default_factory=TranslationLossConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    texts: TextsConfig = field(default_factory=TextsConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.recognition is None) != (self.model.source == "gloss"):
            raise ConfigError(
                "recognition",
                "name the run of continuous recognition that is read; none with model.source: gloss",
            )
        if (self.texts.language is None) != (self.model.text_model.folder is None):
            raise ConfigError("texts.language", "name that of the local mBART; none with text_model.scratch")
        if self.model.text_model.scratch and not (self.gloss_to_text or self.model.train_embeddings):
            raise ConfigError(
                "model.train_embeddings", "must be true: those of text_model.scratch are random"
            )


# The configuration of each task, by the name that `task` gives.
SCHEMAS: dict[str, type[Config]] = {
    "isolated": IsolatedConfig,
    "continuous": ContinuousConfig,
    "translation": TranslationConfig,
}


def load_experiment(path: Path | None, overrides: list[str] | None = None) -> Config:
    """The experiment in a YAML file, of whatever task it names; see `utils.config.load_config`."""
    values, _ = read_values(path, overrides or [])
    return load_config(schema_of(values, str(path)), path, overrides)


def experiment_from_dict(values: dict[str, Any], where: str) -> Config:
    """The experiment that a run or a checkpoint holds as plain values; `where` names it in errors."""
    return from_dict(schema_of(values, where), values, where)


def schema_of(values: dict[str, Any], where: str) -> type[Config]:
    """The kind of configuration that plain values are of.

    Raises:
        UserError: they name a task that there is not.
    """
    task = values.get("task", "isolated")
    if not isinstance(task, str) or task not in SCHEMAS:
        raise UserError(f"{where}: task: {task!r} is not known; known: {', '.join(SCHEMAS)}")
    return SCHEMAS[task]


@dataclass(frozen=True)
class PoseOnly:
    """What the keypoints of a single video need of a configuration."""

    pose: PoseConfig = field(default_factory=PoseConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
