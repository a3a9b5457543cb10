"""A data set without fault, and the same with each kind of defect planted in it."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from configs.schema import IsolatedConfig
from dataset.check.__main__ import check_data
from dataset.check.findings import CheckReport
from dataset.glosses.embeddings import write_embeddings
from dataset.keypoints import write_keypoints
from tests.conftest import SIDE, clip_keypoints
from utils.config import load_config

ROOT = Path(__file__).parents[3]
SPLITS = ["train", "train", "dev", "test"]  # of the four clips of each gloss
GLOSSES = ["cold", "winter", "table"]


@dataclass
class DataSet:
    """Everything that goes into a data set's files, to be spoiled before they are written."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    videos: dict[str, bytes] = field(default_factory=dict)
    keypoints: dict[str, np.ndarray] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    words: dict[str, np.ndarray] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)  # of the data section

    def write(self, folder: Path) -> Path:
        """The files, and a configuration of a model that reads them all."""
        (folder / "videos").mkdir(parents=True)
        for name, content in self.videos.items():
            (folder / "videos" / name).write_bytes(content)
        with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        sizes = dict.fromkeys(self.keypoints, (SIDE, SIDE))
        write_keypoints(folder / "k.safetensors", self.keypoints, sizes, "fake", "1", self.problems)
        write_embeddings(folder / "w.safetensors", self.words, "made up")
        data = {
            "index": "clips.csv", "videos": "videos", "keypoints": "k.safetensors", "word_embeddings": "w.safetensors",
        }  # fmt: skip
        values = {
            "run": str(folder / "run"),
            "data": {key: str(folder / name) for key, name in data.items()} | self.changes,
            "loss": {"label_smoothing": {"kind": "language"}},
        }
        (folder / "c.yaml").write_text(yaml.safe_dump(values))
        return folder / "c.yaml"

    def check(self, folder: Path) -> CheckReport:
        return check_data(load_config(IsolatedConfig, self.write(folder)), processes=1)


@pytest.fixture
def clean(mp4: Callable[[int], bytes]) -> DataSet:
    data = DataSet()
    for number in range(12):
        gloss, split = GLOSSES[number // 4], SPLITS[number % 4]
        name, frames = f"c{number}", 8 + number
        data.rows.append(
            {
                "name": name, "gloss": gloss, "split": split, "video": f"{name}.mp4", "frames": frames,
                "signer": f"s{number % 4}", "start_frame": "", "end_frame": "",
            }
        )  # fmt: skip
        data.videos[f"{name}.mp4"] = mp4(frames)
        data.keypoints[name] = clip_keypoints(0, frames) % SIDE
        data.keypoints[name][..., 2] = 0.9
    data.words = {gloss: np.eye(3, dtype=np.float32)[i] for i, gloss in enumerate(GLOSSES)}
    return data


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, clean: DataSet) -> None:
    report = clean.check(tmp_path / "clean")
    assert report.findings == [] and not report.run_would_fail
    text = report.text()
    assert text.endswith("nothing wrong") and "estimator: fake 1" in text
    assert "12 clips (train 6 of 2 signers, dev 3 of 1 signers, test 3 of 1 signers), 3 glosses" in text
    assert "training clips a gloss: 2 to 2, median 2" in text


def change(table: str, key: Any, value: Any) -> Callable[[DataSet], None]:
    """A defect: `table[key] = value`, where a function is applied to what was there."""

    def spoil(data: DataSet) -> None:
        target = getattr(data, table)
        target[key] = value(target[key]) if callable(value) else value

    return spoil


def cells(number: int, **values: Any) -> Callable[[DataSet], None]:
    """A defect: cells of one row of clips.csv."""
    return lambda data: data.rows[number].update(values)


def without(table: str, key: Any) -> Callable[[DataSet], None]:
    return lambda data: getattr(data, table).pop(key)


