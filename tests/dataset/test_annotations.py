"""Split files, vocabularies and our own index."""

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from dataset.annotations import Annotations, Clip, read_annotations, read_index
from dataset.config import DataConfig, SplitFilesConfig
from tests.conftest import write_csv
from utils.errors import UserError

ROW = {"name": "a", "gloss": "cold", "split": "train", "video": "a.mp4"}


def row(**changes: Any) -> dict[str, Any]:
    return {**ROW, **changes}


def test_index_is_read_with_its_optional_columns(tmp_path: Path) -> None:
    rows = [
        row(gloss="東", frames="12", signer="s1", start_frame="3", end_frame="15"),
        row(name="b", split="test", frames="", signer="", start_frame="", end_frame=""),
    ]
    assert read_index(write_csv(tmp_path / "clips.csv", rows)) == [
        Clip("a", "東", "train", "a.mp4", 12, "s1", 3, 15),
        Clip("b", "cold", "test", "a.mp4"),
    ]


def test_index_with_a_byte_order_mark_and_minimal_columns(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "clips.csv", [row()], encoding="utf-8-sig")
    assert read_index(path) == [Clip("a", "cold", "train", "a.mp4")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "validation"}, "line 3: split is 'validation'"),
        ({"gloss": ""}, "line 3: gloss is empty"),
        ({"name": ""}, "line 3: name is empty"),
        ({"frames": "ten"}, "line 3: frames is 'ten'"),
        ({"frames": "-3"}, "line 3: frames is '-3'"),
        ({"frames": "2.5"}, "line 3: frames is '2.5'"),
        ({"frames": "0"}, "line 3: the clip has no frames"),
        ({"start_frame": "5", "end_frame": "5"}, "line 3: the clip has no frames"),
    ],
)
def test_bad_rows_are_named_by_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    good = row(name="z", frames="", start_frame="", end_frame="")
    path = write_csv(tmp_path / "clips.csv", [good, {**good, "name": "b", **changes}])
    with pytest.raises(UserError) as error:
        read_index(path)
    assert message in str(error.value) and "clips.csv" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,gloss,video\na,cold,a.mp4\n", "missing: split"),
        (b"name;gloss;split;video\na;cold;train;a.mp4\n", "separated by commas"),
        (b"", "needs the columns"),
        (b"name;gloss;split;video\na;cold;train;a.mp4\n", "needs the columns"),
        ("name,gloss,split,video\na,é,train,a.mp4\n".encode("latin-1"), "not a UTF-8 CSV file"),
        (b"name,gloss,split,video\na,cold\n", "line 2"),  # a short row
        (
            b"name,gloss,split,video,frames\na,cold,train,a.mp4,\xc2\xb2\n",
            "line 2: frames",
        ),  # superscript two
    ],
)
def test_malformed_index_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "clips.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_index(path)


def test_missing_index(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"clips\.csv: no such file"):
        read_index(tmp_path / "clips.csv")


def from_rows(folder: Path, rows: list[dict[str, Any]]) -> Annotations:
    return read_annotations(DataConfig(index=str(write_csv(folder / "clips.csv", rows))))


