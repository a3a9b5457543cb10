"""A trained model from where it was saved: a run folder, a checkpoint, an export, or a published checkpoint.

An export is a folder with `recognizer.json`, readable, which says everything but the weights, and the weights in
`model.safetensors`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from configs.build import build_recognizer, checkpoint_path, stage_weights
from configs.schema import IsolatedConfig
from dataset.annotations import read_annotations
from modeling.recognizer import Recognizer
from modeling.weights import load_matching
from utils.checkpoint import load_checkpoint
from utils.config import from_dict
from utils.errors import UserError
from utils.files import read_json

EXPORTED, EXPORTED_WEIGHTS = "recognizer.json", "model.safetensors"


@dataclass
class TrainedModel:
    """A network with what its outputs mean; `config` is that of its training."""

    recognizer: Recognizer
    vocabulary: list[str]
    config: IsolatedConfig


def load_model(path: Path, config: IsolatedConfig | None = None) -> TrainedModel:
    """The model saved at `path`, ready to predict, on the CPU.

    Args:
        path: run folder, checkpoint file, or folder of an export.
        config: for a published checkpoint, which does not say its vocabulary and sizes; ours stand alone.

    Raises:
        UserError: there is nothing there, it is damaged, or a published checkpoint comes without `config`.
    """
    content = read_trained(path)
    if "vocabulary" in content:
        vocabulary = content["vocabulary"]
        config = from_dict(IsolatedConfig, content["config"], str(path))
    elif config is None:
        raise UserError(
            f"{path}: a published checkpoint does not say what model it is; "
            "use prediction.py --config ... --checkpoint"
        )
    else:
        vocabulary = read_annotations(config.data).vocabulary
    embeddings = content.get("model", {}).get("gloss_embeddings")
    recognizer = build_recognizer(config, len(vocabulary), embeddings, auxiliary=False)
    report = load_matching(recognizer, stage_weights(content, recognizer), str(path))
    if report.left or report.mismatched:
        raise UserError(f"{report}; the checkpoint is of another model or vocabulary")
    recognizer.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return TrainedModel(recognizer, vocabulary, config)


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
