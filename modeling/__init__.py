"""The networks and what they are trained with; `load_recognizer` gives a trained one for use."""

import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from inference.recognizers import Recognizer


def load_recognizer(
    path: str | os.PathLike[str], device: Literal["auto", "cpu", "cuda"] = "auto"
) -> "Recognizer":
    """A trained model for use, by what it was trained for.

    - Isolated recognition names the sign of a video: `load_recognizer("runs/x").predict("clip.mp4", top_k=5)` gives
      glosses with probabilities, best first; see `inference.sign_recognizer`.
    - Continuous recognition reads a sentence: `load_recognizer("runs/y").predict("sentence.mp4")` gives its glosses in
      order, with start, end and probability; see `inference.sentence_recognizer`.
    - Translation says a sentence: `load_recognizer("runs/z").predict("sentence.mp4")` gives its text and its glosses;
      see `inference.sentence_translator`.

    Args:
        path: a run folder, a checkpoint of ours, or a folder that `python -m inference.export` wrote.
        device: to compute on; `auto` takes CUDA if there is one.

    Raises:
        UserError: there is no trained model, or it is damaged.
    """
    # Alone in this package it reads files; who uses the networks only need not import what that takes.
    from inference import recognizers

    return recognizers.load_recognizer(path, device)
