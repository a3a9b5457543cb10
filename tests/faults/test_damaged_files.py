"""Damaged zips, pickles, safetensors and checkpoints are read exactly, or refused in one line."""

import pickle
import random
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dataset.keypoints import open_keypoints, write_keypoints
from dataset.pickles import load_data_pickle
from dataset.video import FileSource
from tests.faults.conftest import Report, many
from tests.faults.test_damaged_clips import damaged
from utils.checkpoint import load_checkpoint, save_checkpoint
from utils.errors import UserError

RNG = np.random.default_rng(0)
CONTENT = {f"clip{i}": RNG.random((20, 133, 3), np.float32) for i in range(4)}


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in CONTENT.items():
            archive.writestr(name, array.tobytes())


def read_zip(path: Path) -> dict[str, bytes]:
    source = FileSource(path)
    return {name: source.read(name) for name in CONTENT}


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(CONTENT))


def write_safetensors(path: Path) -> None:
    write_keypoints(path, CONTENT, dict.fromkeys(CONTENT, (256, 256)), "test", "1")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    store = open_keypoints(path)
    if missing := [name for name in CONTENT if name not in store]:
        raise UserError(f"{path}: no keypoints of {missing}")
    return {name: store.read(name) for name in CONTENT}


def write_checkpoint(path: Path) -> None:
    save_checkpoint(path, {"model": {name: torch.from_numpy(x) for name, x in CONTENT.items()}})


Kind = tuple[Callable[[Path], None], Callable[[Path], Any]]
KINDS: dict[str, Kind] = {
    "data.zip": (write_zip, read_zip),
    "data.pkl": (write_pickle, load_data_pickle),
    "data.safetensors": (write_safetensors, read_safetensors),
    "data.pt": (write_checkpoint, load_checkpoint),
}


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_are_exact_or_refused(
    name: str, tmp_path: Path, draw: random.Random, report: Report
) -> None:
    write, read = KINDS[name]
    path, outcomes = tmp_path / name, Counter[str]()
    write(path)
    sound = path.read_bytes()
    expected = pickle.dumps(read(path))
    for _ in range(many(15, 100)):
        kind = draw.choice(["bit flips", "truncated", "zeros", "empty"])
        path.write_bytes(damaged(sound, sound, kind, draw))
        try:
            outcomes["exact" if pickle.dumps(read(path)) == expected else "unnoticed"] += 1
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            outcomes["refused"] += 1
    unchecked = name in ("data.pkl", "data.safetensors")
    assert unchecked or not outcomes["unnoticed"]
    report(
        f"{sum(outcomes.values())} damaged files: {path.suffix}",
        ", ".join(f"{count} {what}" for what, count in outcomes.most_common())
        + (" (numbers that changed: the format has no checksums)" if outcomes["unnoticed"] else ""),
    )


def test_every_flipped_bit_of_a_checkpoint_is_noticed(
    trained_sentences: Path, tmp_path: Path, draw: random.Random, report: Report
) -> None:
    path = tmp_path / "last.pt"
    sound = (trained_sentences / "last.pt").read_bytes()
    for _ in range(many(20, 200)):
        changed = bytearray(sound)
        changed[draw.randrange(len(sound))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(UserError, match=r"last\.pt: (damaged|not a checkpoint)"):
            load_checkpoint(path)
    report(
        f"{many(20, 200)} single bits flipped in the checkpoint of a training ({len(sound) / 2**20:.1f} MiB)",
        "every one noticed",
    )
