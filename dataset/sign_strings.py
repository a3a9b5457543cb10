"""Clips of single signs put one after another: sentences without grammar or fluency, to learn reading from.

Whoever only ever saw single signs names one sign a sentence. Only keypoints are strung; there are no videos of strings.
"""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from dataset.annotations import Clip, read_index
from dataset.keypoints import open_keypoints, write_keypoints
from utils.files import replacing
from utils.seeding import generator

LEFT_OUT = 4  # frames, at most, on each side of where two clips meet: the way to and from rest
COLUMNS = ("name", "glosses", "split", "video", "frames", "signer")


def string_signs(signs: Path, out: Path, longest: int, seed: int) -> None:
    """Write sentences.csv and keypoints.safetensors, in which every clip of a set of single signs occurs once.

    Args:
        signs: the folder of the set: clips.csv, keypoints.safetensors.
        out: folder of the strings.
        longest: signs in a string; each is of one signer and has 1 to so many.
        seed: of lengths, of the order of clips, and of where they are cut.
    """
    out.mkdir(parents=True, exist_ok=True)
    store = open_keypoints(signs / "keypoints.safetensors")
    by_signer: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in read_index(signs / "clips.csv"):
        by_signer[clip.split, clip.signer or ""].append(clip)
    keypoints: dict[str, np.ndarray] = {}
    sizes: dict[str, tuple[int, int]] = {}
    rows = []
    for number, ((split, signer), clips) in enumerate(by_signer.items()):
        rng = generator(seed, "strings", longest, number)
        remaining = [clips[i] for i in rng.permutation(len(clips))]
        while remaining:
            count = int(rng.integers(1, longest, endpoint=True))
            together, remaining = remaining[:count], remaining[count:]
            name = "+".join(clip.name for clip in together)
            keypoints[name] = _strung([store.read(clip.name) for clip in together], rng)
            size = store.frame_size(together[0].name)
            assert size is not None  # rendered sets say it
            sizes[name] = size
            glosses = " ".join(clip.gloss for clip in together)
            rows.append((name, glosses, split, together[0].video, len(keypoints[name]), signer))
    write_keypoints(out / "keypoints.safetensors", keypoints, sizes, "strung", "1")
    with (
        replacing(out / "sentences.csv") as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


def _strung(clips: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Keypoints [T, 133, 3] of clips as one, without some frames where they meet."""
    parts = []
    for number, points in enumerate(clips):
        first, behind = rng.integers(0, LEFT_OUT, 2, endpoint=True)
        start = first if number else 0
        end = len(points) - (behind if number + 1 < len(clips) else 0)
        parts.append(points[start:end])
    return np.concatenate(parts)
