"""The embedded sentences: reproducible, well-formed, fair to unseen signers, and signed rather than cut together."""

import csv
import dataclasses
import hashlib
import io
import json
import sys
import zipfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from dataset.keypoints import open_keypoints
from dataset.synthetic import sentences
from dataset.synthetic.__main__ import main
from dataset.synthetic.grammar import LENGTHS, draw_plan
from dataset.synthetic.sentence_set import COLUMNS, MANIFEST, OUTPUTS, SentenceSetConfig, make_sentence_set
from dataset.synthetic.sentences import FRAMES, SIGN_FRAMES, TRAVEL_FRAMES, Span, perform_sentence
from dataset.synthetic.sign_set import SignSetConfig, make_sign_set
from dataset.synthetic.signer import make_signer
from dataset.synthetic.signs import SIGNS
from dataset.synthetic.skeleton import LEFT, RIGHT, WRIST
from utils.errors import UserError

SMALL = SentenceSetConfig(
    train_signers=2,
    dev_signers=1,
    test_signers=2,
    train_sentences=3,
    dev_sentences=1,
    test_sentences=2,
    processes=1,
)
BY_GLOSS = {sign.gloss: sign for sign in SIGNS}


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sentence_set")
    make_sentence_set(out, SMALL)
    return out


def _rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "sentences.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _digests(folder: Path) -> dict[str, str]:
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in OUTPUTS}


def test_same_seed_gives_same_bytes_whatever_the_processes(small_set: Path, tmp_path: Path) -> None:
    make_sentence_set(tmp_path, dataclasses.replace(SMALL, processes=2))
    assert _digests(tmp_path) == _digests(small_set)


def test_another_seed_gives_other_sentences(small_set: Path, tmp_path: Path) -> None:
    make_sentence_set(tmp_path, dataclasses.replace(SMALL, seed=SMALL.seed + 1))
    assert all(_digests(tmp_path)[file] != digest for file, digest in _digests(small_set).items())


def test_complete_set_is_kept(small_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: (small_set / file).stat().st_mtime_ns for file in OUTPUTS}
    make_sentence_set(small_set, SMALL)
    assert "already there" in capsys.readouterr().out
    assert {file: (small_set / file).stat().st_mtime_ns for file in OUTPUTS} == before
    assert sorted(path.name for path in small_set.iterdir()) == sorted([*OUTPUTS, MANIFEST])


def test_signs_and_sentences_do_not_share_a_folder(small_set: Path) -> None:
    with pytest.raises(UserError, match="another kind of set"):
        make_sign_set(small_set, SignSetConfig())


def test_index(small_set: Path) -> None:
    rows = _rows(small_set)
    assert tuple(rows[0]) == COLUMNS
    assert Counter(row["split"] for row in rows) == {"train": 3, "dev": 1, "test": 2}
    assert len({row["name"] for row in rows}) == len(rows)
    signers = [{row["signer"] for row in rows if row["split"] == split} for split in ("train", "dev", "test")]
    assert signers == [{"signer00", "signer01"}, {"signer02"}, {"signer03", "signer04"}]
    assert all(set(row["glosses"].split()) <= set(BY_GLOSS) and row["text"] for row in rows)


def test_people_are_those_of_the_sign_set() -> None:
    signs, sentence_set = SignSetConfig(), SentenceSetConfig()
    for split in ("train", "dev", "test"):
        assert signs.signers(split) == sentence_set.signers(split)
    assert signs.signer(60).body == sentence_set.signer(60).body


def test_videos_keypoints_and_spans_match_the_index(small_set: Path) -> None:
    keypoints = open_keypoints(small_set / "keypoints.safetensors")
    spans = json.loads((small_set / "spans.json").read_text(encoding="utf-8"))
    with zipfile.ZipFile(small_set / "sentences.zip") as archive:
        for row in _rows(small_set):
            with av.open(io.BytesIO(archive.read(row["video"])), "r") as container:
                pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            points = keypoints.read(row["name"])
            assert len(pictures) == len(points) == int(row["frames"])
            assert FRAMES[0] <= len(points) <= FRAMES[1]
            assert pictures[0].shape == (96, 96, 3)
            assert keypoints.frame_size(row["name"]) == (96, 96)
            assert [gloss for gloss, _, _ in spans[row["name"]]] == row["glosses"].split()
            assert spans[row["name"]][0][1] > 0 and spans[row["name"]][-1][2] < len(points)


