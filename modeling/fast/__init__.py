"""Exact rewrites of a network that has been built: the same numbers up to rounding, in less time and memory.

The plain network states the method; `for_training` changes it in place, `for_prediction` makes a copy. Modules that
this folder does not know stay as they are. On a CPU; a GPU has `make_planar`, for both (docs/performance.md).
"""

from typing import cast

import torch
from torch import nn

from modeling.fast.planar import make_planar
from modeling.fast.prediction import FoldedStem, Network, encoders, folded
from modeling.fast.training import FastSeparableConv, make_fast


def for_training(network: nn.Module) -> str:
    """Give the modules of a network faster classes, in place; one line that says which.

    Parameters, buffers and their names stay.
    """
    return _line("training", make_fast(network))


def for_prediction(network: Network, dtype: torch.dtype) -> tuple[Network, str]:
    """A copy in evaluation mode that reads {stream: `Windows`}, and one line that says what is new in it.

    Its encoders compute in `dtype`. What is not new shares its weights with the original.
    """
    copy, counts = folded(network, dtype)
    return copy, _line("prediction", counts)


def for_gpu(network: nn.Module) -> str:
    """Give the modules of a network on a GPU faster classes, in place; one line that says which."""
    return _line("a GPU", make_planar(network))


def factored_streams(network: nn.Module) -> set[str]:
    """The streams that read heatmaps in factors, where one of the passes has been over the network."""
    streams = set()
    for name, encoder in encoders(network).items():
        block = cast(nn.ModuleList, encoder.blocks)[0]
        if type(block) is nn.Sequential and isinstance(block[0], FastSeparableConv | FoldedStem):
            streams.add(name)
    return streams


def _line(purpose: str, counts: dict[str, int]) -> str:
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"fast pass for {purpose}: {parts or 'nothing that it knows'}"
