"""What a training takes, before it is begun: reckoned from a network's arithmetic and from what a GPU did.

The network is built without memory (on torch's meta device). Its multiplications and the maps that the backward pass
needs are counted for one clip, and compared with those of the full networks, which were measured: one NVIDIA H200,
bf16, batches of 8 (benchmarks/results_gpu.json). Small networks use a GPU less well than that.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from configs.build import build_continuous_recognizer, build_recognizer
from configs.schema import ContinuousConfig, IsolatedConfig, load_experiment
from dataset.keypoints import keypoint_indices

Reckoned = IsolatedConfig | ContinuousConfig
HERE = Path(__file__).parent
SENTENCE = 100  # frames of a sentence
FIXED = 1.9  # GiB that do not depend on the number of clips


class Measured(NamedTuple):
    """Of a full network: its configuration, clips a second in training, GiB of each clip computed at once."""

    file: str
    rate: float
    memory: float


MEASURED = {
    "isolated": Measured("nla_slr_wlasl_2000.yaml", 27.5, 3.24),
    "continuous": Measured("two_stream/phoenix2014t/two_stream.yaml", 27.1, 4.56),
}


class Cost(NamedTuple):
    """Of one clip in training: floating-point operations of the forward pass, bytes that are kept for the backward
    pass."""

    operations: float
    kept: float


def estimate(config: Reckoned) -> str:
    """Clips a second and memory of a training on one H200, in words."""
    measured = MEASURED[config.task]
    own, of_measured = cost(config), _cost_of(measured.file)
    rate = measured.rate * of_measured.operations / own.operations
    memory = measured.memory * own.kept / of_measured.kept
    sample = "clips" if isinstance(config, IsolatedConfig) else f"sentences of {SENTENCE} frames"
    hours = 10_000 * config.training.epochs / rate / 3600
    return (
        f"reckoned for one H200: {rate:.0f} {sample} a second, {hours:.1f} hours for {config.training.epochs} epochs "
        f"of 10,000; {FIXED} GiB and {memory:.2f} GiB for each that is computed at once"
    )


@cache
def _cost_of(file: str) -> Cost:
    config = load_experiment(HERE / file, [])
    assert isinstance(config, Reckoned)
    return cost(config)


def cost(config: Reckoned) -> Cost:
    """Of one clip, or one sentence of 100 frames, in fp32."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.device("meta"):
        network, inputs = _network(config).train(), _inputs(config)
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            FlopCounterMode(display=False) as operations,
        ):
            network(inputs)
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    sizes = [x.untyped_storage().nbytes() for key, x in kept.items() if key not in weights]
    return Cost(operations.get_total_flops(), sum(sizes))


def _network(config: Reckoned) -> nn.Module:
    """Without heads, which hardly count."""
    if isinstance(config, IsolatedConfig):
        return build_recognizer(config, 1, None, auxiliary=False).vknet
    return build_continuous_recognizer(config, 1).vknet


def _inputs(config: Reckoned) -> dict[str, Tensor]:
    """Of every stream, [1, channels, T, size, size]."""
    model = config.model
    channels = {"rgb": 3, "keypoint": len(keypoint_indices(model.keypoint_parts))}
    sizes = {"rgb": model.rgb_size, "keypoint": model.heatmap_size}
    inputs = {}
    for stream in model.streams:
        modality = stream.rstrip("0123456789")
        frames = int(stream.removeprefix(modality) or SENTENCE)
        inputs[stream] = torch.empty(1, channels[modality], frames, sizes[modality], sizes[modality])
    return inputs
