"""Weights from elsewhere: Kinetics S3D, the published checkpoints, and earlier stages of our own training.

Streams and heads keep their names from stage to stage, so an earlier stage's weights fit by name. The published
names appear here and nowhere else. Every load says what was loaded, what did not fit and what was left at its
initial value.
"""

import re
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from modeling.config import Modality, ModelConfig
from modeling.heads import head_streams
from modeling.recognizer import Recognizer

StateDict = dict[str, Tensor]

_BLOCK_START = (0, 1, 4, 7, 13)  # index of each block's first layer in the published sequence
_LAYER_NAMES = {
    "spatial.conv": "conv_s",
    "spatial.bn": "bn_s",
    "temporal.conv": "conv_t",
    "temporal.bn": "bn_t",
    "branches.": "branch",
}
_PUBLISHED_MODALITY = {"rgb": "rgb", "keypoint": "pose"}
_HEAD_LAYERS = {
    "classifier": "gloss_output_layer",
    "mapper": "word_emb_mapper",
    "auxiliary": "word_fused_gloss_output_layer",
}
PUBLISHED_PREFIX = "recognition_network."
ENCODER_PREFIX = "module.base."  # in S3D_kinetics400.pt


@dataclass
class LoadReport:
    """What became of one load.

    loaded: names that took a value. mismatched: names whose shapes differ. unused: names in the source that the
    model does not have. left: names of the model that keep their initial value.
    """

    source: str
    loaded: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        def some(names: list[str]) -> str:
            groups = sorted({".".join(name.split(".")[:3]) for name in names})
            more = f" and {len(groups) - 4} more" if len(groups) > 4 else ""
            return f"{len(names)}" + (f" ({', '.join(groups[:4])}{more})" if groups else "")

        return (
            f"{self.source}: loaded {len(self.loaded)} tensors; other shape: {some(self.mismatched)}; "
            f"not in this model: {some(self.unused)}; left as they were: {some(self.left)}"
        )


def load_matching(model: nn.Module, weights: StateDict, source: str) -> LoadReport:
    """Copy every tensor of `weights` whose name and shape the model has. `gloss_embeddings` is never copied."""
    report = LoadReport(source)
    own = model.state_dict()
    for name, value in weights.items():
        if name == "gloss_embeddings":
            continue
        if name not in own:
            report.unused.append(name)
        elif own[name].shape != value.shape:
            report.mismatched.append(name)
        else:
            own[name].copy_(value)
            report.loaded.append(name)
    taken = set(report.loaded)
    report.left = [name for name in own if name not in taken and name != "gloss_embeddings"]
    return report


def encoder_weights(checkpoint: StateDict, model: nn.Module, encoder: str) -> StateDict:
    """One encoder's weights for every encoder of the model.

    `checkpoint` is the Kinetics-400 S3D file (keys `module.base.<i>...`) or the weights of a single stream of ours;
    `encoder`: the configured name of the model's.
    """
    layers: StateDict = {}
    for name, value in checkpoint.items():
        if name.startswith("vknet.encoders."):
            layers[name.split(".", 3)[3]] = value
    weights = {}
    for name in model.state_dict():
        if name.startswith("vknet.encoders."):
            layer = name.split(".", 3)[3]
            if layer in layers:
                weights[name] = layers[layer]
            elif encoder == "s3d" and (key := f"module.{encoder_layer(layer)}") in checkpoint:
                weights[name] = checkpoint[key]
    return weights


def from_published(checkpoint: StateDict, model: Recognizer, frames: int) -> StateDict:
    """A published checkpoint's `model_state` under our names; tensors of no counterpart keep their names.

    `frames`: the clip length of a single- or two-stream checkpoint, whose names do not say it.
    """
    source = _published_config(checkpoint, model.config, frames)
    members = {*source.streams, *head_streams(list(source.modalities), source.frames)}
    members |= {f"modalities{length}" for length in source.frames} | {
        f"lengths_{m}" for m in source.modalities
    }
    weights = dict(checkpoint)
    for name in model.state_dict():
        if _member(name) in members:
            published = published_name(name, source)
            if published in weights:
                weights[name] = weights.pop(published)
    return weights


def _member(name: str) -> str:
    """The stream, head or exchange that one of our tensors belongs to."""
    parts = name.split(".")
    return parts[1] if parts[0] == "heads" else parts[2] if parts[0] == "vknet" else ""


