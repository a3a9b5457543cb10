"""RWTH-PHOENIX-Weather 2014 (multi-signer) and 2014T as their owners ship them: corpus tables, and a folder of images
for each sentence.

The readers follow the published layout; they were tried on small copies of it, not on the sets themselves.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from dataset.annotations import SPLITS, Split
from dataset.prepare.image_folders import ImageFolders, usable
from dataset.prepare.recordings import Recording, SentencePlan
from dataset.prepare.tables import find_table, read_bars

TABLES = "annotations/manual"
IMAGES = ("features/fullFrame-210x260px/",)


def plan_phoenix2014(annotations: Path, folders: ImageFolders) -> SentencePlan:
    """The sentences of `{train,dev,test}.corpus.csv`; their images lie in `<split>/<folder>`.

    Raises:
        UserError: a table is missing or has other columns, or no folder of images is there.
    """
    recordings = []
    for split, row in _rows(annotations, "{}.corpus.csv", ("id", "folder", "signer", "annotation")):
        folder = row["folder"].partition("*")[0].strip("/")  # theirs ends in /*.png
        recordings.append(Recording(row["id"], row["annotation"], split, f"{split}/{folder}", row["signer"]))
    return _plan("Phoenix-2014", recordings, folders, "phoenix2014")


def plan_phoenix2014t(annotations: Path, folders: ImageFolders) -> SentencePlan:
    """The sentences of `PHOENIX-2014-T.{train,dev,test}.corpus.csv`; their images lie in `<split>/<name>`.

    Raises:
        UserError: a table is missing or has other columns, or no folder of images is there.
    """
    columns = ("name", "speaker", "orth", "translation")
    recordings = [
        Recording(
            row["name"], row["orth"], split, f"{split}/{row['name']}", row["speaker"], text=row["translation"]
        )
        for split, row in _rows(annotations, "PHOENIX-2014-T.{}.corpus.csv", columns)
    ]
    return _plan("Phoenix-2014T", recordings, folders, "phoenix2014t")


def _rows(annotations: Path, name: str, columns: tuple[str, ...]) -> Iterator[tuple[Split, dict[str, str]]]:
    """The rows of the tables of all splits."""
    for split in SPLITS:
        for _, row in read_bars(find_table(annotations, TABLES, name.format(split)), columns):
            yield split, row


def _plan(
    title: str,
    recordings: list[Recording],
    folders: ImageFolders,
    cleanup: Literal["phoenix2014", "phoenix2014t"],
) -> SentencePlan:
    kept, notes = usable(recordings, folders)
    size = [260, 210]
    reading = {"cleanup": cleanup, "frame_size": size, "keypoints_frame_size": size}
    return SentencePlan(title, kept, notes, lower_case=cleanup == "phoenix2014t", reading=reading)
