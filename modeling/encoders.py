"""The encoders that a stream can have, by the name that `model.encoder` gives.

Another one is registered from outside: `ENCODERS["toy"] = ToyEncoder`.
"""

from typing import Protocol

from torch import nn

from modeling.s3d import S3D
from utils.errors import UserError


class EncoderBuilder(Protocol):
    """Builds the encoder of one stream; `S3D` is one.

    It has `blocks` (nn.ModuleList), which map [B, in_channels, T, H, W] to ever smaller maps one after the other, and
    `block_channels` (list[int]), the channels of these maps. After each block but the last, streams exchange maps: a
    clip twice as long, or as high and wide, must give maps exactly twice as long, or as high and wide.
    """

    def __call__(self, in_channels: int, width: float, momentum: float) -> nn.Module: ...


ENCODERS: dict[str, EncoderBuilder] = {"s3d": S3D}


def encoder_builder(name: str) -> EncoderBuilder:
    """The builder of that name.

    Raises:
        UserError: there is none.
    """
    if name not in ENCODERS:
        raise UserError(f"model.encoder: {name!r} is not known; known: {', '.join(ENCODERS)}")
    return ENCODERS[name]
