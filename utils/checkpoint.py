"""Checkpoints: written atomically, checked by a sum over the whole file, loaded without running code.

`last.pt` holds everything to go on from (weights, optimiser, position); `best.pt` the weights only. Both hold the
vocabulary and the model's configuration, so that a clip can be recognised from the file alone.
"""

import hashlib
import os
import pickle
import shutil
import struct
import zipfile
from dataclasses import dataclass, field
from io import BufferedRandom
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from utils.errors import UserError
from utils.files import replacing

FORMAT = 1
ZIP, ZIP_END = (
    b"PK\x03\x04",
    b"PK\x05\x06",
)  # how a zip begins, and its last record, of 22 bytes and a comment
MARK, DIGEST = b"sha256:", 32  # a signature, which is that comment: this, then so many bytes


@dataclass
class TrainState:
    """The position in a training run: all that must survive a restart beside weights and optimiser.

    step: optimiser steps done. skipped: of them left out, for they would have done harm. validated: epochs whose
    validation is done. seconds, waited: time spent in steps of the current epoch, and waiting for data within it.
    clips, steps: done in the current epoch. sums: of its losses.
    """

    step: int = 0
    skipped: int = 0
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

    def skip_step(self) -> None:
        self.step += 1
        self.skipped += 1

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
    """Write a checkpoint so that `path` is always either the old file or the whole new one.

    Raises:
        UserError: it cannot be written, for instance because the disk is full; what was there is still there.
    """
    try:
        with replacing(path) as partial, partial.open("w+b") as file:
            torch.save({"format": FORMAT, **content}, file)
            _sign(file)
            file.flush()
            os.fsync(file.fileno())
    except (
        OSError,
        RuntimeError,
    ) as error:  # torch has an error of its own for a disk that took less than it gave
        partial.unlink(missing_ok=True)
        tensors = [x for x in tree_leaves(content) if isinstance(x, torch.Tensor)]
        needed, free = sum(x.nbytes for x in tensors), shutil.disk_usage(path.parent).free
        raise UserError(
            f"{path}: cannot be written, {str(error).splitlines()[0]}; it needs {needed / 2**20:.0f} MiB, and "
            f"{free / 2**20:.0f} MiB are free. Earlier checkpoints are as they were, and the same command continues"
        ) from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint file, ours or published, on the CPU.

    Raises:
        UserError: the file is missing, damaged, no checkpoint, or holds more than tensors and plain data.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    if (other := _what_else(path)) is not None:
        raise UserError(f"{path}: not a checkpoint but {other}")
    if _is_damaged(path):
        raise UserError(f"{path}: damaged; its bytes are not those that were written")
    if _unpacks(path):
        raise UserError(f"{path}: not a checkpoint: it unpacks to more than it holds")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # its message advises to load unsafely
        raise UserError(
            f"{path}: not a checkpoint, or one that holds more than tensors and plain data"
        ) from None
    except Exception as error:  # a damaged file can fail anywhere in the reader
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: not a checkpoint that can be loaded safely: {first}") from None
    if any(isinstance(x, torch.Tensor) and x.nbytes > path.stat().st_size for x in tree_leaves(content)):
        raise UserError(f"{path}: not a checkpoint: it unpacks to more than it holds")
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a checkpoint; expected a dict, found {type(content).__name__}")
    return content


def _what_else(path: Path) -> str | None:
    """What people have in place of a checkpoint, by its first bytes, and what to do; None if it is none of that."""
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "an empty file; copy or download it again"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS to it; `git lfs pull` fetches the file itself"
    if start.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page; its link has moved, or wants a log-in: download it with a browser"
    if start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < path.stat().st_size:
        return "a safetensors file; name the folder of the export that it is in"
    return None


def _sign(file: BufferedRandom) -> None:
    """Give a zip, which a checkpoint is, a comment with the sum of its bytes; before that stands how long it is."""
    file.seek(-2, os.SEEK_END)
    file.write(struct.pack("<H", len(MARK) + DIGEST) + MARK)
    file.seek(0)
    file.write(hashlib.file_digest(file, "sha256").digest())


def _is_damaged(path: Path) -> bool:
    """Whether a file was signed and has changed. Files of others, and of before there were signatures, are not."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if content[-DIGEST - len(MARK) : -DIGEST] != MARK:
            return content[:4] == ZIP and content[-22:-18] != ZIP_END
        with memoryview(content) as whole, whole[:-DIGEST] as signed:
            return hashlib.sha256(signed).digest() != content[-DIGEST:]


def _unpacks(path: Path) -> bool:
    """Whether a zip promises more bytes than it has; those of torch are not compressed, and none overlaps another."""
    if not zipfile.is_zipfile(path):  # an older format
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist()) > path.stat().st_size
    except zipfile.BadZipFile:
        return False  # torch says what is wrong
