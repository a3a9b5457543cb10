"""Which sentences there are and the classes of their glosses: our index, the published files, what is refused."""

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from dataset.config import SentenceDataConfig, SentenceFilesConfig
from dataset.sentences import GlossClasses, Sentence, read_sentences, read_vocabulary
from tests.conftest import write_csv
from utils.errors import UserError

ROW = {"name": "a", "glosses": "rain NORTH rain", "split": "train", "video": "a.mp4"}


def config(index: Path, **changes: Any) -> SentenceDataConfig:
    return SentenceDataConfig(index=str(index), **changes)


def published(folder: Path, **splits: list[Any]) -> SentenceDataConfig:
    """The gzipped pickles of the three splits, each a list of sentences."""
    paths = {}
    for split in ("train", "dev", "test"):
        paths[split] = str(folder / f"phoenix14t.{split}")
        Path(paths[split]).write_bytes(gzip.compress(pickle.dumps(splits.get(split, []))))
    return SentenceDataConfig(split_files=SentenceFilesConfig(**paths))


def entry(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "gloss": "MORGEN REGEN", "num_frames": 40, "text": "morgen regnet es", **changes}


def vocabulary_file(folder: Path, content: Any) -> Path:
    """As the authors publish it, or JSON if it is a list."""
    path = folder / ("v.json" if isinstance(content, list) else "gloss2ids.pkl")
    path.write_bytes(json.dumps(content).encode() if isinstance(content, list) else pickle.dumps(content))
    return path


def test_our_index_and_its_classes(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {**ROW, "text": "it rains", "frames": 30, "signer": "s1", "start_frame": 5, "end_frame": 25},
        {**ROW, "name": "b", "glosses": "snow", "split": "test"},
    ]
    annotations = read_sentences(config(write_csv(tmp_path / "s.csv", rows)))
    assert annotations.vocabulary == ["<s>", "NORTH", "rain"]  # the blank, and what is signed in training
    a, b = annotations.clips
    assert a == Sentence("a", "rain NORTH rain", "train", "a.mp4", 30, "s1", 5, 25, text="it rains")
    assert a.glosses == ["rain", "NORTH", "rain"] and a.length == 20
    assert (b.split, b.length, b.text) == ("test", None, None)


def test_classes_may_be_in_lower_case(tmp_path: Path) -> None:
    index = write_csv(tmp_path / "s.csv", [ROW, {**ROW, "name": "b", "glosses": "Rain"}])
    annotations = read_sentences(config(index, lower_case=True))
    assert annotations.vocabulary == ["<s>", "north", "rain"]
    assert GlossClasses(annotations.vocabulary, True).of(annotations.clips[0]) == [2, 1, 2]


def test_published_files(tmp_path: Path) -> None:
    data = published(tmp_path, train=[entry("train/x-1"), entry("y", text=None)], test=[entry("z")])
    annotations = read_sentences(data)
    assert [(s.name, s.split) for s in annotations.clips] == [
        ("train/x-1", "train"),
        ("y", "train"),
        ("z", "test"),
    ]
    first, second, _ = annotations.clips
    assert first == Sentence("train/x-1", "MORGEN REGEN", "train", "train/x-1", 40, text="morgen regnet es")
    assert second.text is None and annotations.vocabulary == ["<s>", "MORGEN", "REGEN"]


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([{"name": "x", "gloss": "A"}], "phoenix14t.train: sentence 'x' lacks num_frames"),
        ([entry("x", num_frames="40")], "phoenix14t.train: sentence 'x': num_frames is '40'"),
        ([entry("x", gloss="")], "phoenix14t.train: sentence 'x' has no glosses"),
        ([entry("x"), entry("x")], "phoenix14t.train: sentence 'x' occurs twice"),
        (["x"], "phoenix14t.train: expected a list of sentences, each a dict"),
    ],
)
def test_damaged_published_files(tmp_path: Path, sentences: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_sentences(published(tmp_path, train=sentences))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"glosses": ""}, "s.csv, line 2: glosses is empty"),
        ({"glosses": " "}, "s.csv: sentence 'a' has no glosses"),
        ({"split": "test"}, "s.csv: the train split has no sentences; it defines the vocabulary"),
        ({"split": "valid"}, "s.csv, line 2: split is 'valid'"),
    ],
)
def test_unusable_index(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_sentences(config(write_csv(tmp_path / "s.csv", [{**ROW, **changes}])))


def test_published_vocabulary_is_in_the_order_of_its_ids(tmp_path: Path) -> None:
    ids = {"regen": 2, "<si>": 0, "<unk>": 1, "<pad>": 3}
    path = vocabulary_file(tmp_path, ids)
    assert read_vocabulary(path) == ["<si>", "<unk>", "regen", "<pad>"]
    annotations = read_sentences(
        config(write_csv(tmp_path / "s.csv", [ROW]), vocabulary=str(path), lower_case=True)
    )
    assert annotations.vocabulary == ["<si>", "<unk>", "regen", "<pad>"]
    assert read_vocabulary(vocabulary_file(tmp_path, ["<s>", "b", "a"])) == ["<s>", "b", "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["a", "<s>"], "the first class must be the blank, '<s>' or '<si>'"),
        ([], "the first class must be the blank"),
        (["<s>", "a", "a"], "a gloss occurs twice"),
        ({"<s>": 0, "a": 2}, "ids must be 0 to 1, each once"),
        ({"a": 0, "<s>": 1}, "the first class must be the blank"),
        ({"<s>": "0"}, "expected a dict of gloss -> id"),
    ],
    ids=str,
)
def test_unusable_vocabulary(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_vocabulary(vocabulary_file(tmp_path, content))


def test_a_gloss_outside_the_vocabulary_is_unknown_or_refused() -> None:
    sentence = Sentence("s1", "rain HAIL Rain", "train", "a.mp4")
    assert GlossClasses(["<s>", "<unk>", "rain"], True).of(sentence) == [2, 1, 2]
    assert GlossClasses(["<s>", "<unk>", "rain"], False).of(sentence) == [2, 1, 1]
    without = GlossClasses(["<s>", "rain"], True)
    assert without.find(sentence.glosses) == [1, None, 1]
    with pytest.raises(UserError, match=r"sentence 's1': the gloss 'HAIL' is not in the vocabulary; add it"):
        without.of(sentence)
