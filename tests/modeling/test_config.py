"""A model configuration is either refused, naming the key, or describes a network that runs."""

import pytest
import torch

from modeling.config import Modality, ModelConfig
from modeling.recognizer import Recognizer
from utils.config import ConfigError


def test_streams_are_named_longest_first() -> None:
    assert ModelConfig().streams == ["rgb64", "keypoint64", "rgb32", "keypoint32"]
    assert ModelConfig(modalities=["keypoint"], frames=[32]).streams == ["keypoint32"]


@pytest.mark.parametrize(
    ("modalities", "frames", "size"),
    [
        (["rgb"], [25], 50),
        (["keypoint", "rgb"], [25], 32),
        (["keypoint", "rgb"], [16, 8], 48),
        (["keypoint", "rgb"], [24, 12], 32),
        (["rgb"], [16], 8),  # too small for five blocks
        (["keypoint"], [16], 16),
        (["rgb", "keypoint"], [16], 16),
        (["rgb", "keypoint"], [16], 40),  # the maps of RGB stop being twice those of the heatmaps
        (["rgb", "keypoint"], [16], 100),
        (["rgb", "keypoint"], [20, 10], 32),  # the maps of 20 frames stop being twice those of 10
        (["rgb", "keypoint"], [22, 11], 32),
    ],
)
def test_an_accepted_model_runs(modalities: list[Modality], frames: list[int], size: int) -> None:
    try:
        config = ModelConfig(modalities, frames=frames, width=0.01, rgb_size=2 * size, heatmap_size=size)
    except ConfigError as error:
        assert error.key in ("frames", "rgb_size", "heatmap_size")
        return
    with torch.device("meta"):
        model = Recognizer(config, 5, 3).eval()
        inputs = {}
        for length in frames:
            inputs[f"rgb{length}"] = torch.empty(1, 3, length, 2 * size, 2 * size)
            inputs[f"keypoint{length}"] = torch.empty(1, 5, length, size, size)
        output = model({name: inputs[name] for name in config.streams})
    assert all(logits.shape == (1, 3) for logits in output.logits.values())
