"""Untrained models saved as runs, on the data set of seven clips."""

from pathlib import Path

from configs.build import build_recognizer
from configs.schema import IsolatedConfig
from utils.checkpoint import save_checkpoint
from utils.config import from_dict, to_dict, to_yaml

VOCABULARY = ["cold", "table", "winter"]


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
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(config))
    model = build_recognizer(config, len(VOCABULARY), None)
    content = {"model": model.state_dict(), "vocabulary": VOCABULARY, "config": to_dict(config)}
    save_checkpoint(folder / "best.pt", content)
    return config
