"""The published checkpoints of the Two-Stream network under our names, which appear nowhere else."""

from modeling.continuous.config import ContinuousModelConfig
from modeling.continuous.network import JOINT, PYRAMID_BLOCKS, ContinuousRecognizer
from modeling.weights import PUBLISHED_PREFIX, StateDict, encoder_layer

_MODALITY = {"rgb": "rgb", "keypoint": "pose"}
_HEAD = {"rgb": "visual_head", "keypoint": "visual_head_keypoint", JOINT: "visual_head_fuse"}
_HEAD_LAYERS = {
    "reduce": "fc1",
    "masked_bn.norm": "bn1.norm",
    "feed_forward.norm": "feedforward.layer_norm",
    "feed_forward.layers": "feedforward.pwff_layer",
    "norm": "layer_norm",
    "classifier": "gloss_output_layer",
}
_UPSAMPLING = {"to_third": "0", "to_second": "1"}
_UPSAMPLING_LAYERS = {
    "spatial": "conv_trans_s",
    "spatial_bn": "bn_s",
    "temporal": "conv_trans_t",
    "temporal_bn": "bn_t",
}
_POSITIONS = ".pe.pe"  # stored there, computed here


def from_published(checkpoint: StateDict, model: ContinuousRecognizer) -> StateDict:
    """A published checkpoint's `model_state` under our names; tensors of no counterpart keep their names.

    A checkpoint of a single stream, of two, or of translation fits any model by the streams that both have.
    """
    names = {name.removeprefix(PUBLISHED_PREFIX).split(".")[0] for name in checkpoint}
    two_streams = "visual_backbone_twostream" in names
    weights = {name: value for name, value in checkpoint.items() if not name.endswith(_POSITIONS)}
    for name in model.state_dict():
        published = published_name(name, two_streams)
        if published in weights:
            weights[name] = weights.pop(published)
    return weights


def published_name(name: str, two_streams: bool) -> str:
    """The name that one of our tensors has in published checkpoints of one stream or of two."""
    kind, member, rest = name.split(".", 2)
    if kind == "heads":
        layer, leaf = rest.rsplit(".", 1)
        if layer.startswith("feed_forward.layers."):
            layer, number = layer.rsplit(".", 1)
            leaf = f"{number}.{leaf}"
        return f"{PUBLISHED_PREFIX}{_published_head(member)}.{_HEAD_LAYERS[layer]}.{leaf}"
    if member == "encoders":
        stream, layer = rest.split(".", 1)
        return f"{PUBLISHED_PREFIX}{_published_stream(stream, two_streams)}.backbone.{encoder_layer(layer)}"
    if member == "pyramids":
        stream, level, layer, leaf = rest.split(".")
        place = f"pyramid.upsample_layers.{_UPSAMPLING[level]}.{_UPSAMPLING_LAYERS[layer]}"
        return f"{PUBLISHED_PREFIX}{_published_stream(stream, two_streams)}.{place}.{leaf}"
    _, direction, place, leaf = rest.split(".")
    target = "rgb" if direction == "to_large" else "pose"  # the stream which receives
    return f"{PUBLISHED_PREFIX}visual_backbone_twostream.{target}_stream_lateral.{place}.conv.{leaf}"


def published_prediction(name: str, config: ContinuousModelConfig) -> str:
    """The name under which the published code reports one of our heads or ensembles."""
    stream, _, block = name.partition("_block")
    if block:
        return f"aux_{stream}_{PYRAMID_BLOCKS.index(int(block))}"
    return "fuse" if name == JOINT else name


def _published_stream(stream: str, two_streams: bool) -> str:
    if two_streams:
        return f"visual_backbone_twostream.{_MODALITY[stream]}_stream"
    return "visual_backbone" if stream == "rgb" else "visual_backbone_keypoint"


def _published_head(head: str) -> str:
    stream, _, block = head.partition("_block")
    return f"{_HEAD[stream]}_remain.{PYRAMID_BLOCKS.index(int(block))}" if block else _HEAD[head]