def _published_config(checkpoint: StateDict, model: ModelConfig, frames: int) -> ModelConfig:
    """The streams of a published checkpoint, read off its names."""
    networks = {name.removeprefix(PUBLISHED_PREFIX).split(".")[0] for name in checkpoint}
    if "visual_backbone_fourstream" in networks:
        return replace(model, modalities=["rgb", "keypoint"], frames=[model.frames[0], model.frames[0] // 2])
    if "visual_backbone_twostream" in networks:
        return replace(model, modalities=["rgb", "keypoint"], frames=[frames])
    modality: Modality = "rgb" if "visual_backbone" in networks else "keypoint"
    return replace(model, modalities=[modality], frames=[frames])


def published_name(name: str, config: ModelConfig) -> str | None:
    """The published checkpoints' name of one of our tensors, or None where they have none."""
    kind, _, rest = name.partition(".")
    if kind == "heads":
        head, layer, leaf = rest.split(".")
        return f"{PUBLISHED_PREFIX}{_published_head(head, config)}.{_HEAD_LAYERS[layer]}.{leaf}"
    if kind != "vknet":
        return None
    group, member, rest = rest.split(".", 2)
    if group == "encoders":
        if config.encoder != "s3d":
            return None
        return f"{PUBLISHED_PREFIX}{_published_encoder(member, config)}.backbone.{encoder_layer(rest)}"
    direction, block, _ = rest.split(".")
    network = "visual_backbone_fourstream" if len(config.frames) == 2 else "visual_backbone_twostream"
    if member.startswith("modalities"):
        if len(config.frames) == 2:
            network += f".ts_{_length(member, config)}"
        # The published name is that of the stream which receives.
        target = "rgb" if direction == "to_large" else "pose"
        return f"{PUBLISHED_PREFIX}{network}.{target}_stream_lateral.{block}.conv.weight"
    modality = _PUBLISHED_MODALITY[member.removeprefix("lengths_")]
    route = "low2high" if direction == "to_large" else "high2low"
    return f"{PUBLISHED_PREFIX}{network}.{modality}_{route}.{block}.conv.weight"


def published_head(name: str, config: ModelConfig) -> str:
    """The name under which the published code reports one of our heads or ensembles."""
    if name in ("ensemble_joint", "ensemble_all"):
        return "ensemble_all" if name == "ensemble_all" and len(config.frames) == 2 else "ensemble_last"
    if len(config.streams) == 1:
        return "single"
    if name == "joint":
        return "fuse"
    kind = "fuse" if name.startswith("joint") else "keypoint" if name.startswith("keypoint") else "rgb"
    if len(config.frames) == 1:
        return kind
    return f"{kind.replace('keypoint', 'kp')}-{_length(name, config)[0]}"


def _length(name: str, config: ModelConfig) -> str:
    frames = int(re.sub(r"\D", "", name))
    return "high" if frames == config.frames[0] else "low"


def encoder_layer(name: str) -> str:
    """`blocks.1.2.spatial.conv.weight` -> `base.3.conv_s.weight`."""
    _, block, layer, rest = name.split(".", 3)
    for ours, theirs in _LAYER_NAMES.items():
        rest = rest.replace(ours, theirs)
    return f"base.{_BLOCK_START[int(block)] + int(layer)}.{rest}"


def _published_encoder(stream: str, config: ModelConfig) -> str:
    modality = "rgb" if stream.startswith("rgb") else "keypoint"
    if len(config.streams) == 1:
        return "visual_backbone" if modality == "rgb" else "visual_backbone_keypoint"
    inner = f"{_PUBLISHED_MODALITY[modality]}_stream"
    if len(config.frames) == 1:
        return f"visual_backbone_twostream.{inner}"
    return f"visual_backbone_fourstream.ts_{_length(stream, config)}.{inner}"


def _published_head(head: str, config: ModelConfig) -> str:
    if len(config.frames) == 2:
        return "visual_head_" + published_head(head, config).replace("-", "_")
    kind = "rgb" if head.startswith("rgb") else "keypoint" if head.startswith("keypoint") else "fuse"
    return "visual_head" if kind == "rgb" else f"visual_head_{kind}"
