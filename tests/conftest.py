"""Fixtures: videos written frame by frame, and a small data set on disk."""

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from hypothesis import settings

from dataset.keypoints import write_keypoints

torch.set_num_threads(1)
settings.register_profile("project", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("project")

SIDE = 32


@pytest.fixture(scope="session", autouse=True)
def exact_by_default() -> Iterator[None]:
    """Numbers are compared in fp32, also on processors with units for bf16."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modeling.engine.has_bf16_units", lambda _: False)
        yield


def grey_of(number: int) -> int:
    """The grey value that marks frame `number` of a test video."""
    return 20 + 10 * number


def number_of(frame: np.ndarray) -> int:
    """Which frame of a test video this is: uint8 [H, W, 3] -> number."""
    return round((float(frame.mean()) - 20) / 10)


def write_mp4(frames: int, side: int = SIDE) -> bytes:
    """An mp4 whose frame n is plain grey of value `grey_of(n)`; frames refer to one another in both directions."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"crf": "1", "bf": "2", "preset": "ultrafast"}
        )
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = np.full((side, side, 3), grey_of(number), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def write_csv(path: Path, rows: Iterable[dict[str, Any]], encoding: str = "utf-8") -> Path:
    """clips.csv with the columns of the first row."""
    rows = list(rows)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def clip_keypoints(clip: int, frames: int) -> np.ndarray:
    """float32 [frames, 133, 3] with x = frame, y = clip, confidence = index of the point."""
    points = np.zeros((frames, 133, 3), np.float32)
    points[..., 0] = np.arange(frames)[:, None]
    points[..., 1] = clip
    points[..., 2] = np.arange(133)
    return points


@pytest.fixture(scope="session")
def mp4() -> Callable[[int], bytes]:
    """A writer of test videos that writes each length once."""
    known: dict[int, bytes] = {}
    return lambda frames: known.setdefault(frames, write_mp4(frames))


@pytest.fixture(scope="session")
def clip_set(tmp_path_factory: pytest.TempPathFactory, mp4: Callable[[int], bytes]) -> Path:
    """A data set of seven clips c0..c6 of 9..15 frames, five of them for training: clips.csv, clips.zip, a folder
    videos/ with the same files, and keypoints.safetensors."""
    folder = tmp_path_factory.mktemp("clip_set")
    (folder / "videos").mkdir()
    splits = ["train"] * 5 + ["test"] * 2
    glosses = ["cold", "winter", "table", "cold", "winter", "cold", "table"]
    keypoints = {f"c{i}": clip_keypoints(i, 9 + i) for i in range(7)}
    with zipfile.ZipFile(folder / "clips.zip", "w") as archive:
        for i in range(7):
            archive.writestr(f"c{i}.mp4", mp4(9 + i))
            (folder / "videos" / f"c{i}.mp4").write_bytes(mp4(9 + i))
    write_csv(
        folder / "clips.csv",
        (
            {"name": f"c{i}", "gloss": glosses[i], "split": splits[i], "video": f"c{i}.mp4", "frames": 9 + i}
            for i in range(7)
        ),
    )
    sizes = dict.fromkeys(keypoints, (SIDE, SIDE))
    write_keypoints(folder / "keypoints.safetensors", keypoints, sizes, "truth", "1")
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, clip_set: Path) -> Path:
    """The run of an untrained model with an RGB and a keypoint stream on that set; not to be changed."""
    from tests.inference.runs import make_run

    folder = tmp_path_factory.mktemp("inference") / "run"
    make_run(folder, clip_set, ["rgb", "keypoint"])
    return folder
