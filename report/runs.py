"""What is on disk of the runs that a report compares."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from report.analysis import Evaluation, read_evaluation
from utils.config import flat
from utils.errors import UserError
from utils.progress import parse_metrics


@dataclass(frozen=True)
class RunRecord:
    """title: for people, unique among the runs. config: resolved. epochs: entries of metrics.jsonl."""

    folder: Path
    title: str
    config: dict[str, Any]
    epochs: list[dict[str, Any]]
    evaluation: Evaluation


def read_runs(folders: Sequence[Path], split: str, setting: str) -> list[RunRecord]:
    """The runs in the given folders.

    Raises:
        UserError: one is not a run, has no evaluation, or was evaluated on other clips than the first.
    """
    titles = [folder.resolve().name for folder in folders]
    records: list[RunRecord] = []
    for folder, title in zip(folders, titles, strict=True):
        if not (folder / "config.yaml").is_file():
            raise UserError(f"{folder}: not a run; expected a folder that training.py wrote")
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        evaluation = read_evaluation(folder, split, setting)
        record = RunRecord(
            folder,
            title if titles.count(title) == 1 else str(folder),
            config,
            read_epochs(folder),
            evaluation,
        )
        first = records[0].evaluation if records else evaluation
        if (evaluation.names, evaluation.labels) != (first.names, first.labels):
            raise UserError(
                f"{evaluation.path}: of other clips than {first.path}; runs can be compared on one set only"
            )
        records.append(record)
    return records


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
