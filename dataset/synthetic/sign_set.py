"""The embedded sign set: a seeded set of synthetic signers, so that the whole method runs without any data.

Every clip is drawn from its own random generator, seeded by (seed, place of the clip in the set). The signs are
invented.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataset.glosses.embeddings import read_embeddings, write_embeddings
from dataset.synthetic.more_signs import LEXICON
from dataset.synthetic.rendering import SPLITS, RenderConfig, encode, make_set, rendered, video_files
from dataset.synthetic.signer import perform
from dataset.synthetic.signs import SIGNS

WORD_VECTORS = Path(__file__).with_name("glosses.safetensors")
WORD_VECTORS_SOURCE = "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), one vector a gloss, unit length"
COLUMNS = ("name", "gloss", "split", "video", "frames", "signer")
MANIFEST = "sign_set.json"
OUTPUTS = ("clips.zip", "clips.csv", "keypoints.safetensors", "word_embeddings.safetensors")

_CLIP_STREAM = 1


@dataclass(frozen=True)
class SignSetConfig(RenderConfig):
    """What to render.

    glosses: the first so many of the lexicon; *_clips: clips of each gloss in each split.
    """

    estimator_errors: float = 0.5
    glosses: int = len(SIGNS)
    train_clips: int = 36
    dev_clips: int = 3
    test_clips: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.glosses > len(LEXICON):
            raise ValueError(f"glosses must be at most {len(LEXICON)}, not {self.glosses}")


class _Clip(NamedTuple):
    position: int
    name: str
    sign: int
    split: str
    signer: int


def make_sign_set(out: Path, config: SignSetConfig) -> None:
    """Render the sign set into the folder `out`: clips.zip, clips.csv, keypoints and word embeddings.

    Returns at once if `out` already holds the complete set of this configuration.
    """
    make_set(out, config, MANIFEST, OUTPUTS, lambda folder: _write(folder, config))


def _write(folder: Path, config: SignSetConfig) -> None:
    plan = _plan(config)
    tasks = [(clip, config) for clip in plan]
    with (
        video_files(folder, "clips", COLUMNS, config.frame_size) as add,
        rendered(_render, tasks, config.processes, "clip") as results,
    ):
        for clip, (video, points) in zip(plan, results, strict=True):
            gloss, signer = LEXICON[clip.sign].gloss, f"signer{clip.signer:02d}"
            add({"name": clip.name, "gloss": gloss, "split": clip.split, "signer": signer}, video, points)
    vectors = read_embeddings(WORD_VECTORS)
    table = {sign.gloss: vectors[sign.gloss] for sign in LEXICON[: config.glosses]}
    write_embeddings(folder / "word_embeddings.safetensors", table, WORD_VECTORS_SOURCE)


def _plan(config: SignSetConfig) -> list[_Clip]:
    """All clips of the set; signers take turns."""
    plan: list[_Clip] = []
    for split in SPLITS:
        signers = config.signers(split)
        for sign in range(config.glosses):
            for repeat in range(getattr(config, f"{split}_clips")):
                signer = signers[(sign + repeat) % len(signers)]
                name = f"{LEXICON[sign].gloss}_{split}_{repeat:02d}"
                plan.append(_Clip(len(plan), name, sign, split, signer))
    return plan


def _render(task: tuple[_Clip, SignSetConfig]) -> tuple[bytes, np.ndarray]:
    clip, config = task
    rng = np.random.default_rng((config.seed, _CLIP_STREAM, clip.position))
    pictures, points = perform(config.signer(clip.signer), LEXICON[clip.sign], rng)
    return encode(pictures, config.fps), points
