"""Configuration of the keypoint estimators. Free of heavy imports."""

from dataclasses import dataclass
from typing import Literal

from utils.config import ConfigError

EstimatorName = Literal["hrnet", "mmpose", "mediapipe"]


@dataclass(frozen=True)
class PoseConfig:
    """Which estimator finds the keypoints, and how."""

    estimator: EstimatorName | None = None  # null: hrnet if there is a checkpoint, else mediapipe
    # hrnet and mmpose: hrnet_w48_coco_wholebody_384x288_dark-f5726563_20200918.pth or one of the same network.
    checkpoint: str | None = None
    # Weights of torchvision's fasterrcnn_resnet50_fpn to find the person with; null: the whole frame is the person.
    detector: str | None = None
    # Average with the mirrored picture, as the published keypoints; false is twice as fast.
    flip_test: bool = True
    batch_size: int = 16  # hrnet: frames at a time
    precision: Literal["fp32", "bf16"] = "fp32"  # hrnet: of the network; decoding is always fp32

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError("batch_size", "must be at least 1")
        if self.chosen != "mediapipe" and self.checkpoint is None:
            raise ConfigError(
                "checkpoint", f"missing; {self.estimator} needs HRNet's weights, see docs/keypoints.md"
            )
        if self.chosen == "mediapipe" and self.checkpoint is not None:
            raise ConfigError("checkpoint", "mediapipe brings its own models; leave it out or choose hrnet")
        if self.chosen == "mediapipe" and self.detector is not None:
            raise ConfigError("detector", "mediapipe finds the person itself; leave it out or choose hrnet")

    @property
    def chosen(self) -> EstimatorName:
        """The estimator in force."""
        return self.estimator or ("hrnet" if self.checkpoint else "mediapipe")
