"""Every mistake of a user ends in one clear line on stderr and exit code 2."""

import csv
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

from dataset.glosses.embeddings import write_embeddings
from dataset.keypoints import write_keypoints
from tests.end_to_end.conftest import Project, Refused


@pytest.fixture(autouse=True)
def in_its_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)


def test_unknown_key(project: Project, refused: Refused) -> None:
    line = refused("training", "--config", project.config("c", model__widht=1.0))
    assert "c.yaml: model.widht: unknown key" in line and "'width'" in line


def test_wrong_type(project: Project, refused: Refused) -> None:
    line = refused("training", "--config", project.config("c"), "training.epochs=many")
    assert "command line: training.epochs: expected a whole number" in line


def test_parts_that_do_not_divide(project: Project, refused: Refused) -> None:
    line = refused("training", "--config", project.config("c"), "training.accumulate=3")
    assert "training.accumulate: the 4 clips of a process do not divide into 3 parts" in line
    line = refused("training", "--config", project.config("c"), "training.accumulate=4")
    assert "1 clip at a time leaves BatchNorm a single value" in line
    assert not (project.folder / "c").exists()


def test_a_frame_cache_that_cannot_be_made_leaves_no_run(
    project: Project, refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "taken").touch()
    option = f"data.frame_cache={tmp_path / 'taken'}"
    line = refused("training", "--config", project.config("c"), option)
    assert f"data.frame_cache: {tmp_path / 'taken'} cannot be made (File exists)" in line
    assert not (project.folder / "c").exists()


def test_missing_configuration(project: Project, refused: Refused) -> None:
    assert "none.yaml: no such configuration" in refused("training", "--config", "none.yaml")


@pytest.mark.parametrize("key", ["index", "videos", "keypoints", "word_embeddings"])
def test_missing_file(project: Project, refused: Refused, key: str) -> None:
    config = project.config(
        "c", loss__label_smoothing__kind="language", **{f"data__{key}": "nowhere.safetensors"}
    )
    assert "nowhere.safetensors: no such" in refused("training", "--config", config)


def test_missing_earlier_stage(project: Project, refused: Refused) -> None:
    config = project.config("c", init__stages=["runs/rgb"])
    assert "runs/rgb: no such checkpoint" in refused("training", "--config", config)
    line = refused("training", "--config", project.config("d", init__encoder="s3d.pt"))
    assert "s3d.pt: no such checkpoint; init.encoder=null starts at random" in line


def _without_clip(data: Path) -> None:
    source = data / "clips.zip"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(data / "new.zip", "w") as new:
        for name in old.namelist()[1:]:
            new.writestr(name, old.read(name))
    (data / "new.zip").replace(source)


def _without_keypoints(data: Path) -> None:
    arrays = load_file(data / "keypoints.safetensors")
    arrays.pop(sorted(arrays)[0])
    write_keypoints(data / "keypoints.safetensors", arrays, dict.fromkeys(arrays, (128, 128)), "test", "1")


def _without_word(data: Path) -> None:
    table = load_file(data / "word_embeddings.safetensors")
    with (data / "clips.csv").open() as file:
        used = sorted({row["gloss"] for row in csv.DictReader(file)})
    table.pop(used[0])
    write_embeddings(data / "word_embeddings.safetensors", table, "test")


def _without_dev(data: Path) -> None:
    lines = (data / "clips.csv").read_text().splitlines()
    (data / "clips.csv").write_text("\n".join(line for line in lines if ",dev," not in line))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_clip, "no file"),
        (_without_keypoints, "no keypoints for 1 of"),
        (_without_word, "no word vector for 1 of"),
        (
            _without_dev,
            "evaluation.validation_split: the dev split has no clips; the annotations have: test, train;",
        ),
    ],
)
def test_incomplete_data(
    project: Project, refused: Refused, damage: Callable[[Path], None], message: str
) -> None:
    copy = project.folder / "data"
    shutil.copytree(project.data, copy)
    damage(copy)
    project.data = copy
    config = project.config("c", loss__label_smoothing__kind="language")
    assert message in refused("training", "--config", config)
    assert not (project.folder / "c").exists()  # refused before anything was written


def test_checkpoint_of_another_vocabulary(project: Project, refused: Refused, trained: Path) -> None:
    config = project.config("run")
    shutil.copytree(trained, project.folder / "run")
    best = project.folder / "run" / "best.pt"
    content = torch.load(best, weights_only=True)
    content["vocabulary"] = ["other", *content["vocabulary"][1:]]
    torch.save(content, best)
    assert "glosses which are not the" in refused("prediction", "--config", config)


def test_starting_weights_of_another_width(project: Project, refused: Refused, trained: Path) -> None:
    config = project.config("c", model__width=0.25, init__encoder=str(trained))
    assert "hardly anything fits this model (another width?)" in refused("training", "--config", config)


def test_nothing_trained_yet(project: Project, refused: Refused) -> None:
    assert "no trained model" in refused("prediction", "--config", project.config("c"))


def test_another_configuration_in_the_same_run(project: Project, refused: Refused) -> None:
    config = project.config("run", training__epochs=1)
    assert project.run("training.py", "--config", config).returncode == 0
    line = refused("training", "--config", config, "seed=5")
    assert "another configuration (different: seed)" in line
