"""What the annotations of each data set are read as."""

import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dataset.prepare.folder import divide, plan_folder
from dataset.prepare.msasl import plan_msasl
from dataset.prepare.nmfs import plan_nmfs
from dataset.prepare.recordings import Recording, SourceFiles, youtube_id
from dataset.prepare.wlasl import plan_wlasl
from utils.errors import UserError


def files(folder: Path, *names: str) -> SourceFiles:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return SourceFiles(folder)


def test_wlasl_joins_annotations_split_and_files(wlasl: Path) -> None:
    plan = plan_wlasl(wlasl / "WLASL_v0.3.json", 100, SourceFiles(wlasl / "videos"))
    assert plan.recordings == [
        Recording("a1", "lose", "train", "a1.mp4", "7", cut_before=True, wanted="a1"),
        Recording("a2", "lose", "test", "a2.mp4", "7", cut_before=True, wanted="a2"),
        Recording("a3", "lose", "dev", None, "7", wanted="a3"),
        Recording("b1", "book", "train", "b1.mp4", "7", start=500, end=512, cut_before=True, wanted="b1"),
        Recording("b2", "book", "dev", "abcdefghijk.mp4", "8", start=10, end=20, wanted="b2 or abcdefghijk"),
        Recording("b3", "book", "train", "b3.mp4", "7", cut_before=True, wanted="b3"),
        Recording("x1", "book", "train", "x1.mp4", wanted="x1"),
    ]
    assert plan.vocabulary == ["book", "lose"]
    assert any("in nslt_100.json but not" in note.text and note.items == ["x1"] for note in plan.notes)
    assert any(note.items == ["lose (losear)"] for note in plan.notes)


def test_wlasl_says_which_split_differs(wlasl: Path) -> None:
    content = json.loads((wlasl / "nslt_100.json").read_text())
    content["a1"]["subset"] = "test"
    (wlasl / "nslt_100.json").write_text(json.dumps(content))
    plan = plan_wlasl(wlasl / "WLASL_v0.3.json", 100, SourceFiles(wlasl / "videos"))
    assert plan.recordings[0].split == "test"
    assert any("in another split" in note.text and note.items == ["a1"] for note in plan.notes)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nslt_100.json", None, "nslt_100.json: no such file"),
        ("WLASL_v0.3.json", "{}", "expected a JSON list"),
        ("nslt_100.json", '{"a1": {"subset": "train"}}', "not in the layout of WLASL"),
        ("WLASL_v0.3.json", '[{"gloss": "book"}]', "not in the layout of WLASL"),
    ],
)
def test_other_wlasl_files_are_refused(wlasl: Path, name: str, content: str | None, message: str) -> None:
    (wlasl / name).unlink()
    if content is not None:
        (wlasl / name).write_text(content)
    with pytest.raises(UserError, match=message):
        plan_wlasl(wlasl / "WLASL_v0.3.json", 100, SourceFiles(wlasl / "videos"))


def msasl_entry(label: int, url: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "label": label, "url": url, "clean_text": text, "start_time": 1.0, "end_time": 2.5, "signer": 4,
        "box": [0.1, 0.2, 0.9, 0.8], **more,
    }  # fmt: skip


def test_msasl_takes_the_first_classes_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "MSASL_classes.json").write_text(json.dumps(["hello", "nice", "eat"]))
    train = [
        msasl_entry(1, "www.youtube.com/watch?v=abcdefghijk", "nice"),
        msasl_entry(2, "https://youtu.be/bbbbbbbbbbb", "eat"),
        msasl_entry(0, "https://youtu.be/ccccccccccc", "hi"),
        msasl_entry(0, "www.youtube.com/watch?v=abcdefghijk&t=3", "hello"),
    ]
    (tmp_path / "MSASL_train.json").write_text(json.dumps(train))
    videos = files(tmp_path / "videos", "A talk [abcdefghijk].webm", "A song-ccccccccccc.mp4")
    plan = plan_msasl(tmp_path, 2, videos)
    assert plan.vocabulary == ["hello", "nice"]
    first, second, third = plan.recordings
    assert first == Recording(
        "train_00000",
        "nice",
        "train",
        "A talk [abcdefghijk].webm",
        "4",
        times=(1.0, 2.5),
        box=(0.1, 0.2, 0.9, 0.8),
        wanted="abcdefghijk",
    )
    assert (second.name, second.gloss, second.file) == ("train_00002", "hello", "A song-ccccccccccc.mp4")
    notes = " | ".join(map(str, plan.notes))
    assert "MSASL_val.json is not there" in notes and "train_00002 (hi, class hello)" in notes
    assert f"{third.name} (as train_00000)" in notes


