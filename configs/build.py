"""From a configuration to the objects it describes: language, network, clip format, starting weights."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from configs.schema import Config
from dataset.clips import ClipFormat
from dataset.glosses import embedding_matrix
from dataset.keypoints import keypoint_indices
from modeling.config import ModelConfig
from modeling.recognizer import Recognizer
from modeling.weights import (
    PUBLISHED_PREFIX,
    LoadReport,
    StateDict,
    encoder_weights,
    from_published,
    load_matching,
)
from utils.checkpoint import load_checkpoint
from utils.errors import UserError


def clip_format(model: ModelConfig) -> ClipFormat:
    """What the network reads of a clip."""
    indices = keypoint_indices(model.keypoint_parts) if "keypoint" in model.modalities else None
    return ClipFormat(model.frames[0], "rgb" in model.modalities, indices, model.heatmap_grid)


def gloss_embeddings(config: Config, vocabulary: list[str]) -> Tensor | None:
    """float32 [glosses, dimension] if the loss has language parts, else None."""
    if not config.loss.needs_language:
        return None
    assert config.data.word_embeddings is not None
    return torch.from_numpy(embedding_matrix(Path(config.data.word_embeddings), vocabulary))


def build_recognizer(config: Config, num_glosses: int, embeddings: Tensor | None) -> Recognizer:
    """The network at its random start, which depends on the seed alone."""
    candidates = config.loss.inter_modality_mixup.candidates
    if candidates is not None and candidates > num_glosses:
        raise UserError(
            f"loss.inter_modality_mixup.candidates: {candidates} is more than the {num_glosses} glosses there are"
        )
    torch.manual_seed(config.seed)
    keypoints = len(keypoint_indices(config.model.keypoint_parts))
    auxiliary = config.loss.inter_modality_mixup.enabled
    return Recognizer(config.model, keypoints, num_glosses, embeddings, auxiliary)


def load_initial_weights(model: Recognizer, config: Config) -> list[LoadReport]:
    """The encoder's weights, then those of earlier stages, as `init` says.

    Raises:
        UserError: a file is missing or nothing in it fits.
    """
    reports = []
    if config.init.encoder is not None:
        path = checkpoint_path(Path(config.init.encoder))
        content = load_checkpoint(path)
        weights = encoder_weights(content.get("model", content), model)
        reports.append(load_matching(model, weights, str(path)))
    for number, stage in enumerate(config.init.stages):
        path = checkpoint_path(Path(stage))
        frames = config.model.frames[min(number, len(config.model.frames) - 1)]
        weights = stage_weights(load_checkpoint(path), model, frames)
        reports.append(load_matching(model, weights, str(path)))
    for report in reports:
        if not report.loaded:
            raise UserError(f"{report.source}: no tensor fits this model; is it the right file?")
    return reports


def checkpoint_path(path: Path) -> Path:
    """A checkpoint file itself, or the best one of a run folder."""
    return path / "best.pt" if path.is_dir() else path


def stage_weights(checkpoint: dict[str, Any], model: Recognizer, frames: int | None = None) -> StateDict:
    """The weights in a checkpoint of ours or a published one, under our names.

    `frames`: the clip length of a published single- or two-stream checkpoint, whose names do not say it; the
    model's longer one if None.
    """
    for key in ("model", "model_state"):
        weights = checkpoint.get(key)
        if isinstance(weights, dict):
            published = any(name.startswith(PUBLISHED_PREFIX) for name in weights)
            return from_published(weights, model, frames or model.config.frames[0]) if published else weights
    raise UserError(
        "a checkpoint without `model` or `model_state`; expected one of this project or a published one"
    )
