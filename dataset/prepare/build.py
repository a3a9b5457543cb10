"""Carry out a plan: cut and scale every recording, on several processes, and write the prepared data set.

Each clip that is done is at once a file in `<out>/parts`; a preparation that is stopped, or killed, continues there. A
preparation that is complete is brought up to date when recordings are added or replaced.
"""

import hashlib
import json
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dataset.prepare.cutting import CutClip, Size, cut_images, cut_video
from dataset.prepare.output import KEYPOINTS, REPORT, STATE, claimed, text_files, write_texts
from dataset.prepare.recordings import Note, Plan, Recording, SourceFiles
from dataset.prepare.report import Outcome, PreparationReport, read_outcomes
from dataset.video import FileSource
from utils.errors import UserError
from utils.files import read_json, replacing, write_json
from utils.progress import progress_bar
from utils.workers import on_processes


@dataclass(frozen=True)
class _Job:
    """The clips of one source file. images: the files of a clip that is a folder of them."""

    file: str
    images: list[str] | None
    recordings: list[Recording]


def build(
    plan: Plan, files: SourceFiles, out: Path, size: Size, processes: int
) -> tuple[PreparationReport, int]:
    """Bring the data set in `out` up to date: clips.zip, and what `write_texts` writes.

    Returns:
        The report, and how many clips were cut now; those of an earlier preparation are kept where neither their part
        nor their file has changed.

    Raises:
        UserError: `out` holds anything else or cannot be written, lies in the source, is being prepared by another
            process, or no recording is there.
    """
    present = [r for r in plan.recordings if r.file is not None]
    if not present:
        example = f" (the first: {plan.recordings[0].wanted})" if plan.recordings else ""
        raise UserError(
            f"{files.path}: none of the {len(plan.recordings)} clips is there{example}; paths are relative to it, and "
            f"it has {len(files.videos)} videos and {len(files.images)} folders of images"
        )
    with claimed(out, plan.title, files.path) as state:
        return _build(plan, present, files, out, state, size, processes)


def _build(
    plan: Plan,
    present: list[Recording],
    files: SourceFiles,
    out: Path,
    state: dict[str, Any],
    size: Size,
    processes: int,
) -> tuple[PreparationReport, int]:
    keys = {r.name: _key(r, files, size) for r in present}
    content = _fingerprint([plan.vocabulary, [asdict(r) for r in plan.recordings], keys])
    parts = _Parts(out / "parts", keys)
    old = state.get("keys", {})  # of a complete preparation
    if old and _zip_is_whole(out, state):
        if state["content"] == content and all((out / name).is_file() for name in text_files(plan)):
            return PreparationReport(plan, read_outcomes(out / REPORT)), 0
        parts.take_over(out, old)
    changed = [name for name, key in old.items() if name in keys and keys[name] != key]
    if changed and (out / KEYPOINTS).is_file():
        text = f"changed since their keypoints were found; remove {out / KEYPOINTS} to find all anew"
        plan.notes.append(Note(text, changed))
    write_json(out / STATE, {"title": plan.title})

    outcomes = {r.name: Outcome("missing") for r in plan.recordings}
    for recording in present:
        if (done := parts.done(recording)) is not None:
            outcomes[recording.name] = done
    left = [r for r in present if outcomes[r.name].state == "missing"]
    with progress_bar(len(present), len(present) - len(left), "clip", True) as progress:
        cutter = _Cutter(files.source, parts, size)
        for finished in on_processes(cutter, _jobs(left, files), processes):
            outcomes.update(finished)
            progress.update(len(finished))
    report = PreparationReport(plan, outcomes)
    _write(plan, report, parts, out)
    zip_size = (out / "clips.zip").stat().st_size
    # Last: it says that the preparation is complete.
    write_json(out / STATE, {"title": plan.title, "content": content, "zip_size": zip_size, "keys": keys})
    shutil.rmtree(parts.folder, ignore_errors=True)
    return report, sum(outcomes[r.name].state == "present" for r in left)


def _zip_is_whole(out: Path, state: dict[str, Any]) -> bool:
    path = out / "clips.zip"
    return path.is_file() and path.stat().st_size == state["zip_size"]


def _key(recording: Recording, files: SourceFiles, size: Size) -> str:
    """What the content of a clip depends on."""
    assert recording.file is not None
    part = (recording.start, recording.end, recording.times, recording.box, recording.cut_before)
    return _fingerprint([recording.file, files.stamp(recording.file), part, asdict(size)])


def _jobs(recordings: list[Recording], files: SourceFiles) -> list[_Job]:
    by_file: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        assert recording.file is not None
        by_file[recording.file].append(recording)
    return [_Job(file, files.images.get(file), there) for file, there in by_file.items()]


class _Parts:
    """Clips that are done, each an mp4 file and what is to be said about it, named by their keys."""

    def __init__(self, folder: Path, keys: dict[str, str]):
        self.folder, self._keys = folder, keys

    def path(self, recording: Recording) -> Path:
        return self.folder / f"{self._keys[recording.name]}.mp4"

    def done(self, recording: Recording) -> Outcome | None:
        note = self.path(recording).with_suffix(".json")
        return Outcome(**read_json(note, dict)) if note.is_file() else None

    def keep(self, cut: CutClip) -> Outcome:
        """A clip that could not be made is not kept, and tried again next time."""
        if cut.content is None:
            return Outcome("broken", 0, cut.problem)
        outcome = Outcome("present", cut.frames, cut.problem)
        self._put(self.path(cut.recording), cut.content, outcome)
        return outcome

    def take_over(self, out: Path, old_keys: dict[str, str]) -> None:
        """Keep the clips of a complete preparation that are still wanted as they are."""
        wanted = set(self._keys.values())
        outcomes = read_outcomes(out / REPORT)
        with zipfile.ZipFile(out / "clips.zip") as archive:
            for name, key in old_keys.items():
                if key in wanted and outcomes[name].state == "present":
                    self._put(self.folder / f"{key}.mp4", archive.read(f"{name}.mp4"), outcomes[name])

    def _put(self, path: Path, content: bytes, outcome: Outcome) -> None:
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(content)
        write_json(path.with_suffix(".json"), asdict(outcome))


@dataclass(frozen=True)
class _Cutter:
    """What each process does with a job."""

    source: FileSource
    parts: _Parts
    size: Size

    def __call__(self, job: _Job) -> dict[str, Outcome]:
        cuts: Iterable[CutClip]
        if job.images is not None:
            contents = [self.source.read_if_there(name) or b"" for name in job.images]
            cuts = [cut_images(contents, recording, self.size) for recording in job.recordings]
        else:
            cuts = cut_video(self.source.read_if_there(job.file) or b"", job.recordings, self.size)
        return {cut.recording.name: self.parts.keep(cut) for cut in cuts}


def _write(plan: Plan, report: PreparationReport, parts: _Parts, out: Path) -> None:
    there = [r for r in plan.recordings if report.outcomes[r.name].state == "present"]
    with replacing(out / "clips.zip") as partial, zipfile.ZipFile(partial, "w") as archive:
        for recording in there:  # without dates, so that the same clips make the same file
            archive.writestr(zipfile.ZipInfo(f"{recording.name}.mp4"), parts.path(recording).read_bytes())
    write_texts(report, out / "clips.zip", {r.name: f"{r.name}.mp4" for r in there}, out)


def _fingerprint(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:32]