def copy_of_first(number: int) -> Callable[[DataSet], None]:
    """A defect: the first clip's video under another name."""

    def spoil(data: DataSet) -> None:
        data.videos[f"c{number}.mp4"] = data.videos["c0.mp4"]
        data.keypoints[f"c{number}"] = data.keypoints["c0"]
        data.rows[number]["frames"] = 8

    return spoil


def written_otherwise(data: DataSet) -> None:
    data.rows[1]["gloss"] = "Cold "
    data.words["Cold "] = np.ones(3, np.float32)


def damaged(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(200) + content[middle + 200 :]


def few_frames(data: DataSet) -> None:
    """The first clip becomes its own first three frames, everywhere."""
    data.rows[0].update(frames="", start_frame=0, end_frame=3)
    data.keypoints["c0"] = data.keypoints["c0"][:3]


def outside(points: np.ndarray) -> np.ndarray:
    return points + np.array([10 * SIDE, 0, 0], np.float32)


def handless(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points[:, :91], np.zeros_like(points[:, 91:])], axis=1)


def only(split: str) -> Callable[[DataSet], None]:
    return lambda data: [row.update(split="train") for row in data.rows if row["split"] == split] and None


def vocabulary(data: DataSet) -> None:
    """A class list of two known glosses, and one that nobody signs."""
    path = Path(data.changes.pop("folder")) / "vocabulary.json"
    path.write_text(json.dumps(["cold", "winter", "moon"]))
    data.words["moon"] = np.ones(3, np.float32)
    data.changes["vocabulary"] = str(path)


def unseen_in_training(data: DataSet) -> None:
    vocabulary(data)
    data.rows[3]["gloss"] = "moon"


FATAL, DAMAGE, WARNING = "fatal", "damage", "warning"
DEFECTS: list[tuple[str, str, str, Callable[[DataSet], None]]] = [
    # kind, level, subject, how it comes about
    ("annotations that cannot be used", FATAL, "annotations", cells(0, name="c1")),
    ("annotations that cannot be used", FATAL, "annotations", cells(3, gloss="moon")),
    ("split without clips", FATAL, "dev", only("dev")),
    ("split without clips", WARNING, "test", only("test")),
    ("glosses without any clip", WARNING, "1 of 3", vocabulary),
    ("gloss without training clips", WARNING, "moon", unseen_in_training),
    ("gloss outside the vocabulary", WARNING, "c8", vocabulary),
    ("gloss with a single training clip", WARNING, "cold", cells(1, split="dev", signer="s2")),
    ("glosses that are written alike", WARNING, "Cold ", written_otherwise),
    ("test signer in training", WARNING, "s0", cells(3, signer="s0")),
    ("same video under two glosses", WARNING, "c4", copy_of_first(4)),
    ("same video in two splits", WARNING, "c2", copy_of_first(2)),
    ("no video", FATAL, "c5", without("videos", "c5.mp4")),
    ("video that cannot be decoded", DAMAGE, "c5", change("videos", "c5.mp4", b"not a video")),
    ("damaged video", DAMAGE, "c11", change("videos", "c11.mp4", damaged)),
    ("fewer frames than stated", DAMAGE, "c5", cells(5, frames=20)),
    ("more frames than stated", WARNING, "c5", cells(5, frames=10)),
    ("very short clip", WARNING, "c0", few_frames),
    ("no keypoints", FATAL, "c5", without("keypoints", "c5")),
    ("keypoints without frames", FATAL, "c5", change("keypoints", "c5", lambda x: x[:0])),
    ("keypoints that are not finite", FATAL, "c5", change("keypoints", "c5", lambda x: x * np.nan)),
    ("fewer keypoints than frames", DAMAGE, "c5", change("keypoints", "c5", lambda x: x[:6])),
    (
        "more keypoints than frames",
        WARNING,
        "c5",
        change("keypoints", "c5", lambda x: np.repeat(x, 2, axis=0)),
    ),
    ("keypoints outside the frame", WARNING, "c5", change("keypoints", "c5", outside)),
    ("hardly any hands", WARNING, "c5", change("keypoints", "c5", handless)),
    ("damaged when keypoints were found", WARNING, "c5", change("problems", "c5", "frame 2 is damaged")),
    ("gloss without word vector", FATAL, "table", without("words", "table")),
    ("word vector without a direction", FATAL, "table", change("words", "table", np.zeros(3, np.float32))),
    (
        "glosses with the same word vector",
        WARNING,
        "winter",
        change("words", "winter", lambda x: x[[1, 0, 2]]),
    ),
    ("word vectors that cannot be read", FATAL, "no.pkl", change("changes", "word_embeddings", "no.pkl")),
    ("keypoints that cannot be read", FATAL, "no.pkl", change("changes", "keypoints", "no.pkl")),
    ("videos that cannot be opened", FATAL, "videos", change("changes", "videos", "no.zip")),
]


