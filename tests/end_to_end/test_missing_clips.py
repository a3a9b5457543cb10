"""Clips that cannot be read: another one in training; in evaluation an end, or a number beside every figure."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Project


def with_broken(project: Project, copy: Path, name: str, split: str) -> str:
    """Copy the data, and break one clip of a split and lose another; the broken one's name."""
    shutil.copytree(project.data, copy)
    project.data = copy
    videos = copy / Path(str(project.values()["data"]["videos"])).name  # type: ignore[index]
    rows = [line.split(",") for line in (copy / name).read_text().splitlines()]
    broken, lost = [row[0] for row in rows[1:] if split in row][:2]
    with zipfile.ZipFile(videos) as old, zipfile.ZipFile(copy / "new.zip", "w") as new:
        for member in old.namelist():
            if Path(member).stem != lost or split == "train":
                new.writestr(member, b"no video" if Path(member).stem == broken else old.read(member))
    (copy / "new.zip").replace(videos)
    return broken


def evaluation(run: Path) -> dict[str, Any]:
    (path,) = (run / "prediction").glob("*.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("kind", ["signs", "sentences"])
def test_an_evaluation_ends_or_says_what_it_leaves_out(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    signs = kind == "signs"
    project: Project = request.getfixturevalue("project" if signs else "sentence_project")
    shutil.copytree(request.getfixturevalue("trained" if signs else "trained_sentences"), tmp_path / "run")
    index = "clips.csv" if signs else "sentences.csv"
    with_broken(project, tmp_path / "data", index, "test")
    config = project.config("run", data__workers=2)
    result = project.run("prediction.py", "--config", config)
    assert result.returncode == 2 and "no file" in result.stderr
    result = project.run("prediction.py", "--config", config, "--allow_missing")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("unreadable clip") == 2
    assert "; 2 could not be read and left out" in result.stdout
    content = evaluation(tmp_path / "run")
    assert len(content["coverage"]["left_out"]) == 2 and content["coverage"]["damaged"] == []
    samples = "clips" if signs else "sentences"
    assert not {x["name"] for x in content[samples]} & set(content["coverage"]["left_out"])
    result = project.run(
        "prediction.py", "--config", config, "data.workers=0", "--allow_missing", processes=2
    )
    assert result.returncode == 0, result.stderr
    assert evaluation(tmp_path / "run") == content


def test_training_takes_another_clip_and_validation_can_leave_it_out(
    project: Project, tmp_path: Path
) -> None:
    broken = with_broken(project, tmp_path / "data", "clips.csv", "train")
    config = project.config("run", data__max_damaged_share=0.1, training__epochs=1)
    result = project.run("training.py", "--config", config)
    assert result.returncode == 0, result.stderr
    assert f"unreadable clip {broken!r}: " in result.stderr
    result = project.run("training.py", "--config", config, "run=strict", "data.max_damaged_share=0")
    assert result.returncode == 2 and "more than data.max_damaged_share 0 allows" in result.stderr
