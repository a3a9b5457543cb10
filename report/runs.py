"""What is on disk of the runs that a report compares."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.config import flat
from utils.config_files import read_values
from utils.errors import UserError
from utils.files import read_json
from utils.progress import parse_metrics


@dataclass(frozen=True)
class RunRecord:
    """title: for people, unique among the runs. config: resolved. epochs: entries of metrics.jsonl."""

    folder: Path
    title: str
    config: dict[str, Any]
    epochs: list[dict[str, Any]]


def evaluation_path(run: str | Path, split: str, setting: str) -> Path:
    """Where the evaluation of a run is kept."""
    return Path(run) / "prediction" / f"{split}_{setting}.json"


def beam_setting(given: str | None, beam: int, task: str) -> str:
    """The setting of an evaluation with a beam search: as given, or with the beam of the configuration.

    Raises:
        UserError: there is no such setting.
    """
    if given is not None and not re.fullmatch(r"beam_[1-9]\d*", given):
        raise UserError(f"--eval_setting: {given!r} is not one of {task}; such as beam_5")
    return given or f"beam_{beam}"


def evaluation_content(run: str | Path, split: str, setting: str, samples: str) -> dict[str, Any]:
    """What an evaluation of a run wrote; `samples` is the key of what it says of each sample.

    Raises:
        UserError: it was not made, or by an earlier version.
    """
    path = evaluation_path(run, split, setting)
    command = (
        f"python prediction.py --config {Path(run) / 'config.yaml'} --split {split} --eval_setting {setting}"
    )
    if not path.is_file():
        config_path(Path(run))
        raise UserError(f"{path}: no such evaluation; {command} makes it")
    content: dict[str, Any] = read_json(path, dict)
    if "vocabulary" not in content or not content.get(samples):
        raise UserError(f"{path}: written by an earlier version; {command} makes it anew")
    return content


def read_runs(folders: Sequence[Path]) -> list[RunRecord]:
    """The runs in the given folders.

    Raises:
        UserError: one is not a run.
    """
    titles = [folder.resolve().name for folder in folders]
    return [
        RunRecord(
            folder,
            title if titles.count(title) == 1 else str(folder),
            read_values(config_path(folder), [])[0],
            read_epochs(folder),
        )
        for folder, title in zip(folders, titles, strict=True)
    ]


def config_path(run: Path) -> Path:
    """The file with the resolved configuration of a run.

    Raises:
        UserError: the folder is not a run.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise UserError(f"{run}: not a run; expected a folder that training.py wrote")
    return path


def read_epochs(run: Path) -> list[dict[str, Any]]:
    """The entry of each epoch in a run's metrics.jsonl; none if there is no such file."""
    path = run / "metrics.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [entry for entry in parse_metrics(text) if entry["kind"] == "epoch"]


def differences(records: Sequence[RunRecord]) -> dict[str, list[str]]:
    """The keys in which the configurations differ (but for the folder of the run), and the value of each run."""
    settings = [
        {key: json.dumps(value, ensure_ascii=False).strip('"') for key, value in flat(record.config).items()}
        for record in records
    ]
    keys = dict.fromkeys(key for values in settings for key in values if key != "run")
    table = {key: [values.get(key, "-") for values in settings] for key in keys}
    return {key: values for key, values in table.items() if len(set(values)) > 1}