@pytest.mark.parametrize(("kind", "level", "subject", "spoil"), DEFECTS)
def test_each_planted_defect_is_found(
    tmp_path: Path, clean: DataSet, kind: str, level: str, subject: str, spoil: Callable[[DataSet], None]
) -> None:
    clean.changes["folder"] = str(tmp_path)
    spoil(clean)
    clean.changes.pop("folder", None)
    report = clean.check(tmp_path / "set")
    found = [f for f in report.findings if (f.kind, f.subject) == (kind, subject)]
    assert [f.level for f in found] == [level], report.text()
    assert report.run_would_fail == (level != WARNING)  # 1 of few clips is more than max_damaged_share
    assert kind in report.text()


def test_damage_stops_a_run_only_when_there_is_too_much(tmp_path: Path, clean: DataSet) -> None:
    clean.videos["c5.mp4"] = b"not a video"
    clean.changes["max_damaged_share"] = 0.2
    report = clean.check(tmp_path / "set")
    assert report.findings and not report.run_would_fail
    report.max_damaged_share = 0.1
    assert report.run_would_fail and "of the train clips are damaged" in report.text()


def test_only_what_the_model_reads_is_checked(tmp_path: Path, clean: DataSet) -> None:
    clean.keypoints.pop("c5")
    clean.words.pop("table")
    path = clean.write(tmp_path / "set")
    overrides = ["model.modalities=[rgb]", "model.frames=[32]", "loss.label_smoothing.kind=none"]
    assert check_data(load_config(IsolatedConfig, path, overrides), processes=1).findings == []


def test_parts_of_one_video_are_not_repeats_unless_they_overlap(tmp_path: Path, clean: DataSet) -> None:
    whole = clean.videos["c11.mp4"]
    clean.videos["c5.mp4"] = whole
    clean.rows[5].update(frames="", start_frame=0, end_frame=9)
    clean.rows[11].update(frames="", start_frame=9, end_frame=19)
    clean.keypoints["c5"], clean.keypoints["c11"] = clean.keypoints["c5"][:9], clean.keypoints["c11"][9:]
    assert clean.check(tmp_path / "apart").findings == []
    clean.rows[11].update(start_frame=8, end_frame=18)
    kinds = {finding.kind for finding in clean.check(tmp_path / "overlapping").findings}
    assert kinds == {"same video under two glosses", "same video in two splits"}


def test_the_command_prints_text_or_json_and_says_by_its_exit_code(tmp_path: Path, clean: DataSet) -> None:
    clean.videos.pop("c5.mp4")
    path = clean.write(tmp_path / "set")

    def command(*more: str) -> "subprocess.CompletedProcess[str]":
        start = [sys.executable, "-m", "dataset.check", "--config", str(path), "--processes", "2"]
        return subprocess.run([*start, *more], cwd=ROOT, capture_output=True, text=True, timeout=100)

    done = command()
    assert done.returncode == 1 and "no video: 1 - a run would fail\n  c5: c5.mp4" in done.stdout
    done = command("--json")
    content = json.loads(done.stdout)
    assert done.returncode == 1 and content["run_would_fail"] and content["counts"] == {"no video": 1}
    assert content["findings"] == [
        {"kind": "no video", "subject": "c5", "detail": "c5.mp4", "level": "fatal"}
    ]
