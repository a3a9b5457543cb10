"""Carry out a plan: cut and scale every recording, on several processes, and write the prepared data set.

Each clip that is done is at once a file in `<out>/parts`; a preparation that is stopped, or killed, continues there.
"""

import csv
import hashlib
import io
import json
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from dataset.prepare.cutting import CutClip, Size, cut_images, cut_video
from dataset.prepare.recordings import Plan, Recording, SourceFiles
from dataset.prepare.report import Outcome, PreparationReport
from dataset.video import FileSource
from utils.errors import UserError
from utils.files import read_json, replacing, write_json
from utils.progress import progress_bar
from utils.workers import on_processes

_REPORT = "report.json"
_OUTPUT = ("clips.zip", "clips.csv", "vocabulary.json", "data.yaml", "report.md", _REPORT)


@dataclass(frozen=True)
class _Job:
    """The clips of one source file. images: the files of a clip that is a folder of them."""

    file: str
    images: list[str] | None
    recordings: list[Recording]


def is_prepared(out: Path) -> bool:
    """Whether a folder holds a complete preparation."""
    return (out / _REPORT).is_file()


def build(plan: Plan, files: SourceFiles, out: Path, size: Size, processes: int) -> PreparationReport:
    """Write clips.zip, clips.csv, vocabulary.json, data.yaml and report.md into `out`.

    Raises:
        UserError: `out` holds another preparation, lies in the source, or no recording is there.
    """
    if out.resolve().is_relative_to(files.path.resolve()):
        raise UserError(f"--out {out}: lies within the videos, which are never changed; name another folder")
    present = [r for r in plan.recordings if r.file is not None]
    if not present:
        example = plan.recordings[0].name if plan.recordings else "none"
        raise UserError(
            f"{files.path}: none of the {len(plan.recordings)} clips is there (the first: {example}); "
            f"it has {len(files.videos)} videos and {len(files.images)} folders of images"
        )
    fingerprint = _fingerprint([plan.vocabulary, [asdict(r) for r in plan.recordings], asdict(size)])
    state = out / "preparation.json"
    if state.is_file() and read_json(state, dict).get("fingerprint") != fingerprint:
        raise UserError(
            f"--out {out}: holds another preparation (other annotations, options or videos); name another folder or "
            "remove it"
        )
    foreign = [name for name in _OUTPUT if (out / name).exists()]
    if foreign and not state.is_file():
        raise UserError(
            f"--out {out}: holds a {foreign[0]} that is not of a preparation; name another folder"
        )
    parts = _Parts(out / "parts", size)
    if is_prepared(out):
        return PreparationReport.read(out / _REPORT)
    out.mkdir(parents=True, exist_ok=True)
    write_json(state, {"fingerprint": fingerprint})

    outcomes = {r.name: Outcome("missing") for r in plan.recordings}
    for recording in present:
        if (done := parts.done(recording)) is not None:
            outcomes[recording.name] = done
    jobs = _jobs([r for r in present if outcomes[r.name].state == "missing"], files)
    with progress_bar(
        len(present), len(present) - sum(len(j.recordings) for j in jobs), "clip", True
    ) as progress:
        for finished in on_processes(_Cutter(FileSource(files.path), parts, size), jobs, processes):
            outcomes.update(finished)
            progress.update(len(finished))
    report = PreparationReport(plan, outcomes)
    _write(plan, report, parts, out)
    shutil.rmtree(parts.folder, ignore_errors=True)
    return report


def _jobs(recordings: list[Recording], files: SourceFiles) -> list[_Job]:
    by_file: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        assert recording.file is not None
        by_file[recording.file].append(recording)
    return [
        _Job(file, sorted(files.images[file]) if file in files.images else None, there)
        for file, there in by_file.items()
    ]


class _Parts:
    """Clips that are done, each an mp4 file and what is to be said about it."""

    def __init__(self, folder: Path, size: Size):
        self.folder, self._size = folder, size

    def path(self, recording: Recording) -> Path:
        return self.folder / f"{_fingerprint([asdict(recording), asdict(self._size)])}.mp4"

    def done(self, recording: Recording) -> Outcome | None:
        note = self.path(recording).with_suffix(".json")
        return Outcome(**read_json(note, dict)) if note.is_file() else None

    def keep(self, cut: CutClip) -> Outcome:
        """A clip that could not be made is not kept, and tried again next time."""
        if cut.content is None:
            return Outcome("broken", 0, cut.problem)
        outcome = Outcome("present", cut.frames, cut.problem)
        path = self.path(cut.recording)
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(cut.content)
        write_json(path.with_suffix(".json"), asdict(outcome))
        return outcome


@dataclass(frozen=True)
class _Cutter:
    """What each process does with a job."""

    source: FileSource
    parts: _Parts
    size: Size

    def __call__(self, job: _Job) -> dict[str, Outcome]:
        cuts: Iterable[CutClip]
        if job.images is not None:
            contents = [self.source.read(name) for name in job.images]
            cuts = [cut_images(contents, recording, self.size) for recording in job.recordings]
        else:
            cuts = cut_video(self.source.read(job.file), job.recordings, self.size)
        return {cut.recording.name: self.parts.keep(cut) for cut in cuts}


def _write(plan: Plan, report: PreparationReport, parts: _Parts, out: Path) -> None:
    there = [r for r in plan.recordings if report.outcomes[r.name].state == "present"]
    with replacing(out / "clips.zip") as partial, zipfile.ZipFile(partial, "w") as archive:
        for recording in there:  # without dates, so that the same clips make the same file
            archive.writestr(zipfile.ZipInfo(f"{recording.name}.mp4"), parts.path(recording).read_bytes())
    rows = io.StringIO(newline="")
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["name", "gloss", "split", "video", "frames", "signer"])
    for r in there:
        frames = report.outcomes[r.name].frames
        writer.writerow([r.name, r.gloss, r.split, f"{r.name}.mp4", frames, r.signer or ""])
    data = {
        "index": "clips.csv",
        "videos": "clips.zip",
        "vocabulary": "vocabulary.json",
        "keypoints": "keypoints.safetensors",
        "word_embeddings": "word_embeddings.safetensors",
    }
    texts = {
        "clips.csv": rows.getvalue(),
        "vocabulary.json": json.dumps(plan.vocabulary, ensure_ascii=False, indent=0) + "\n",
        "data.yaml": yaml.safe_dump(
            {key: (out / name).as_posix() for key, name in data.items()}, sort_keys=False
        ),
        "report.md": report.text(out.name),
    }
    for name, text in texts.items():
        with replacing(out / name) as partial:
            partial.write_text(text, encoding="utf-8")
    report.write(out / _REPORT)  # last: it says that the preparation is complete


def _fingerprint(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:32]