def test_vocabulary_is_the_sorted_glosses_of_the_training_split(tmp_path: Path) -> None:
    found = from_rows(tmp_path, [row(gloss="winter"), row(name="b"), row(name="c", split="test")])
    assert found.vocabulary == ["cold", "winter"]
    assert [clip.name for clip in found.split("train")] == ["a", "b"]
    assert [clip.name for clip in found.split("test")] == ["c"]
    with pytest.raises(UserError, match=r"dev split has no clips.*test, train"):
        found.split("dev")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(), row(split="test")], "clip 'a' occurs twice"),
        (
            [row(), row(name="b", split="test", gloss="sun")],
            "test clip 'b' shows 'sun', which no training clip shows",
        ),
        ([row(split="test")], "train split has no clips"),
    ],
)
def test_inconsistent_index(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_rows(tmp_path, rows)


def entry(name: str, label: str, video: str = "WLASL/v.mp4", frames: int = 30) -> dict[str, Any]:
    return {"name": name, "label": label, "seq_len": frames, "video_file": video, "signer": 3}


def split_files(folder: Path, train: list[Any], test: list[Any], **more: Any) -> SplitFilesConfig:
    (folder / "train.pkl").write_bytes(gzip.compress(pickle.dumps(train)))
    (folder / "test.pkl").write_bytes(pickle.dumps(test, protocol=2))
    return SplitFilesConfig(str(folder / "train.pkl"), str(folder / "test.pkl"), **more)


def test_published_split_files_gzipped_or_not(tmp_path: Path) -> None:
    augmented = entry("a2", "cold", "WLASL/augmentation/a2.mp4")
    files = split_files(
        tmp_path, [entry("a", "winter"), augmented, entry("b", "cold")], [entry("c", "cold", frames=7)]
    )
    found = read_annotations(DataConfig(split_files=files))
    assert found.vocabulary == ["cold", "winter"]
    assert found.clips == [
        Clip("a", "winter", "train", "WLASL/v.mp4", 30),
        Clip("b", "cold", "train", "WLASL/v.mp4", 30),
        Clip("c", "cold", "test", "WLASL/v.mp4", 7),
    ]


def test_dev_split_file_is_read_between(tmp_path: Path) -> None:
    (tmp_path / "dev.pkl").write_bytes(pickle.dumps([entry("d", "cold")]))
    files = split_files(tmp_path, [entry("a", "cold")], [], dev=str(tmp_path / "dev.pkl"))
    assert [clip.name for clip in read_annotations(DataConfig(split_files=files)).split("dev")] == ["d"]


def test_subset_keeps_the_named_clips_and_their_glosses(tmp_path: Path) -> None:
    (tmp_path / "100.json").write_text(json.dumps({"a": {"subset": "train"}, "c": {}}))
    files = split_files(
        tmp_path,
        [entry("a", "winter"), entry("b", "cold")],
        [entry("c", "winter"), entry("d", "cold")],
        subset=str(tmp_path / "100.json"),
    )
    found = read_annotations(DataConfig(split_files=files))
    assert [clip.name for clip in found.clips] == ["a", "c"] and found.vocabulary == ["winter"]


def test_vocabulary_file_gives_the_class_order_and_drops_other_glosses(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text(json.dumps(["winter", "table", "cold", "sun"]))
    files = split_files(
        tmp_path,
        [entry("a", "winter"), entry("b", "cold")],
        [entry("c", "table"), entry("d", "cold")],
    )
    found = read_annotations(
        DataConfig(split_files=files, vocabulary=str(tmp_path / "classes.json"), vocabulary_size=2)
    )
    assert found.vocabulary == ["winter", "table"]
    assert [clip.name for clip in found.clips] == ["a", "c"]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([{"name": "a", "label": "cold", "seq_len": 3}], "clip 'a' lacks video_file"),
        ({"a": 1}, "expected a list of clips"),
        (["a"], "expected a list of clips"),
        ([entry("a", "cold"), entry("a", "cold")], "clip 'a' occurs twice"),
        ([{**entry("a", "cold"), "seq_len": "many"}], "seq_len"),
        ([{**entry("a", "cold"), "video_file": None}], "video_file"),
    ],
)
def test_malformed_split_files(tmp_path: Path, train: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_annotations(DataConfig(split_files=split_files(tmp_path, train, [])))


def test_malformed_subset_file(tmp_path: Path) -> None:
    (tmp_path / "100.json").write_text("[1, 2]")
    files = split_files(tmp_path, [entry("a", "cold")], [], subset=str(tmp_path / "100.json"))
    with pytest.raises(UserError, match="expected a JSON object"):
        read_annotations(DataConfig(split_files=files))
