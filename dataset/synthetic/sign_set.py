"""The embedded sign set: a seeded set of synthetic signers, so that the whole method runs without any data.

Every clip is drawn from its own random generator, seeded by (seed, place of the clip in the set), so that the
same configuration gives the same bytes whatever the number of processes. The signs are invented.
"""

import csv
import dataclasses
import hashlib
import io
import json
import multiprocessing
import os
import signal
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from tqdm import tqdm

from dataset.glosses.embeddings import read_embeddings, write_embeddings
from dataset.keypoints import write_keypoints
from dataset.synthetic.signer import Signer, make_signer, perform
from dataset.synthetic.signs import SIGNS
from dataset.video import REPRODUCIBLE

WORD_VECTORS = Path(__file__).with_name("glosses.safetensors")
WORD_VECTORS_SOURCE = "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), one vector a gloss, unit length"
COLUMNS = ("name", "gloss", "split", "video", "frames", "signer")
SPLITS = ("train", "dev", "test")
# The manifest is written last: its presence with the right content says that the set is complete.
MANIFEST = "sign_set.json"
OUTPUTS = ("clips.zip", "clips.csv", "keypoints.safetensors", "word_embeddings.safetensors")

_SIGNER_STREAM, _CLIP_STREAM = 0, 1  # keep the random streams of signers and clips apart
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class SignSetConfig:
    """What to render; all but `processes` decide the bytes of the set.

    glosses: the first so many of the lexicon; *_signers: people in each split, none in two splits;
    *_clips: clips of each gloss in each split; frame_size: width and height in pixels, even.
    """

    seed: int = 321
    glosses: int = len(SIGNS)
    train_signers: int = 54
    dev_signers: int = 8
    test_signers: int = 16
    train_clips: int = 18
    dev_clips: int = 3
    test_clips: int = 8
    frame_size: int = 96
    fps: int = 15
    processes: int = 2

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            least = 0 if field.name == "seed" else 1
            if getattr(self, field.name) < least:
                raise ValueError(f"{field.name} must be at least {least}, not {getattr(self, field.name)}")
        if self.glosses > len(SIGNS):
            raise ValueError(f"glosses must be at most {len(SIGNS)}, not {self.glosses}")
        if self.frame_size % 2:
            raise ValueError(f"frame_size must be even, not {self.frame_size}")


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
    manifest = _manifest(config)
    if _is_complete(out, manifest):
        print(f"{out}: the sign set is already there")
        return
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix="partial-") as name:
        partial = Path(name)
        _write_clips(partial, config)
        vectors = read_embeddings(WORD_VECTORS)
        glosses = [sign.gloss for sign in SIGNS[: config.glosses]]
        table = {gloss: vectors[gloss] for gloss in glosses}
        write_embeddings(partial / "word_embeddings.safetensors", table, WORD_VECTORS_SOURCE)
        (partial / MANIFEST).write_text(manifest, encoding="utf-8")
        (out / MANIFEST).unlink(missing_ok=True)
        for file in (*OUTPUTS, MANIFEST):
            os.replace(partial / file, out / file)


def _manifest(config: SignSetConfig) -> str:
    """What decides the bytes of the set: the configuration, and the renderer with its word vectors."""
    renderer = hashlib.sha256()
    folder = Path(__file__).parent
    library = (folder.parent / "keypoints.py", folder.parent / "glosses" / "embeddings.py")
    for path in (*sorted(folder.glob("*.*")), *library):
        renderer.update(path.read_bytes())
    settings = dataclasses.asdict(config)
    del settings["processes"]
    return json.dumps({"config": settings, "renderer": renderer.hexdigest()}, indent=1)


def _is_complete(out: Path, manifest: str) -> bool:
    path = out / MANIFEST
    if not all((out / file).is_file() for file in OUTPUTS) or not path.is_file():
        return False
    return path.read_text(encoding="utf-8") == manifest


def _plan(config: SignSetConfig) -> list[_Clip]:
    """All clips of the set; signers are numbered through the splits and take turns."""
    plan: list[_Clip] = []
    first_signer = 0
    for split in SPLITS:
        signers = getattr(config, f"{split}_signers")
        for sign in range(config.glosses):
            for repeat in range(getattr(config, f"{split}_clips")):
                signer = first_signer + (sign + repeat) % signers
                name = f"{SIGNS[sign].gloss}_{split}_{repeat:02d}"
                plan.append(_Clip(len(plan), name, sign, split, signer))
        first_signer += signers
    return plan


def _write_clips(folder: Path, config: SignSetConfig) -> None:
    plan = _plan(config)
    keypoints: dict[str, np.ndarray] = {}
    with (
        zipfile.ZipFile(folder / "clips.zip", "w", zipfile.ZIP_STORED) as archive,
        open(folder / "clips.csv", "w", encoding="utf-8", newline="") as index,
        _rendered(plan, config) as rendered,
    ):
        rows = csv.writer(index, lineterminator="\n")
        rows.writerow(COLUMNS)
        progress = tqdm(rendered, total=len(plan), desc="rendering the sign set", unit="clip")
        for clip, (video, points) in zip(plan, progress, strict=True):
            path = f"{clip.name}.mp4"
            archive.writestr(zipfile.ZipInfo(path, _ZIP_TIME), video)
            gloss, signer = SIGNS[clip.sign].gloss, f"signer{clip.signer:02d}"
            rows.writerow((clip.name, gloss, clip.split, path, len(points), signer))
            keypoints[clip.name] = points
    sizes = dict.fromkeys(keypoints, (config.frame_size, config.frame_size))
    write_keypoints(folder / "keypoints.safetensors", keypoints, sizes, "synthetic", "1")


@contextmanager
def _rendered(plan: list[_Clip], config: SignSetConfig) -> Iterator[Iterator[tuple[bytes, np.ndarray]]]:
    """Video and keypoints of every clip, in the order of the plan."""
    tasks = [(clip, config) for clip in plan]
    if config.processes == 1:
        yield map(_render, tasks)
    else:
        with multiprocessing.get_context("spawn").Pool(config.processes, _start_worker) as pool:
            yield pool.imap(_render, tasks, chunksize=4)


def _start_worker() -> None:
    cv2.setNumThreads(0)  # one thread a process; more would only compete
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent ends the others


@cache
def _signer(seed: int, signer: int, frame_size: int) -> Signer:
    return make_signer(np.random.default_rng((seed, _SIGNER_STREAM, signer)), frame_size)


def _render(task: tuple[_Clip, SignSetConfig]) -> tuple[bytes, np.ndarray]:
    clip, config = task
    rng = np.random.default_rng((config.seed, _CLIP_STREAM, clip.position))
    signer = _signer(config.seed, clip.signer, config.frame_size)
    pictures, points = perform(signer, SIGNS[clip.sign], rng)
    return _encode(pictures, config.fps), points


def _encode(pictures: np.ndarray, fps: int) -> bytes:
    """H.264 in MP4 of pictures uint8 [T, height, width, 3]; bit-exact muxing leaves out the version."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(
            "libx264", rate=fps, options={"crf": "20", "preset": "fast", "threads": "1", **REPRODUCIBLE}
        )
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()
