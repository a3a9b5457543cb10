"""Small originals of the published data sets."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def wlasl(tmp_path: Path, mp4: Callable[[int], bytes]) -> Path:
    """WLASL in small: annotations and split of two glosses, and a folder of videos.

    a1, a2, b1 lie there under their ids (b1 cut out before), b2 within a YouTube download of 40 frames, b3 is broken,
    a3 is missing, and x1 is in the split file alone.
    """

    def instance(
        name: str, split: str, start: int = 1, end: int = -1, url: str = "", signer: int = 7
    ) -> dict:
        return {
            "video_id": name, "split": split, "frame_start": start, "frame_end": end, "url": url, "signer_id": signer,
        }  # fmt: skip

    annotations = [
        {
            "gloss": "lose",
            "instances": [instance("a1", "train"), instance("a2", "test"), instance("a3", "val")],
        },
        {
            "gloss": "book",
            "instances": [
                instance("b1", "train", 501, 512),
                instance("b2", "val", 11, 20, "https://www.youtube.com/watch?v=abcdefghijk", signer=8),
                instance("b3", "train"),
            ],
        },
    ]
    split = {
        "a1": "train",
        "a2": "test",
        "a3": "val",
        "b1": "train",
        "b2": "val",
        "b3": "train",
        "x1": "train",
    }
    classes = {
        name: {"subset": subset, "action": [int(name[0] != "a"), 1, 9]} for name, subset in split.items()
    }
    folder = tmp_path / "wlasl"
    (folder / "videos").mkdir(parents=True)
    (folder / "WLASL_v0.3.json").write_text(json.dumps(annotations))
    (folder / "nslt_100.json").write_text(json.dumps(classes))
    (folder / "wlasl_class_list.txt").write_text("0\tlosear\n1\tbook\n")
    for name, frames in {"a1": 9, "a2": 10, "b1": 12, "abcdefghijk": 22, "x1": 11}.items():
        (folder / "videos" / f"{name}.mp4").write_bytes(mp4(frames))
    (folder / "videos" / "b3.mp4").write_bytes(b"not a video")
    (folder / "videos" / "._a1.mp4").write_bytes(b"what a Mac leaves")
    return folder
