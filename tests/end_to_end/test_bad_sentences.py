"""Every mistake of a user with sentences ends in one clear line on stderr and exit code 2, before a run is made."""

import csv
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dataset.keypoints import write_keypoints
from tests.conftest import clip_keypoints, write_csv
from tests.dataset.test_video import image
from tests.end_to_end.conftest import Refused, SentenceProject
from tests.inference.runs import make_run, make_sentence_run


@pytest.fixture
def images(tmp_path: Path) -> SentenceProject:
    """Two sentences of 8 frames, which are numbered images in a zip, with keypoints."""
    data = tmp_path / "data"
    data.mkdir()
    names = {"a": "train", "b": "dev"}
    with zipfile.ZipFile(data / "sentences.zip", "w") as archive:
        for name in names:
            for number in range(8):
                archive.writestr(f"{name}/{number + 1:04d}.png", image(number))
    points = {name: clip_keypoints(0, 8) for name in names}
    write_keypoints(data / "keypoints.safetensors", points, dict.fromkeys(points, (32, 32)), "truth", "1")
    write_csv(
        data / "sentences.csv",
        [
            {"name": name, "glosses": "rain", "split": split, "video": name, "frames": 8}
            for name, split in names.items()
        ],
    )
    return SentenceProject(tmp_path, data)


def change_row(data: Path, **cells: object) -> None:
    """The first sentence's, in the index."""
    with (data / "sentences.csv").open() as file:
        rows = list(csv.DictReader(file))
    write_csv(data / "sentences.csv", [{**rows[0], **cells}, *rows[1:]])


def _without_an_image(data: Path) -> None:
    with zipfile.ZipFile(data / "sentences.zip") as old, zipfile.ZipFile(data / "new.zip", "w") as new:
        for name in old.namelist():
            if name != "a/0003.png":
                new.writestr(name, old.read(name))
    (data / "new.zip").replace(data / "sentences.zip")


def _with_longer_keypoints(data: Path) -> None:
    points = {"a": np.ones((9, 133, 3), np.float32), "b": clip_keypoints(0, 8)}
    write_keypoints(data / "keypoints.safetensors", points, dict.fromkeys(points, (32, 32)), "truth", "1")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda data: change_row(data, glosses="rain hail"),
            "sentence 'a': the gloss 'hail' is not in the vocabulary; add it there, or '<unk>', or take the "
            "sentence out of the annotations",
        ),
        (lambda data: change_row(data, glosses=""), "sentences.csv, line 2: glosses is empty"),
        (lambda data: change_row(data, glosses=" "), "sentences.csv: sentence 'a' has no glosses"),
        (
            lambda data: change_row(data, glosses="rain rain"),
            "sentence 'a': 8 frames make 2 steps, and its 2 glosses need 3; take it out of the annotations",
        ),
        (_without_an_image, "sentences.zip: sentence 'a' of 8 frames: no file 'a/0003.png'"),
        (
            _with_longer_keypoints,
            "keypoints.safetensors: sentence 'a' has 8 frames, but keypoints of 9: of another video?",
        ),
    ],
)
def test_sentences_that_cannot_be_used(
    images: SentenceProject, refused: Refused, damage: Callable[[Path], None], message: str
) -> None:
    (images.data / "vocabulary.json").write_text('["<s>", "rain"]')
    options = {
        "data__clip_path": "{video}/{frame:04d}.png",
        "data__first_frame": 1,
        "data__vocabulary": str(images.data / "vocabulary.json"),
    }
    damage(images.data)
    assert refused("training", "--config", images.config("run", **options)).endswith(message)
    assert not (images.folder / "run").exists()


@pytest.fixture
def runs(tmp_path: Path, clip_set: Path) -> Path:
    """The runs of a keypoint stream: `signs`, of isolated recognition, and `sentences`, of continuous recognition."""
    make_run(tmp_path / "signs", clip_set, ["keypoint"])
    make_sentence_run(tmp_path / "sentences", clip_set, ["keypoint"])
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "task", "given", "other"),
    [("sentences", "continuous", "signs", "isolated"), ("signs", "isolated", "sentences", "continuous")],
)
def test_models_of_the_other_task(
    runs: Path, refused: Refused, wanted: str, task: str, given: str, other: str
) -> None:
    config, stage = runs / wanted / "config.yaml", runs / given
    new = ("evaluation.validation_split=null", "training.batch_size=2", f"run={runs / 'new'}")
    assert refused("training", "--config", config, *new, f"init.stages=[{stage}]") == (
        f"init.stages: {stage}: a model of {other} recognition; {task} recognition can start from the encoder of a "
        f"single stream: init.encoder={stage}"
    )
    assert not (runs / "new").exists()
    assert refused("prediction", "--config", config, "--checkpoint", stage) == (
        f"{stage}: a model of {other} recognition, but the configuration is of {task} recognition; name the "
        "configuration that the model was trained with"
    )
    shutil.copy(stage / "best.pt", runs / wanted / "best.pt")
    assert f"a model of {other} recognition" in refused("prediction", "--config", config)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            {"frames": 10},
            "keypoints.safetensors: sentence 'c0' has 10 frames, but keypoints of 9: of another video?",
        ),
        ({"glosses": ""}, "sentences.csv, line 2: glosses is empty"),
    ],
)
def test_sentences_that_cannot_be_evaluated(
    runs: Path, refused: Refused, cells: dict[str, object], message: str
) -> None:
    change_row(runs / "sentences", split="test", **cells)
    assert refused("prediction", "--config", runs / "sentences" / "config.yaml").endswith(message)
