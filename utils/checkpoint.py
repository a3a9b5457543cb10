"""Checkpoints: written atomically, loaded without running code, and what makes a model stand alone.

`last.pt` holds everything to go on from (weights, optimiser, position); `best.pt` the weights only. Both hold the
vocabulary and the model's configuration, so that a clip can be recognised from the file alone.
"""

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from utils.errors import UserError
from utils.files import replacing

FORMAT = 1


@dataclass
class TrainState:
    """The position in a training run: all that must survive a restart beside weights and optimiser.

    step: optimiser steps done. validated: epochs whose validation is done. seconds, waited: time spent in steps of
    the current epoch, and waiting for data within it. clips, steps: done in the current epoch. sums: of its losses.
    """

    step: int = 0
    validated: int = 0
    best_score: float | None = None
    best_epoch: int = -1
    seconds: float = 0.0
    waited: float = 0.0
    clips: int = 0
    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def finish_step(self, losses: dict[str, float], seconds: float, waited: float, clips: int) -> None:
        self.step += 1
        self.seconds += seconds
        self.waited += waited
        self.clips += clips
        self.steps += 1
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def finish_epoch(self, score: float | None, higher_is_better: bool = True) -> bool:
        """Note the validation score of an epoch, None without one; whether it is the best so far.

        As long as there is no score at all, every epoch is.
        """
        earlier = self.best_score
        if score is None or earlier is None:
            best = earlier is None
        else:
            best = score > earlier if higher_is_better else score < earlier
        if best:
            self.best_epoch, self.best_score = self.validated, score
        self.validated += 1
        self.seconds, self.waited, self.clips, self.steps, self.sums = 0.0, 0.0, 0, 0, {}
        return best

    def state_dict(self) -> dict[str, Any]:
        return {**vars(self), "sums": dict(self.sums)}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        vars(self).update(_with_score(values))


def _with_score(values: dict[str, Any]) -> dict[str, Any]:
    """States of before 2026-11-25 call the score an accuracy, which was -1 without validation."""
    values = dict(values)
    if "best_accuracy" in values:
        accuracy = values.pop("best_accuracy")
        values["best_score"] = None if accuracy < 0 else accuracy
    return values


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint so that `path` is always either the old file or the whole new one."""
    with replacing(path) as partial, partial.open("wb") as file:
        torch.save({"format": FORMAT, **content}, file)
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint file, ours or published, on the CPU.

    Raises:
        UserError: the file is missing, is no checkpoint, or holds more than tensors and plain data.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # its message advises to load unsafely
        raise UserError(
            f"{path}: not a checkpoint, or one that holds more than tensors and plain data"
        ) from None
    except Exception as error:  # a damaged file can fail anywhere in the reader
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: not a checkpoint that can be loaded safely: {first}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a checkpoint; expected a dict, found {type(content).__name__}")
    return content