def _motion(glosses: list[str], seed: int, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, list[Span]]:
    """True points [T, 133, 3] in shoulder widths, before the camera, and the spans."""
    monkeypatch.setattr(sentences, "film", lambda signer, points, rng: (points, points))
    rng = np.random.default_rng(seed)
    points, _, spans = perform_sentence(make_signer(rng, 8), [BY_GLOSS[gloss] for gloss in glosses], rng)
    return points, spans


def test_hands_travel_between_signs_without_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(30):
        plan = draw_plan(np.random.default_rng(seed))
        points, spans = _motion(list(plan.glosses), seed, monkeypatch)
        for span in spans:
            assert SIGN_FRAMES[0] <= span.end - span.start <= SIGN_FRAMES[1]
        assert all(after.start - before.end >= TRAVEL_FRAMES[0] for before, after in pairwise(spans))
        for wrist in WRIST.values():
            assert np.linalg.norm(np.diff(points[:, wrist], axis=0), axis=1).max() < 0.6
        rest = points[[0, -1]][:, list(WRIST.values()), 1]
        assert rest.min() > 0.8, "sentences begin and end at rest"


def test_hands_do_not_go_to_rest_between_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three signs at the head by the right hand: it stays up, the left one down."""
    for seed in range(20):
        points, spans = _motion(["uncle", "think", "bird"], seed, monkeypatch)
        for before, after in pairwise(spans):
            if after.start - before.end <= TRAVEL_FRAMES[1]:
                assert points[before.start : after.end, WRIST[RIGHT], 1].max() < 0.6
        assert np.ptp(points[:, WRIST[LEFT], 1]) < 0.2


def test_a_sign_starts_where_the_hands_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    heights: dict[str, list[list[float]]] = {"think": [], "fish": []}
    for seed in range(40):
        for previous, found in heights.items():
            points, spans = _motion(["doctor", previous, "cheese"], seed, monkeypatch)
            start, end = spans[-1].start, spans[-1].end
            found.append([points[start, WRIST[RIGHT], 1], points[(start + end) // 2, WRIST[RIGHT], 1]])
    at_start, in_the_middle = np.mean(heights["fish"], axis=0) - np.mean(heights["think"], axis=0)
    assert at_start > 0.1, "lower after a sign at the belly than after one at the head"
    assert abs(in_the_middle) < 0.03


def test_pauses_and_tempo_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    gaps, lengths = [], []
    for seed in range(40):
        _, spans = _motion(["winter", "uncle", "car", "book"], seed, monkeypatch)
        gaps += [after.start - before.end for before, after in pairwise(spans)]
        lengths += [span.end - span.start for span in spans]
    pauses = np.mean(np.array(gaps) > TRAVEL_FRAMES[1])
    assert 0.03 < pauses < 0.3
    assert np.std(lengths) > 1


def test_other_numbers_of_signs_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="3 to 7"):
        perform_sentence(make_signer(rng, 8), list(SIGNS[:2]), rng)


def test_grammar() -> None:
    plans = [draw_plan(np.random.default_rng(seed)) for seed in range(1000)]
    counts = Counter(gloss for plan in plans for gloss in plan.glosses)
    assert set(counts) == set(BY_GLOSS)
    assert min(counts.values()) > sum(counts.values()) / len(counts) / 3
    assert {len(plan.glosses) for plan in plans} == set(LENGTHS)
    reordered = 0
    for plan in plans:
        assert all(one != other for one, other in pairwise(plan.glosses))
        assert all(gloss in plan.text for gloss in plan.glosses)
        places = [plan.text.index(gloss) for gloss in plan.glosses]
        reordered += places != sorted(places)
        assert not any(f" a {vowel}" in plan.text for vowel in "aeiou")
    assert reordered > 900


@pytest.mark.parametrize("change", [{"train_sentences": 0}, {"frame_size": 65}, {"processes": 0}])
def test_impossible_configuration_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        SentenceSetConfig(**change)


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--train_sentences=1", "--dev_sentences=1", "--test_sentences=1", "--processes=1"]
    monkeypatch.setattr(sys, "argv", ["synthetic", "--sentences", f"--out={tmp_path}", *options])
    assert main() == 0
    assert len(_rows(tmp_path)) == 3
    monkeypatch.setattr(sys, "argv", ["synthetic", f"--out={tmp_path}", "--train_sentences=1"])
    with pytest.raises(SystemExit):
        main()
