"""The folder of a prepared data set: whose it is, and the files in it that say what the set is."""

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from dataset.prepare.recordings import Plan
from dataset.prepare.report import PreparationReport
from utils.errors import UserError
from utils.files import read_json, replacing

KEYPOINTS = "keypoints.safetensors"  # that gen_pose.py is told to write
STATE = "preparation.json"
REPORT = "report.json"


@contextmanager
def claimed(out: Path, title: str, videos: Path) -> Iterator[dict[str, Any]]:
    """A folder for the data set `title` that no other process prepares at the same time; yields what an earlier
    preparation noted in its STATE, `title` at least, or nothing.

    Raises:
        UserError: `out` holds anything else or cannot be made, lies in the videos, or another process prepares it.
    """
    if out.resolve().is_relative_to(videos.resolve()):
        raise UserError(f"--out {out}: lies within the videos, which are never changed; name another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be made: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"--out {out}: another process is preparing it") from None
    else:
        state: dict[str, Any] = read_json(out / STATE, dict) if (out / STATE).is_file() else {}
        if not state and any(out.iterdir()):
            raise UserError(f"--out {out}: holds files that are not of a preparation; name another folder")
        if state and state["title"] != title:
            raise UserError(f"--out {out}: holds {state['title']}, not {title}; name another folder")
        yield state
    finally:
        os.close(handle)
        with suppress(OSError):
            out.rmdir()  # where nothing was written


def text_files(plan: Plan) -> tuple[str, ...]:
    """What `write_texts` writes."""
    return plan.index, "vocabulary.json", "data.yaml", "report.md", REPORT


def write_texts(report: PreparationReport, videos: Path, paths: dict[str, str], out: Path) -> None:
    """The index, the vocabulary, the data section and the report.

    `paths`: in `videos`, of the clips that are there, by name.
    """
    plan = report.plan
    rows = io.StringIO(newline="")
    writer = csv.writer(rows, lineterminator="\n")
    for number, recording in enumerate(r for r in plan.recordings if r.name in paths):
        row = plan.row(recording, paths[recording.name], report.outcomes[recording.name].frames)
        if number == 0:
            writer.writerow(row)
        writer.writerow(row.values())
    data = {
        "index": (out / plan.index).as_posix(),
        "videos": videos.as_posix(),
        "vocabulary": (out / "vocabulary.json").as_posix(),
        "keypoints": (out / KEYPOINTS).as_posix(),
        **plan.settings(out),
    }
    texts = {
        plan.index: rows.getvalue(),
        "vocabulary.json": json.dumps(plan.classes, ensure_ascii=False, indent=0) + "\n",
        "data.yaml": yaml.safe_dump(data, sort_keys=False, allow_unicode=True),
        "report.md": report.text(),
    }
    for name, text in texts.items():
        with replacing(out / name) as partial:
            partial.write_text(text, encoding="utf-8")
    report.write(out / REPORT)
