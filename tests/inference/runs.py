"""Untrained models saved as runs, on the data set of seven clips."""

from pathlib import Path
from typing import Any

from torch import nn

from configs.build import build_continuous_recognizer, build_recognizer
from configs.schema import Config, ContinuousConfig, IsolatedConfig
from tests.conftest import write_csv
from utils.checkpoint import save_checkpoint
from utils.config import from_dict, to_dict, to_yaml

VOCABULARY = ["cold", "table", "winter"]
GLOSSES = ["<s>", "cold", "rain", "table", "winter"]


def make_run(folder: Path, data: Path, modalities: list[str]) -> IsolatedConfig:
    """A run folder with best.pt and config.yaml."""
    values = {
        "run": str(folder),
        "data": {
            "index": str(data / "clips.csv"),
            "videos": str(data / "clips.zip"),
            "keypoints": str(data / "keypoints.safetensors"),
            "frame_size": 32,
            "workers": 0,
        },
        "model": {
            "modalities": modalities,
            "frames": [8],
            "width": 0.01,
            "rgb_size": 64,
            "heatmap_size": 32,
            "heatmap_grid": 32,
            "heatmap_sigma": 2.0,
        },
        "evaluation": {"batch_size": 2},
        "runtime": {"device": "cpu"},
    }
    config = from_dict(IsolatedConfig, values, "test")
    write_run(folder, config, build_recognizer(config, len(VOCABULARY), None), VOCABULARY)
    return config


def make_sentence_run(folder: Path, clips: Path, modalities: list[str], **of_data: Any) -> ContinuousConfig:
    """The same of continuous recognition: the clips are sentences of one to three glosses; `of_data` changes how they
    are read."""
    folder.mkdir(parents=True)
    sentences = [
        "cold",
        "rain table",
        "winter",
        "cold rain",
        "table winter rain",
        "cold table",
        "rain winter",
    ]
    rows = [
        {
            "name": f"c{i}",
            "glosses": glosses,
            "split": "train" if i < 5 else "test",
            "video": f"c{i}.mp4",
            "frames": 9 + i,
        }
        for i, glosses in enumerate(sentences)
    ]
    values = {
        "task": "continuous",
        "run": str(folder),
        "data": {
            "index": str(write_csv(folder / "sentences.csv", rows)),
            "videos": str(clips / "clips.zip"),
            "keypoints": str(clips / "keypoints.safetensors"),
            "frame_size": [32, 32],
            "keypoints_frame_size": [32, 32],
            "workers": 0,
            **of_data,
        },
        "model": {
            "modalities": modalities,
            "width": 0.05,
            "rgb_size": 64,
            "heatmap_size": 32,
            "heatmap_grid": [32, 32],
            "heatmap_sigma": 2.0,
            "head_size": 16,
        },
        "evaluation": {"batch_size": 2},
        "runtime": {"device": "cpu"},
    }
    config = from_dict(ContinuousConfig, values, "test")
    write_run(folder, config, build_continuous_recognizer(config, len(GLOSSES)), GLOSSES)
    return config


def write_run(folder: Path, config: Config, network: nn.Module, vocabulary: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(to_yaml(config))
    content = {"model": network.state_dict(), "vocabulary": vocabulary, "config": to_dict(config)}
    save_checkpoint(folder / "best.pt", content)
