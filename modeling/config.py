"""Configuration of the network, the losses and the augmentation. Free of heavy imports."""

from dataclasses import dataclass, field
from typing import Literal

from utils.config import ConfigError
from utils.errors import UserError

Modality = Literal["rgb", "keypoint"]


@dataclass(frozen=True)
class StreamsConfig:
    """What the networks of all tasks have in common: their streams' encoders, and what these read."""

    modalities: list[Modality] = field(default_factory=lambda: ["rgb", "keypoint"])
    encoder: str = "s3d"  # how a stream is encoded; see modeling/encoders.py
    width: float = 1.0  # factor on every channel count of the encoders
    rgb_size: int = 224  # height and width of the RGB input, pixels
    heatmap_size: int = 112  # height and width of the heatmaps; half of rgb_size when both are read
    heatmap_sigma: float = 8.0  # of a keypoint, pixels of heatmap_grid
    batch_norm_momentum: float = 0.001
    lateral_connections: bool = True  # false: the streams exchange nothing, for comparison
    # Factor on the initial lateral connections. Below 1 a later stage starts near what the earlier ones learned,
    # where at 1 it first unlearns much of it; a short training needs that.
    lateral_init_scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ConfigError("modalities", "name rgb, keypoint or both, each once")
        if len(self.modalities) == 2 and self.rgb_size != 2 * self.heatmap_size:
            raise ConfigError("rgb_size", "must be twice model.heatmap_size, for the lateral connections")
        if not 0 < self.width <= 4:
            raise ConfigError("width", "must be above 0 and at most 4")
        for name in ("batch_norm_momentum", "lateral_init_scale"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(name, "must be above 0 and at most 1")
        if self.heatmap_sigma <= 0:
            raise ConfigError("heatmap_sigma", "must be positive")
        # Blocks halve a picture up to five times; maps that are exchanged must stay twice as large as each other.
        for name in ("rgb_size", "heatmap_size"):
            if getattr(self, name) < 32:
                raise ConfigError(name, "must be at least 32")
        if len(self.modalities) == 2 and self.heatmap_size % 16:
            raise ConfigError("heatmap_size", "must be a multiple of 16, for the lateral connections")


@dataclass(frozen=True)
class ModelConfig(StreamsConfig):
    """The network of isolated recognition. The defaults are the published sizes.

    Streams are the modalities at each clip length, named `rgb64`, `keypoint64`, `rgb32`, `keypoint32`.
    """

    frames: list[int] = field(default_factory=lambda: [64, 32])  # the second is cut from the first
    heatmap_grid: int = 256  # side of the raw grid on which sigma is measured
    keypoint_parts: list[str] = field(default_factory=lambda: ["hand", "mouth_half", "pose"])

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.frames) <= 2 or min(self.frames) < 8:
            raise ConfigError("frames", "one or two clip lengths of at least 8 frames")
        if len(self.frames) == 2 and self.frames[0] != 2 * self.frames[1]:
            raise ConfigError("frames", "the second clip length must be half the first")
        if len(self.frames) == 2 and len(self.modalities) == 1:
            raise ConfigError("frames", "two clip lengths need both modalities")
        if len(self.frames) == 2 and self.frames[1] % 4:
            raise ConfigError(
                "frames", "the second clip length must be a multiple of 4, for the lateral connections"
            )
        if self.heatmap_grid <= 0:
            raise ConfigError("heatmap_grid", "must be positive")

    @property
    def streams(self) -> list[str]:
        """Stream names, longest clips first: rgb64, keypoint64, rgb32, keypoint32 in the full model."""
        return [f"{modality}{length}" for length in self.frames for modality in self.modalities]

    @property
    def last_places(self) -> int:
        """Steps times pixels of a clip's smallest map, which is the last of its smallest stream."""
        size = self.heatmap_size if "keypoint" in self.modalities else self.rgb_size
        return _halved(min(self.frames), 3) * _halved(size, 5) ** 2


