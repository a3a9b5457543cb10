"""Configuration of continuous recognition: the network and its loss. Free of heavy imports."""

from dataclasses import dataclass, field
from typing import Literal

from modeling.config import StreamsConfig
from utils.config import ConfigError

BLOCKS = 4  # of an encoder; the fifth is left out


@dataclass(frozen=True)
class ContinuousModelConfig(StreamsConfig):
    """The Two-Stream network, or one of its streams. The defaults are the published sizes for Phoenix.

    Streams are named after their modality: `rgb`, `keypoint`.
    """

    keypoint_parts: list[str] = field(
        default_factory=lambda: ["face_others_1_3", "hand", "mouth_half", "pose"]
    )
    heatmap_grid: tuple[int, int] = (260, 210)  # height and width of the raw grid on which sigma is measured
    # Evaluation sees the central square of so many pixels of a frame, with black beyond its edge; null: all of it. A
    # network without RGB reads the whole grid in any case.
    evaluation_crop: int | None = None
    lateral_blocks: tuple[int, int] = (1, 3)  # first and last block after which the streams exchange maps
    joint_head: bool = True  # of two streams: also a head that reads both
    head_size: int = 512  # channels of a head; the published network's
    dropout: float = 0.1  # in the heads
    frozen_blocks: int = 0  # so many first blocks of the RGB encoder are not trained
    # Whether BatchNorm in frozen blocks still normalises by the batch and follows it. as_published: with two streams it
    # does, with one it does not.
    frozen_statistics: Literal["as_published", "kept", "updated"] = "as_published"

    def __post_init__(self) -> None:
        super().__post_init__()
        first, last = self.lateral_blocks
        if not 1 <= first <= last <= BLOCKS:
            raise ConfigError("lateral_blocks", f"two of the blocks 1 to {BLOCKS}, the first one first")
        if min(self.heatmap_grid) < 1:
            raise ConfigError("heatmap_grid", "must be positive")
        if self.evaluation_crop is not None and self.evaluation_crop < 1:
            raise ConfigError("evaluation_crop", "must be at least 1, or null for whole frames")
        if self.head_size < 2 or self.head_size % 2:
            raise ConfigError("head_size", "must be an even number, at least 2")
        if not 0 <= self.dropout < 1:
            raise ConfigError("dropout", "must be at least 0 and below 1")
        if not 0 <= self.frozen_blocks <= BLOCKS:
            raise ConfigError("frozen_blocks", f"must be between 0 and {BLOCKS}")
        if self.frozen_blocks and "rgb" not in self.modalities:
            raise ConfigError("frozen_blocks", "are those of the RGB encoder; this model has none")

    @property
    def streams(self) -> list[str]:
        return list(self.modalities)

    @property
    def freezes_statistics(self) -> bool:
        """Whether BatchNorm in the frozen blocks stays as it is."""
        if self.frozen_statistics == "as_published":
            return len(self.modalities) == 1
        return self.frozen_statistics == "kept"


@dataclass(frozen=True)
class ContinuousLossConfig:
    """CTC of every head; with two streams also of the pyramid heads, and self-distillation."""

    rgb_pyramid: float = 0.2  # weight of the CTC of the RGB stream's pyramid heads
    keypoint_pyramid: float = 0.5
    distillation: float = 1.0  # weight of what pulls every head towards their ensemble

    def __post_init__(self) -> None:
        for name in ("rgb_pyramid", "keypoint_pyramid", "distillation"):
            if getattr(self, name) < 0:
                raise ConfigError(name, "must not be negative")


@dataclass(frozen=True)
class DecodingConfig:
    beam: int = 5  # prefixes that are kept; validation during training keeps one

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise ConfigError("beam", "must be at least 1")
