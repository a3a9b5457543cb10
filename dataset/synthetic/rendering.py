"""What the set of single signs and the set of sentences share: people, processes, video files, and a folder that
holds a complete set or none. The same configuration gives the same bytes whatever the number of processes.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np
from tqdm import tqdm

from dataset.keypoints import write_keypoints
from dataset.synthetic.signer import Signer, make_signer
from dataset.video import REPRODUCIBLE
from utils.errors import UserError

SPLITS = ("train", "dev", "test")

_SIGNER_STREAM = 0  # keeps the random stream of signers apart from those of what they sign
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class RenderConfig:
    """Who is rendered and how; all but `processes` decide the bytes of a set.

    *_signers: people in each split, none in two splits; variety: how much their bodies, cameras and manners differ;
    estimator_errors: how often keypoints are missed, exchanged or off (0: a little noise alone); frame_size: width and
    height in pixels, even.
    Sets of one seed and the same numbers of signers have the same people in the same splits.
    """

    seed: int = 321
    train_signers: int = 54
    dev_signers: int = 8
    test_signers: int = 16
    variety: float = 1.0
    estimator_errors: float = 0.0
    frame_size: int = 96
    fps: int = 15
    processes: int = 2

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            least = 0 if field.name in ("seed", "variety", "estimator_errors") else 1
            if getattr(self, field.name) < least:
                raise ValueError(f"{field.name} must be at least {least}, not {getattr(self, field.name)}")
        if self.frame_size % 2:
            raise ValueError(f"frame_size must be even, not {self.frame_size}")

    def signers(self, split: str) -> range:
        """Numbers of the people in a split."""
        before = SPLITS[: SPLITS.index(split)]
        first = sum(getattr(self, f"{name}_signers") for name in before)
        return range(first, first + getattr(self, f"{split}_signers"))

    def signer(self, number: int) -> Signer:
        """The person of that number."""
        return _signer(self.seed, number, self.frame_size, self.variety, self.estimator_errors)


@cache
def _signer(seed: int, number: int, frame_size: int, variety: float, errors: float) -> Signer:
    rng = np.random.default_rng((seed, _SIGNER_STREAM, number))
    return make_signer(rng, frame_size, variety, errors)


def make_set(
    out: Path, config: RenderConfig, manifest: str, files: tuple[str, ...], write: Callable[[Path], None]
) -> None:
    """Have `write` put `files` into a folder, and move them to `out` when all are there.

    Returns at once if `out` already holds the complete set of this configuration. `manifest`, the name of a file, is
    written last: its presence with the right content says that the set is complete.

    Raises:
        UserError: `out` holds a set of the other kind, whose files have the same names.
    """
    content = _manifest(config)
    if _is_complete(out, manifest, content, files):
        print(f"{out}: the set is already there")
        return
    for other in out.glob("*_set.json"):
        if other.name != manifest:
            raise UserError(f"{out}: holds another kind of set ({other.name}); give another folder")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix="partial-") as name:
        partial = Path(name)
        write(partial)
        (partial / manifest).write_text(content, encoding="utf-8")
        (out / manifest).unlink(missing_ok=True)
        for file in (*files, manifest):
            os.replace(partial / file, out / file)


def _manifest(config: RenderConfig) -> str:
    """What decides the bytes of a set: the configuration, and the renderer with its word vectors."""
    renderer = hashlib.sha256()
    folder = Path(__file__).parent
    library = (folder.parent / "keypoints.py", folder.parent / "glosses" / "embeddings.py")
    for path in (*sorted(folder.glob("*.*")), *library):
        renderer.update(path.read_bytes())
    settings = dataclasses.asdict(config)
    del settings["processes"]
    return json.dumps({"config": settings, "renderer": renderer.hexdigest()}, indent=1)


def _is_complete(out: Path, manifest: str, content: str, files: tuple[str, ...]) -> bool:
    path = out / manifest
    if not all((out / file).is_file() for file in files) or not path.is_file():
        return False
    return path.read_text(encoding="utf-8") == content


@contextmanager
def rendered(
    render: Callable[[Task], Result], tasks: list[Task], processes: int, unit: str
) -> Iterator[Iterator[Result]]:
    """What `render` makes of every task, in their order, while a bar shows how many `unit`s are done."""

    def watched(results: Iterator[Result]) -> Iterator[Result]:
        return iter(tqdm(results, total=len(tasks), desc=f"rendering {unit}s", unit=unit))

    if processes == 1:
        yield watched(map(render, tasks))
    else:
        with multiprocessing.get_context("spawn").Pool(processes, _start_worker) as pool:
            yield watched(pool.imap(render, tasks, chunksize=4))


def _start_worker() -> None:
    cv2.setNumThreads(0)  # one thread a process; more would only compete
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent ends the others


@contextmanager
def video_files(
    folder: Path, stem: str, columns: tuple[str, ...], frame_size: int
) -> Iterator[Callable[[dict[str, str], bytes, np.ndarray], None]]:
    """Yields a function that adds one video to `stem`.zip, `stem`.csv and keypoints.safetensors.

    It takes the video's row of the index (all `columns` but `video` and `frames`), its MP4 and its keypoints,
    float32 [T, 133, 3].
    """
    keypoints: dict[str, np.ndarray] = {}
    with (
        zipfile.ZipFile(folder / f"{stem}.zip", "w", zipfile.ZIP_STORED) as archive,
        open(folder / f"{stem}.csv", "w", encoding="utf-8", newline="") as index,
    ):
        rows = csv.DictWriter(index, columns, lineterminator="\n")
        rows.writeheader()

        def add(row: dict[str, str], video: bytes, points: np.ndarray) -> None:
            path = f"{row['name']}.mp4"
            archive.writestr(zipfile.ZipInfo(path, _ZIP_TIME), video)
            rows.writerow({**row, "video": path, "frames": len(points)})
            keypoints[row["name"]] = points

        yield add
    sizes = dict.fromkeys(keypoints, (frame_size, frame_size))
    write_keypoints(folder / "keypoints.safetensors", keypoints, sizes, "synthetic", "1")


def encode(pictures: np.ndarray, fps: int) -> bytes:
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