def test_msasl_without_any_split_or_with_too_many_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MSASL_classes.json").write_text('["hello", "nice"]')
    with pytest.raises(UserError, match="none of MSASL_train"):
        plan_msasl(tmp_path, 2, files(tmp_path / "videos", "a.mp4"))
    with pytest.raises(UserError, match="--classes: must be from 1 to 2"):
        plan_msasl(tmp_path, 3, files(tmp_path / "videos", "a.mp4"))


@pytest.mark.parametrize("separator", [",", "\t", " "])
def test_nmfs_reads_its_lists(tmp_path: Path, separator: str) -> None:
    (tmp_path / "gloss.csv").write_text(
        f"id{separator}gloss\n1{separator}老师\n2{separator}学生\n", encoding="utf-8"
    )
    (tmp_path / "train.csv").write_text(f"jpg/v1{separator}2\njpg/v2{separator}1\n")
    (tmp_path / "test.csv").write_text(f"jpg/v3{separator}2\n")
    videos = files(tmp_path / "frames", "NMFs/jpg/v1/image_00001.jpg", "NMFs/jpg/v3/image_00001.jpg")
    plan = plan_nmfs(tmp_path, videos)
    assert [(r.name, r.gloss, r.split, r.file) for r in plan.recordings] == [
        ("jpg/v1", "学生", "train", "NMFs/jpg/v1"),
        ("jpg/v2", "老师", "train", None),
        ("jpg/v3", "学生", "test", "NMFs/jpg/v3"),
    ]
    assert plan.vocabulary == sorted(["老师", "学生"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gloss.csv", None, "no gloss.csv"),
        ("train.csv", None, "no train.csv"),
        ("train.csv", "v1,1\nv2,7\n", "train.csv, line 2: there is no gloss of number 7"),
        ("gloss.csv", "1,a\n1,b\n", "line 2: number 1 occurs twice"),
        ("gloss.csv", "1,a\nb\n", "line 2: expected two columns"),
    ],
)
def test_other_nmfs_lists_are_refused(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    for list_name, text in {"gloss.csv": "1,a\n", "train.csv": "v1,1\n", "test.csv": "v2,1\n"}.items():
        (tmp_path / list_name).write_text(text)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        plan_nmfs(tmp_path, files(tmp_path / "frames", "v1.mp4"))


def test_folders_are_glosses_and_signers(tmp_path: Path) -> None:
    plan = plan_folder(files(tmp_path, "good day/anna/1.mp4", "good day/ben/1.MOV", "東/anna/1.mp4"), None, 1)
    assert [(r.name, r.gloss, r.signer) for r in plan.recordings] == [
        ("good day/anna/1", "good day", "anna"),
        ("good day/ben/1", "good day", "ben"),
        ("東/anna/1", "東", "anna"),
    ]


def test_names_that_would_be_one_file_are_kept_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in ("a/1.mp4", "a/1.mov", "A/1.mp4", "a/1_2.mp4", "__MACOSX/a/._1.mp4"):
            archive.writestr(name, b"")
    plan = plan_folder(SourceFiles(tmp_path / "z.zip"), None, 1)
    names = [r.name for r in plan.recordings]
    assert len(names) == 4 and len({name.casefold() for name in names}) == 4
    assert {r.file for r in plan.recordings} == {"a/1.mp4", "a/1.mov", "A/1.mp4", "a/1_2.mp4"}


def test_one_folder_around_all_is_seen_through(tmp_path: Path) -> None:
    plan = plan_folder(files(tmp_path, "rec/sun/1.mp4", "rec/moon/anna/1.mp4", "rec/.trash/9.mp4"), None, 1)
    assert sorted((r.gloss, r.signer, r.file) for r in plan.recordings) == [
        ("moon", "anna", "rec/moon/anna/1.mp4"),
        ("sun", None, "rec/sun/1.mp4"),
    ]
    with pytest.raises(UserError, match=r"a/b/c/1\.mp4 is 3 folders deep"):
        plan_folder(files(tmp_path / "deep", "a/b/c/1.mp4", "x/1.mp4"), None, 1)


def test_a_video_without_gloss_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lost\.mp4 is in no gloss's folder"):
        plan_folder(files(tmp_path, "a/1.mp4", "lost.mp4"), None, 1)


def test_a_table_says_more_than_folders(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        "video,gloss,signer,split,start_frame,end_frame\nx.mp4,sun,anna,dev,3,9\ny.mp4,sun,,train,,\n"
    )
    plan = plan_folder(files(tmp_path / "videos", "x.mp4"), table, 1)
    assert plan.recordings == [
        Recording("x", "sun", "dev", "x.mp4", "anna", start=3, end=9, wanted="x.mp4"),
        Recording("y", "sun", "train", None, wanted="y.mp4"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "video;gloss\nx.mp4;a\n",
            "needs the columns video,gloss, separated by commas; missing: video, gloss; found: 'video;gloss'",
        ),
        ("video,gloss\nx.mp4,\n", "line 2: gloss is empty"),
        ("video,gloss,split\nx.mp4,a,val\n", "line 2: split is 'val'"),
        ("video,gloss,split\nx.mp4,a,train\ny.mp4,a,\n", "some rows have a split"),
        ("video,gloss,end_frame\nx.mp4,a,-2\n", "line 2: end_frame is '-2'"),
        ("video,gloss,start_frame,end_frame\nx.mp4,a,5,5\n", "line 2: the clip has no frames"),
    ],
)
def test_malformed_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        plan_folder(files(tmp_path / "videos", "x.mp4"), tmp_path / "t.csv", 1)


