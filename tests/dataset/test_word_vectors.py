"""Vectors of glosses, from a fastText model trained here and from a table in text form."""

import subprocess
import sys
from pathlib import Path

import fasttext
import numpy as np
import pytest
import yaml

from dataset.glosses.__main__ import vector_report
from dataset.glosses.embeddings import read_embeddings
from dataset.glosses.word_vectors import FastTextModel, TextTable, gloss_vector, similar_pairs, table_words
from utils.errors import UserError

ROOT = Path(__file__).parents[2]
TABLE = "book 1 0 0\nice 0 1 0\ncream 0 3 0\nAfrica 0 0 2\n高 1 1 0\n兴 1 3 0\nzero 0 0 0\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fasttext")
    (folder / "text.txt").write_text(
        "we eat ice cream and read a book in Africa\n" * 20_000, encoding="utf-8"
    )
    # With fewer than 11 threads fastText leaves part of its matrix uninitialised; each must find some text.
    trained = fasttext.train_unsupervised(
        str(folder / "text.txt"),
        dim=6,
        minCount=1,
        minn=4,
        maxn=5,
        bucket=1000,
        epoch=1,
        t=1.0,
        thread=12,
        verbose=0,
    )
    trained.save_model(str(folder / "model.bin"))
    return folder / "model.bin"


@pytest.fixture
def text_table(tmp_path: Path) -> Path:
    (tmp_path / "table.txt").write_text(TABLE, encoding="utf-8")
    return tmp_path / "table.txt"


def table_of(path: Path, *glosses: str) -> TextTable:
    return TextTable(path, table_words(glosses))


@pytest.mark.parametrize(
    ("gloss", "expected"),
    [
        ("BOOK(2)", [1, 0, 0]),
        ("ice_cream", [0, 2, 0]),
        ("ice-cream", [0, 2, 0]),
        ("africa", [0, 0, 2]),
        ("高兴", [1, 2, 0]),
        ("book moon", [1, 0, 0]),
        ("moon", None),
        ("zero", None),
    ],
)
def test_vectors_from_a_text_table(text_table: Path, gloss: str, expected: list[float] | None) -> None:
    found = gloss_vector(gloss, table_of(text_table, gloss))
    assert (found.vector is None) == (expected is None)
    if expected is not None:
        np.testing.assert_allclose(found.vector, expected)


def test_a_word_that_the_model_does_not_know_is_guessed_and_said(model: Path) -> None:
    table = FastTextModel(model)
    raw = fasttext.load_model(str(model))
    book, unseen = gloss_vector("Book(1)", table), gloss_vector("booking", table)
    np.testing.assert_array_equal(book.vector, raw.get_word_vector("book"))
    assert not book.is_doubtful and book.guessed == []
    np.testing.assert_array_equal(unseen.vector, raw.get_word_vector("booking"))
    assert unseen.is_doubtful and unseen.guessed == ["booking"]
    both = gloss_vector("ice_creams", table)
    expected = (raw.get_word_vector("ice") + raw.get_word_vector("creams")) / 2
    np.testing.assert_allclose(both.vector, expected, rtol=1e-6)
    assert not both.is_doubtful and both.guessed == ["creams"]


def test_the_most_similar_pairs_come_first(text_table: Path) -> None:
    glosses = ["book(1)", "book(2)", "高兴", "cream"]
    vectors = [gloss_vector(gloss, table_of(text_table, *glosses)) for gloss in glosses]
    pairs = similar_pairs(vectors, most=3)
    assert pairs[0][1:] == ("book(1)", "book(2)") and pairs[0][0] == pytest.approx(1)
    assert pairs[1][1:] == ("高兴", "cream") and pairs[1][0] == pytest.approx(2 / 5**0.5)
    report = vector_report(vectors, table_of(text_table, *glosses))
    assert "1 pairs have the same vector, language cannot tell them apart: book(1) = book(2)" in report


@pytest.mark.parametrize("text", ["", "a 1 2\nb 1\n", "a one two\n", "a 1\xff 2\n"])
def test_malformed_tables_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"t\.txt"):
        TextTable(tmp_path / "t.txt", ["a", "b"])


def test_a_vec_file_begins_with_its_size(tmp_path: Path) -> None:
    (tmp_path / "t.vec").write_text("2 3\na 1 2 3\nb 4 5 6\n")
    table = TextTable(tmp_path / "t.vec", ["b"])
    assert table.dimension == 3 and table.known("b") is not None and table.known("a") is None


def test_other_files_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        FastTextModel(tmp_path / "m.bin")
    (tmp_path / "m.bin").write_bytes(b"something else")
    with pytest.raises(UserError, match="not a fastText model"):
        FastTextModel(tmp_path / "m.bin")


def test_the_command_writes_the_table_and_says_what_is_doubtful(tmp_path: Path, model: Path) -> None:
    rows = ["a,ice_cream,train,a.mp4", "b,book(1),train,b.mp4", "c,booking,train,c.mp4", "d,q,train,d.mp4"]
    (tmp_path / "clips.csv").write_text("\n".join(["name,gloss,split,video", *rows]) + "\n")
    table = tmp_path / "words" / "table.safetensors"
    values = {
        "run": "r",
        "data": {
            "index": str(tmp_path / "clips.csv"), "videos": "v", "keypoints": "k", "word_embeddings": str(table),
        },
    }  # fmt: skip
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))

    def command(*more: str) -> "subprocess.CompletedProcess[str]":
        start = [sys.executable, "-m", "dataset.glosses", "--config", str(tmp_path / "c.yaml")]
        return subprocess.run([*start, *more], cwd=ROOT, capture_output=True, text=True, timeout=100)

    done = command("--fasttext", str(model))
    assert done.returncode == 1, done.stderr  # q has no vector: it is shorter than all subwords
    assert "without a vector: 1: q" in done.stdout and not table.exists()
    assert "letters of their words: 1: booking" in done.stdout
    (tmp_path / "clips.csv").write_text("\n".join(["name,gloss,split,video", *rows[:3]]) + "\n")
    assert command("--fasttext", str(model)).returncode == 0
    assert read_embeddings(table).keys() == {"ice_cream", "book(1)", "booking"}
    again = command("--fasttext", str(model))
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "is there already" in again.stderr
    other = command("--fasttext", str(model), "--out", str(tmp_path / "t.pkl"))
    assert other.returncode == 2 and "written as .safetensors" in other.stderr
