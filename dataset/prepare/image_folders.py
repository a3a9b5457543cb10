"""Sentences that are folders of numbered images, as their owners ship them: indexed where they are, not copied."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from dataset.prepare.output import STATE, claimed, write_texts
from dataset.prepare.recordings import IMAGE_SUFFIXES, Note, Recording, SentencePlan
from dataset.prepare.report import Outcome, PreparationReport
from dataset.video import FileSource
from utils.errors import UserError
from utils.files import write_json
from utils.progress import progress_bar

# What stands before the number, the number, a part that is the same for all, the suffix.
_NUMBERED = re.compile(r"(.*\D)?(\d{4,})(-\d+)?(\.\w+)")


class ImageFolders:
    """The folders of a zip or folder, listed one at a time: a data set may have millions of images.

    Args:
        path: of the zip or folder.
        usual: where within it, or within one more folder, the owners keep their images; paths that end in "/".

    Raises:
        UserError: there is no such zip or folder.
    """

    def __init__(self, path: Path, usual: tuple[str, ...]):
        self.path, self._zipped = path, defaultdict[str, list[str]](list)
        source = FileSource(path)
        if not path.is_dir():
            for name in source.names():
                folder, _, file = name.rpartition("/")
                self._zipped[folder].append(file)
        around = sorted({folder.partition("/")[0] for folder in self._zipped} or _folders_in(path))
        self._places = [f"{top}{place}" for top in ("", *(f"{x}/" for x in around)) for place in ("", *usual)]

    def images(self, folder: str) -> list[str]:
        """Names of the images in a folder; none if it is not there."""
        try:
            files = os.listdir(self.path / folder) if self.path.is_dir() else self._zipped.get(folder, [])
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [f for f in files if not f.startswith(".") and Path(f).suffix.lower() in IMAGE_SUFFIXES]

    def place_of(self, folders: Iterable[str]) -> str:
        """Where these folders are, by the first of them that has images.

        Raises:
            UserError: none has.
        """
        wanted = list(folders)
        for place in self._places:
            if any(self.images(place + folder) for folder in wanted):
                return place
        raise UserError(
            f"{self.path}: none of the {len(wanted)} folders of images is there (the first: {wanted[0]}); looked in "
            f"{', '.join(place or 'the folder itself' for place in self._places)}"
        )


def _folders_in(path: Path) -> set[str]:
    return {entry.name for entry in os.scandir(path) if entry.is_dir()} if path.is_dir() else set()


class NotNumbered(UserError):
    """Images do not follow one another by their numbers."""


class Series(NamedTuple):
    """Images prefix + number + ending of one folder, `frames` of them from number `first` on.

    ending: with the number, as a format, such as "{frame:04d}.png".
    """

    prefix: str
    first: int
    frames: int
    ending: str


def series_of(images: list[str]) -> Series:
    """What the images of a folder are called.

    Raises:
        NotNumbered: one is called otherwise, or is missing between two others.
    """
    matches = [_NUMBERED.fullmatch(name) for name in images]
    parts = [(m[1] or "", m[2], f"{m[3] or ''}{m[4]}") for m in matches if m is not None]
    if len(parts) < len(images):
        raise NotNumbered(f"{images[matches.index(None)]!r} is not a numbered image")
    if len({(prefix, ending) for prefix, _, ending in parts}) > 1:
        raise NotNumbered(f"images have several names, such as {min(images)!r} and {max(images)!r}")
    numbers = sorted(int(number) for _, number, _ in parts)
    if gaps := [b for a, b in pairwise(numbers) if b != a + 1]:
        raise NotNumbered(f"the image before number {gaps[0]} is missing")
    prefix, _, ending = parts[0]
    width = min(len(number) for _, number, _ in parts)
    return Series(prefix, numbers[0], len(numbers), f"{{frame:0{width}d}}{ending}")


def usable(recordings: list[Recording], folders: ImageFolders) -> tuple[list[Recording], list[Note]]:
    """Those that have glosses, with the whole path of their folders, and a note on the others.

    Raises:
        UserError: no folder is there.
    """
    place = folders.place_of(str(r.file) for r in recordings)
    kept = [replace(r, file=f"{place}{r.file}", wanted=str(r.file)) for r in recordings if r.gloss.split()]
    empty = [r.name for r in recordings if not r.gloss.split()]
    return kept, [Note("sentences without glosses, left out", empty)] if empty else []


def index_images(plan: SentencePlan, folders: ImageFolders, out: Path) -> PreparationReport:
    """Write what makes a data set of images that stay where they are: `write_texts`, with `clip_path` and `first_frame`
    of most sentences; those whose images are called or numbered otherwise count as broken.

    The `file` of a recording is its folder, and its `end`, where known, how many images that should have.

    Raises:
        UserError: two sentences have one name, no images are numbered, or `out` cannot be used, see `claimed`.
    """
    if twice := [name for name, count in Counter(r.name for r in plan.recordings).items() if count > 1]:
        raise UserError(f"{plan.title}: the annotations name {twice[0]!r} twice")
    with claimed(out, plan.title, folders.path):
        series, outcomes = _look(plan.recordings, folders)
        if not series:
            problem = next(f"{name}: {o.problem}" for name, o in outcomes.items() if o.problem)
            raise UserError(f"{folders.path}: no sentence has numbered images; {problem}")
        (first, ending), _ = Counter((s.first, s.ending) for s in series.values()).most_common(1)[0]
        for r in plan.recordings:
            if r.name in series:
                outcomes[r.name] = _outcome(r, series[r.name], first, ending)
        plan.reading |= {"clip_path": f"{{video}}{ending}", "first_frame": first}
        report = PreparationReport(plan, outcomes)
        there = [r for r in plan.recordings if outcomes[r.name].state == "present"]
        write_json(out / STATE, {"title": plan.title})
        write_texts(report, folders.path, {r.name: f"{r.file}/{series[r.name].prefix}" for r in there}, out)
    return report


def _look(recordings: list[Recording], folders: ImageFolders) -> tuple[dict[str, Series], dict[str, Outcome]]:
    """The images of each recording that has numbered ones, and what is to be said of the others."""
    series: dict[str, Series] = {}
    outcomes: dict[str, Outcome] = {}
    with progress_bar(len(recordings), 0, "sentence", True) as progress:
        for r in recordings:
            images = folders.images(str(r.file))
            try:
                if images:
                    series[r.name] = series_of(images)
                else:
                    outcomes[r.name] = Outcome("missing")
            except NotNumbered as error:
                outcomes[r.name] = Outcome("broken", 0, str(error))
            progress.update()
    return series, outcomes


def _outcome(recording: Recording, series: Series, first: int, ending: str) -> Outcome:
    if (series.first, series.ending) != (first, ending):
        called = series.prefix + series.ending.format(frame=series.first)
        usual = series.prefix + ending.format(frame=first)
        return Outcome(
            "broken", 0, f"its first image is {called!r}; as in other sentences it would be {usual!r}"
        )
    problem = None
    if recording.end is not None and recording.end != series.frames:
        problem = f"has {series.frames} images; the annotations say {recording.end}"
    return Outcome("present", series.frames, problem)
