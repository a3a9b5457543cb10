"""What a data set is made from: the clips that its annotations name, and the files that are there."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from dataset.annotations import Split
from dataset.video import FileSource

VIDEO_SUFFIXES = {
    ".3gp",
    ".avi",
    ".flv",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".ogv",
    ".swf",
}
VIDEO_SUFFIXES |= {".ts", ".webm", ".wmv"}
IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png"}
_YOUTUBE = re.compile(r"(?:[?&]v=|youtu\.be/|/embed/)([\w-]{11})")
_DOWNLOADED = re.compile(r"(?:\[([\w-]{11})\]|-([\w-]{11}))$")  # how yt-dlp and youtube-dl end a file name


@dataclass(frozen=True)
class Recording:
    """One clip to be made.

    name: of the clip, unique; the zip gets `<name>.mp4`.
    file: where it lies in the source: a video, or a folder of numbered images. None: it is not there.
    start, end: the part of the video that shows the sign, frames from 0, the end exclusive; None: to the end.
    times: the same in seconds, for annotations that say it so.
    box: the part of the picture: top, left, bottom, right, as shares of its height and width.
    cut_before: whether the file may be the part itself, cut out by whoever handed it on.
    wanted: what was looked for, where there is no file.
    """

    name: str
    gloss: str
    split: Split
    file: str | None
    signer: str | None = None
    start: int = 0
    end: int | None = None
    times: tuple[float, float] | None = None
    box: tuple[float, float, float, float] | None = None
    cut_before: bool = False
    wanted: str = ""


@dataclass(frozen=True)
class Note:
    """Something odd about the annotations, and what it is about."""

    text: str
    items: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.text}: {shown(self.items)}" if self.items else self.text


@dataclass
class Plan:
    """All clips of a data set, its glosses in class order, and what is odd about its annotations.

    title: which data set this is; a folder holds one.
    """

    title: str
    recordings: list[Recording]
    vocabulary: list[str]
    notes: list[Note] = field(default_factory=list)


class SourceFiles:
    """The files of a zip or folder, found by what annotations call them.

    Raises:
        UserError: there is no such zip or folder.
    """

    def __init__(self, path: Path):
        self.path, self.source = path, FileSource(path)
        self.videos: list[str] = []
        self.images: dict[str, list[str]] = defaultdict(list)  # by folder
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._folders: dict[str, list[str]] = defaultdict(list)  # by their last part
        for name in self.source.names():
            folder, _, file = name.rpartition("/")
            stem, dot, suffix = file.rpartition(".")
            if f".{suffix.lower()}" in IMAGE_SUFFIXES:
                if folder not in self.images:
                    self._folders[folder.rpartition("/")[2]].append(folder)
                self.images[folder].append(name)
            elif dot and f".{suffix.lower()}" in VIDEO_SUFFIXES:
                self.videos.append(name)
                self._by_stem[stem].append(name)
                if match := _DOWNLOADED.search(stem):
                    self._by_stem[match[1] or match[2]].append(name)

    def stamp(self, file: str) -> list[tuple[int, int]]:
        """What tells whether a video, or a folder of images, has changed."""
        return [self.source.stamp(name) for name in self.images.get(file, [file])]

    def repeated(self) -> list[str]:
        """Names, without suffix, that several videos have."""
        return sorted(stem for stem, found in self._by_stem.items() if len(found) > 1)

    def find(self, stem: str) -> str | None:
        """The video of this name without its suffix, in whatever folder; the first of several."""
        found = self._by_stem.get(stem)
        return found[0] if found else None

    def find_images(self, folder: str) -> str | None:
        """The folder of images whose path is this, or ends like it."""
        there = self._folders.get(folder.rpartition("/")[2], [])
        return next((path for path in there if f"/{path}".endswith(f"/{folder}")), None)


def youtube_id(url: str) -> str | None:
    """The 11 characters that name a YouTube video, by which its download is usually called."""
    match = _YOUTUBE.search(url)
    return match[1] if match else None


def shown(items: list[str], most: int = 8) -> str:
    """How many there are and the first of them, for a line of a report."""
    return f"{len(items)}: {', '.join(items[:most])}" + (", ..." if len(items) > most else "")
