"""Everything an experiment can say, section by section. Free of heavy imports.

Each section is defined beside the code that uses it. The YAML files of this folder are experiments.
"""

from dataclasses import dataclass, field
from typing import Literal

from dataset.config import DataConfig
from modeling.config import AugmentConfig, LossConfig, ModelConfig, RuntimeConfig, TrainingConfig
from modeling.pose.config import PoseConfig
from utils.config import ConfigError


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
    validation_split: Literal["train", "dev", "test"] | None = "dev"  # read after every epoch; null: none
    batch_size: int = 8  # clips at a time

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError("batch_size", "must be at least 1")


@dataclass(frozen=True)
class Config:
    run: str  # folder of this run: checkpoints, metrics, predictions
    data: DataConfig
    task: str = "isolated"  # see tasks/
    seed: int = 321
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    init: InitConfig = field(default_factory=InitConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("seed", "must not be negative")
        if "rgb" in self.model.modalities and self.data.videos is None:
            raise ConfigError("data.videos", "missing; the model has RGB streams")
        if "keypoint" in self.model.modalities and self.data.keypoints is None:
            raise ConfigError("data.keypoints", "missing; the model has keypoint streams")
        if self.loss.needs_language and self.data.word_embeddings is None:
            raise ConfigError("data.word_embeddings", "missing; the loss has language parts")


@dataclass(frozen=True)
class PoseOnly:
    """What the keypoints of a single video need of a configuration."""

    pose: PoseConfig = field(default_factory=PoseConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
