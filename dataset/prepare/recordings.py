"""What a data set is made from: the clips that its annotations name, and the files that are there."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from dataset.annotations import Split
from dataset.sentences import BLANK
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
    text: what a sentence says in the spoken language.
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
    text: str | None = None


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

    index: ClassVar[str] = "clips.csv"
    clips: ClassVar[str] = "clips"  # what reports call them

    @property
    def classes(self) -> list[str]:
        """What vocabulary.json holds."""
        return self.vocabulary

    def glosses(self, recording: Recording) -> list[str]:
        """What a clip shows, as in the vocabulary."""
        return [recording.gloss]

    def row(self, recording: Recording, video: str, frames: int) -> dict[str, Any]:
        """Of a clip in the index."""
        r = recording
        return {
            "name": r.name, "gloss": r.gloss, "split": r.split, "video": video, "frames": frames, "signer": r.signer,
        }  # fmt: skip

    def settings(self, out: Path) -> dict[str, Any]:
        """What a configuration says of the set besides its index, videos, vocabulary and keypoints."""
        return {"word_embeddings": (out / "word_embeddings.safetensors").as_posix()}


@dataclass
class SentencePlan(Plan):
    """The same of clips that show sentences: `gloss` of a recording holds its glosses, separated by spaces.

    vocabulary: the glosses of the training sentences. lower_case: whether it is in small letters. reading: further keys
    of the data section, and their values.
    """

    vocabulary: list[str] = field(init=False)
    lower_case: bool = False
    reading: dict[str, Any] = field(default_factory=dict)

    index: ClassVar[str] = "sentences.csv"
    clips: ClassVar[str] = "sentences"

    def __post_init__(self) -> None:
        glosses = {gloss for r in self.recordings for gloss in self.glosses(r)}
        trained = {gloss for r in self.recordings if r.split == "train" for gloss in self.glosses(r)}
        self.vocabulary = sorted(trained)
        if glosses - trained:
            self.notes.append(Note("glosses that no training sentence has", sorted(glosses - trained)))

    @property
    def classes(self) -> list[str]:
        return [BLANK, *self.vocabulary]

    def glosses(self, recording: Recording) -> list[str]:
        return (recording.gloss.lower() if self.lower_case else recording.gloss).split()

    def row(self, recording: Recording, video: str, frames: int) -> dict[str, Any]:
        r = recording
        return {
            "name": r.name, "glosses": r.gloss, "split": r.split, "video": video, "text": r.text, "frames": frames,
            "signer": r.signer,
        }  # fmt: skip

    def settings(self, out: Path) -> dict[str, Any]:
        return {"lower_case": self.lower_case, **self.reading}


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