def _halved(length: int, times: int) -> int:
    """What the blocks of an encoder make of a length: all round up but the last."""
    for _ in range(times - 1):
        length = -(-length // 2)
    return length // 2


@dataclass(frozen=True)
class LabelSmoothingConfig:
    """Soft labels. `language` spreads the mass by similarity of meaning, `uniform` evenly (paper section 3.2)."""

    kind: Literal["none", "uniform", "language"] = "none"
    epsilon: float = 0.2  # mass taken off the label
    temperature: float = 0.5  # tau; language only

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < 1:
            raise ConfigError("epsilon", "must be at least 0 and below 1")
        if self.temperature <= 0:
            raise ConfigError("temperature", "must be positive")


@dataclass(frozen=True)
class IntraModalityMixupConfig:
    """Mixing of two clips: with `probability` a batch, lambda ~ Beta(alpha, alpha)."""

    probability: float = 0.0
    alpha: float = 0.8
    group_size: int = 4  # clips are permuted within groups of this many: the published batch of one process

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigError("probability", "must be between 0 and 1")
        if self.alpha <= 0:
            raise ConfigError("alpha", "must be positive")
        if self.group_size < 2:
            raise ConfigError("group_size", "must be at least 2")


@dataclass(frozen=True)
class InterModalityMixupConfig:
    """Mixing of a clip's feature with gloss embeddings, trained through an auxiliary classifier."""

    enabled: bool = False
    weight: float = 1.0  # w0, the weight of the loss at epoch 0
    decay: bool = True  # let the weight fall to 0 over the epochs (half a cosine)
    candidates: int | None = None  # glosses mixed in per clip; null = all
    integrate: bool = True  # move the main classifier towards the auxiliary one after every step
    momentum: float = 0.99  # beta of the integration at epoch 0; it rises to 1

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ConfigError("weight", "must not be negative")
        if self.candidates is not None and self.candidates < 1:
            raise ConfigError("candidates", "must be at least 1, or null for all glosses")
        if not 0 <= self.momentum <= 1:
            raise ConfigError("momentum", "must be between 0 and 1")


@dataclass(frozen=True)
class LossConfig:
    label_smoothing: LabelSmoothingConfig = field(default_factory=LabelSmoothingConfig)
    intra_modality_mixup: IntraModalityMixupConfig = field(default_factory=IntraModalityMixupConfig)
    inter_modality_mixup: InterModalityMixupConfig = field(default_factory=InterModalityMixupConfig)

    @property
    def needs_language(self) -> bool:
        return self.label_smoothing.kind == "language" or self.inter_modality_mixup.enabled


@dataclass(frozen=True)
class ColorJitterConfig:
    probability: float = 0.3
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigError("probability", "must be between 0 and 1")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(name, "must be between 0 and 1")
        if not 0 <= self.hue <= 0.5:
            raise ConfigError("hue", "must be between 0 and 0.5")


@dataclass(frozen=True)
class AugmentConfig:
    """Spatial and colour augmentation of training clips, and whether clips of a batch share the draw."""

    draw: Literal["per_clip", "per_batch"] = "per_clip"  # the published runs draw once per batch
    crop_scale: tuple[float, float] = (0.7, 1.0)  # share of the frame's area
    crop_ratio: tuple[float, float] = (0.75, 1.3)  # width / height, drawn log-uniformly
    color_jitter: ColorJitterConfig = field(default_factory=ColorJitterConfig)

    def __post_init__(self) -> None:
        for name in ("crop_scale", "crop_ratio"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(name, "two positive numbers, the smaller first")
        if self.crop_scale[1] > 1:
            raise ConfigError("crop_scale", "must not exceed 1")


@dataclass(frozen=True)
class TrainingConfig:
    """The optimiser and its schedule. The defaults are the published recipe."""

    epochs: int = 100
    batch_size: int = 32  # clips per optimiser step, over all processes
    # Parts in which each process computes its clips of a step, one after the other in the memory of one.
    accumulate: int = 1
    # What BatchNorm normalises by in such parts: each part's own statistics, or those of the whole batch, found by a
    # forward pass before; about a third more time.
    accumulate_norm: Literal["part", "batch"] = "part"
    optimizer: Literal["adam", "adamw"] = "adam"  # adam: weight decay as L2 in the gradient; adamw: decoupled
    learning_rate: float = 1e-3  # the highest
    # The same of parts of the network, by the beginning of their weights' names, such as {text: 1.0e-5}.
    part_rates: dict[str, float] = field(default_factory=dict)
    # cosine: it falls to 0 from epoch to epoch. one_cycle: from step to step it rises for a quarter of the training and
    # then falls to 0, which stands higher rates and gets far in few epochs.
    schedule: Literal["cosine", "one_cycle"] = "cosine"
    period: int | None = None  # epochs until it would be 0, if that is not at the end
    betas: tuple[float, float] = (0.9, 0.998)
    eps: float = 1e-8
    weight_decay: float = 1e-3
    checkpoint_minutes: float = 15.0  # between checkpoints, besides those after every epoch
    # So many steps whose loss or gradient is not finite may be left out; one more ends the run.
    skip_steps: int = 0
    profile: bool = False  # record where the time of some steps goes, in the run's folder profile/

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise ConfigError(name, "must be at least 1")
        if self.period is not None and self.period < self.epochs:
            raise ConfigError("period", f"must be at least training.epochs, {self.epochs}")
        for name in ("learning_rate", "eps", "checkpoint_minutes"):
            if getattr(self, name) <= 0:
                raise ConfigError(name, "must be positive")
        if not all(rate > 0 for rate in self.part_rates.values()):
            raise ConfigError("part_rates", "must be positive")
        for name in ("weight_decay", "skip_steps"):
            if getattr(self, name) < 0:
                raise ConfigError(name, "must not be negative")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError("betas", "must be at least 0 and below 1")

    @property
    def normalizes_whole_batches(self) -> bool:
        """Whether BatchNorm covers all parts of a batch."""
        return self.accumulate > 1 and self.accumulate_norm == "batch"

    def refuse_uneven_batches(self, processes: int) -> None:
        """Raise a `UserError` if a batch does not divide over so many processes, or there into its parts."""
        local, rest = divmod(self.batch_size, processes)
        if rest:
            raise UserError(
                f"training.batch_size: {self.batch_size} clips do not divide over {processes} processes"
            )
        if local % self.accumulate:
            raise UserError(
                f"training.accumulate: the {local} clips of a process do not divide into {self.accumulate} parts"
            )


@dataclass(frozen=True)
class RuntimeConfig:
    """Where and in which arithmetic a network computes; the result is the same up to rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: a GPU if there is one
    # Of the encoders; heads, losses, statistics of BatchNorm and weights are always fp32. auto: bf16 where the device
    # has units for it.
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    # The same bits in every run on one machine: only what always computes in the same order, slower on a GPU; torch
    # warns where it has no such way. On a CPU runs are equal without it.
    deterministic: bool = False
    compile: bool = False  # torch.compile, on a GPU after the rewrites: minutes before the first step
    # The exact rewrites of modeling/fast that fit the device. auto: unless a network on a CPU is compiled.
    fast: Literal["auto", "on", "off"] = "auto"
