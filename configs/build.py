"""From a configuration to the objects it describes: language, network, clip format, starting weights."""

from pathlib import Path

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
    from_kinetics,
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
    """Kinetics weights, then those of earlier stages, as `init` says.

    Raises:
        UserError: a file is missing or nothing in it fits.
    """
    reports = []
    if config.init.kinetics is not None:
        content = load_checkpoint(Path(config.init.kinetics))
        reports.append(load_matching(model, from_kinetics(content, model), config.init.kinetics))
    for stage in config.init.stages:
        path = checkpoint_path(Path(stage))
        reports.append(load_matching(model, stage_weights(load_checkpoint(path), model), str(path)))
    for report in reports:
        if not report.loaded:
            raise UserError(f"{report.source}: no tensor fits this model; is it the right file?")
    return reports


def checkpoint_path(path: Path) -> Path:
    """A checkpoint file itself, or the best one of a run folder."""
    return path / "best.pt" if path.is_dir() else path


def stage_weights(checkpoint: dict[str, object], model: Recognizer) -> StateDict:
    """The weights in a checkpoint of ours or a published one, under our names."""
    for key in ("model", "model_state"):
        weights = checkpoint.get(key)
        if isinstance(weights, dict):
            published = any(name.startswith(PUBLISHED_PREFIX) for name in weights)
            return from_published(weights, model) if published else weights
    raise UserError(
        "a checkpoint without `model` or `model_state`; expected one of this project or a published one"
    )
