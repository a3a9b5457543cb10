"""The networks and what they are trained with; `load_recognizer` gives a trained one for use."""

import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from inference.sign_recognizer import SignRecognizer


def load_recognizer(
    path: str | os.PathLike[str], device: Literal["auto", "cpu", "cuda"] = "auto"
) -> "SignRecognizer":
    """A trained model that names the sign in a video: `load_recognizer("runs/x").predict("clip.mp4", top_k=5)`.

    Args:
        path: a run folder, a checkpoint of ours, or a folder that `python -m inference.export` wrote.
        device: to compute on; `auto` takes CUDA if there is one.

    Raises:
        UserError: there is no trained model, or it is damaged.
    """
    # Alone in this package it reads files; who uses the networks only need not import what that takes.
    from inference.sign_recognizer import SignRecognizer

    return SignRecognizer.load(path, device)
