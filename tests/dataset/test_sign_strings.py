"""Single signs put one after another."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dataset.keypoints import open_keypoints, write_keypoints
from dataset.sentences import read_sentence_index
from dataset.sign_strings import LEFT_OUT, string_signs

FRAMES = 12


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    """Six clips of two signers; every value of a clip's keypoints is its number."""
    names = [f"{gloss}{signer}" for signer in (1, 2) for gloss in "abc"]
    rows = [f"{name},{name[0]},train,{name}.mp4,{FRAMES},signer{name[1]}" for name in names]
    text = "\n".join(["name,gloss,split,video,frames,signer", *rows])
    (tmp_path / "clips.csv").write_text(text + "\n", encoding="utf-8")
    keypoints = {name: np.full((FRAMES, 133, 3), number) for number, name in enumerate(names)}
    sizes = dict.fromkeys(names, (96, 96))
    write_keypoints(tmp_path / "keypoints.safetensors", keypoints, sizes, "made up", "1")
    return tmp_path


def test_every_clip_occurs_once_in_a_string_of_its_signer(signs: Path, tmp_path: Path) -> None:
    string_signs(signs, tmp_path / "out", 3, seed=1)
    sentences = read_sentence_index(tmp_path / "out" / "sentences.csv")
    parts = Counter(name for sentence in sentences for name in sentence.name.split("+"))
    assert parts == Counter(["a1", "b1", "c1", "a2", "b2", "c2"])
    for sentence in sentences:
        names = sentence.name.split("+")
        assert sentence.glosses == [name[0] for name in names]
        assert {f"signer{name[1]}" for name in names} == {sentence.signer}
        assert len(names) <= 3
    assert len(sentences) < 6


def test_keypoints_follow_one_another_and_lose_some_frames_where_they_meet(
    signs: Path, tmp_path: Path
) -> None:
    string_signs(signs, tmp_path / "out", 3, seed=1)
    before, strung = (open_keypoints(path / "keypoints.safetensors") for path in (signs, tmp_path / "out"))
    for sentence in read_sentence_index(tmp_path / "out" / "sentences.csv"):
        names = sentence.name.split("+")
        values = strung.read(sentence.name)[:, 0, 0]
        assert len(values) == sentence.frames
        assert strung.frame_size(sentence.name) == (96, 96)
        changes = np.flatnonzero(np.diff(values)) + 1
        pieces = np.split(values, changes)
        assert [piece[0] for piece in pieces] == [before.read(name)[0, 0, 0] for name in names]
        assert all(FRAMES - 2 * LEFT_OUT <= len(piece) <= FRAMES for piece in pieces)


def test_longest_of_one_keeps_clips_whole(signs: Path, tmp_path: Path) -> None:
    string_signs(signs, tmp_path / "out", 1, seed=1)
    sentences = read_sentence_index(tmp_path / "out" / "sentences.csv")
    assert [sentence.frames for sentence in sentences] == [FRAMES] * 6