def test_signers_are_divided_whole_and_every_gloss_keeps_training_clips() -> None:
    clips: list[tuple[str, str | None]] = [(g, s) for g in "abc" for s in "123456" for _ in range(2)]
    clips.append(("rare", "3"))
    splits, _ = divide(clips, seed=5)
    of_signer = {
        signer: {s for s, (_, other) in zip(splits, clips, strict=True) if other == signer}
        for _, signer in clips
    }
    assert all(len(found) == 1 for found in of_signer.values())
    assert of_signer["3"] == {"train"}
    assert {gloss for s, (gloss, _) in zip(splits, clips, strict=True) if s == "train"} == {
        "a",
        "b",
        "c",
        "rare",
    }
    assert set(splits) == {"train", "dev", "test"}
    assert divide(clips, seed=5)[0] == splits != divide(clips, seed=6)[0]


def test_without_signers_each_gloss_is_divided() -> None:
    clips: list[tuple[str, str | None]] = [
        (g, None) for g, n in {"one": 1, "two": 2, "four": 4, "many": 40}.items() for _ in range(n)
    ]
    splits, notes = divide(clips, seed=5)
    counts = {
        gloss: Counter(s for s, (g, _) in zip(splits, clips, strict=True) if g == gloss) for gloss, _ in clips
    }
    assert counts == {
        "one": {"train": 1},
        "two": {"train": 1, "test": 1},
        "four": {"train": 2, "test": 1, "dev": 1},
        "many": {"train": 28, "test": 6, "dev": 6},
    }
    assert any(note.items == ["one"] and "single clip" in note.text for note in notes)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.youtube.com/watch?v=abc-_fghijk&t=2", "abc-_fghijk"),
        ("youtu.be/abc-_fghijk", "abc-_fghijk"),
        ("http://aslbricks.org/New/ASL-Videos/book.mp4", None),
    ],
)
def test_youtube_id(url: str, expected: str | None) -> None:
    assert youtube_id(url) == expected
