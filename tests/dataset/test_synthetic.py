"""The embedded sign set: reproducible, well-formed, fair to unseen signers, true to its look-alikes."""

import csv
import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest

from dataset.glosses.embeddings import read_embeddings
from dataset.keypoints import open_keypoints
from dataset.synthetic.more_signs import ALL_LOOK_ALIKES, LEXICON
from dataset.synthetic.sign_set import COLUMNS, MANIFEST, OUTPUTS, WORD_VECTORS, SignSetConfig, make_sign_set
from dataset.synthetic.signer import FRAMES, make_signer, perform
from dataset.synthetic.signs import LOOK_ALIKES, SIGNS, LookAlike, Sign
from dataset.synthetic.skeleton import ELBOW, FACE, HANDS, SHOULDER, WRIST

SMALL = SignSetConfig(
    glosses=3,
    train_signers=3,
    dev_signers=2,
    test_signers=2,
    train_clips=3,
    dev_clips=2,
    test_clips=2,
    processes=1,
)
BY_GLOSS = {sign.gloss: sign for sign in LEXICON}


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sign_set")
    make_sign_set(out, SMALL)
    return out


def _rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "clips.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _digests(folder: Path) -> dict[str, str]:
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in OUTPUTS}


def _pictures(content: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(content), "r") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_same_seed_gives_same_bytes_whatever_the_processes(small_set: Path, tmp_path: Path) -> None:
    make_sign_set(tmp_path, dataclasses.replace(SMALL, processes=2))
    assert _digests(tmp_path) == _digests(small_set)


def test_another_seed_gives_other_clips(small_set: Path, tmp_path: Path) -> None:
    make_sign_set(tmp_path, dataclasses.replace(SMALL, seed=SMALL.seed + 1))
    ours, other = _digests(small_set), _digests(tmp_path)
    assert ours["clips.zip"] != other["clips.zip"]
    assert ours["keypoints.safetensors"] != other["keypoints.safetensors"]


def test_a_signer_never_signs_twice_alike(tmp_path: Path) -> None:
    make_sign_set(tmp_path, dataclasses.replace(SMALL, glosses=1, train_signers=1, train_clips=2))
    first, second = (row for row in _rows(tmp_path) if row["split"] == "train")
    assert first["signer"] == second["signer"]
    keypoints = open_keypoints(tmp_path / "keypoints.safetensors")
    one, other = keypoints.read(first["name"]), keypoints.read(second["name"])
    assert not np.array_equal(one[:10, HANDS[-1], :2], other[:10, HANDS[-1], :2])


def test_complete_set_is_kept_and_another_configuration_replaces_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = dataclasses.replace(SMALL, glosses=1)
    make_sign_set(tmp_path, tiny)
    before = {file: (tmp_path / file).stat().st_mtime_ns for file in OUTPUTS}
    make_sign_set(tmp_path, tiny)
    assert "already there" in capsys.readouterr().out
    assert {file: (tmp_path / file).stat().st_mtime_ns for file in OUTPUTS} == before
    make_sign_set(tmp_path, dataclasses.replace(tiny, glosses=2))
    assert {row["gloss"] for row in _rows(tmp_path)} == {sign.gloss for sign in SIGNS[:2]}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*OUTPUTS, MANIFEST])


def test_index(small_set: Path) -> None:
    rows = _rows(small_set)
    assert tuple(rows[0]) == COLUMNS
    assert len({row["name"] for row in rows}) == len(rows)
    for split, clips in (("train", SMALL.train_clips), ("dev", SMALL.dev_clips), ("test", SMALL.test_clips)):
        for sign in SIGNS[: SMALL.glosses]:
            assert sum(row["split"] == split and row["gloss"] == sign.gloss for row in rows) == clips


def test_no_signer_is_in_two_splits(small_set: Path) -> None:
    signers = {split: {row["signer"] for row in _rows(small_set) if row["split"] == split} for split in
               ("train", "dev", "test")}  # fmt: skip
    assert [len(group) for group in signers.values()] == [3, 2, 2]
    assert len(set.union(*signers.values())) == 7


def test_videos_match_keypoints_and_index(small_set: Path) -> None:
    keypoints = open_keypoints(small_set / "keypoints.safetensors")
    with zipfile.ZipFile(small_set / "clips.zip") as archive:
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        for row in _rows(small_set):
            pictures = _pictures(archive.read(row["video"]))
            points = keypoints.read(row["name"])
            assert len(pictures) == len(points) == int(row["frames"])
            assert FRAMES[0] <= len(points) <= FRAMES[1]
            assert pictures[0].shape == (96, 96, 3)
            assert keypoints.frame_size(row["name"]) == (96, 96)


def test_keypoints_are_plausible(small_set: Path) -> None:
    keypoints = open_keypoints(small_set / "keypoints.safetensors")
    for row in _rows(small_set):
        points = keypoints.read(row["name"])
        assert np.isfinite(points).all()
        assert points[..., :2].min() > -10 and points[..., :2].max() < 138
        assert points[..., 2].min() >= 0 and points[..., 2].max() <= 1
        assert (points[points[..., 2] == 0] == 0).all(), "what was not found is nowhere"
        assert points[:, 13:23, 2].max() < 0.3, "legs and feet are out of the picture"
        assert np.median(points[:, FACE, 2]) > 0.7
        for hand, body in ((HANDS[1], WRIST[1]), (HANDS[-1], WRIST[-1])):
            seen = points[points[:, hand, 2].max(axis=1) > 0]
            gap = np.linalg.norm(seen[:, hand, :2][:, 0] - seen[:, body, :2], axis=-1)
            assert np.median(gap) < 3, "a hand starts at its wrist"
        shoulders = points[:, [SHOULDER[1], SHOULDER[-1]], 0].mean(axis=0)
        assert shoulders[0] > shoulders[1], "the signer's left is on the right of the picture"
        assert np.mean(points[:, 0, 1]) < np.mean(points[:, ELBOW[1], 1]), "the nose is above the elbow"


def test_keypoints_lie_on_the_drawn_hand() -> None:
    """Clothes and background made green: what is not green at the palm is the drawn hand."""
    rng = np.random.default_rng(5)
    signer = make_signer(rng, 128)
    green = np.zeros_like(signer.look.background) + np.array([0, 200, 0], np.uint8)
    look = dataclasses.replace(
        signer.look, background=green, clothes=(0.0, 200.0, 0.0), skin=(200.0, 150.0, 150.0),
        long_sleeves=True, hair_style="bald",
    )  # fmt: skip
    pictures, points = perform(dataclasses.replace(signer, look=look, image_noise=0.0), BY_GLOSS["big"], rng)
    on_hand = []
    for picture, frame in zip(pictures, points, strict=True):
        for hand in HANDS.values():
            x, y = np.median(frame[hand, :2], axis=0).astype(int)
            on_hand.append(picture[y, x, 0] > 60)
    assert np.mean(on_hand) > 0.95


def test_raised_palms_turn_their_thumbs_to_the_head() -> None:
    """Snow: both palms to the camera, fingers up and stretched."""
    rng = np.random.default_rng(6)
    _, points = perform(make_signer(rng, 128), BY_GLOSS["snow"], rng)
    middle = np.median(points[5:-5], axis=0)
    thumb, middle_finger, little = 4, 12, 20
    for side, hand in HANDS.items():  # side is the direction from the head to the hand
        joints = middle[hand]
        assert side * (joints[little, 0] - joints[thumb, 0]) > 10
        assert joints[middle_finger, 1] < joints[0, 1] - 15


def _tracks(sign: Sign) -> dict[str, object]:
    """The parts of a sign by name, for comparison."""
    return {
        "path": sign.right.path,
        "shapes": sign.right.shapes,
        "orientations": sign.right.orientations,
        "mouth": sign.mouth,
        "left": "as the right" if sign.left is sign.right else sign.left,
        "rest": (sign.right.anchor, sign.head_roll),
    }


@pytest.mark.parametrize("pair", ALL_LOOK_ALIKES, ids=lambda pair: f"{pair.first}-{pair.second}")
def test_look_alikes_differ_in_their_cue_only(pair: LookAlike) -> None:
    part = {"amplitude": "path", "direction": "path", "curl": "shapes",
            "place": "path"}[pair.cue]  # fmt: skip
    first, second = _tracks(BY_GLOSS[pair.first]), _tracks(BY_GLOSS[pair.second])
    assert [name for name in first if first[name] != second[name]] == [part]


def test_lexicon_holds_enough_signs_and_look_alikes() -> None:
    assert LEXICON[: len(SIGNS)] == SIGNS
    assert len(SIGNS) >= 24 and len(BY_GLOSS) == len(LEXICON) >= 60
    for pairs, least in ((LOOK_ALIKES, 3), (ALL_LOOK_ALIKES, 12)):
        assert sum(pair.similar_meaning for pair in pairs) >= least
        assert sum(not pair.similar_meaning for pair in pairs) >= least


def test_word_vectors_agree_with_the_meanings() -> None:
    table = read_embeddings(WORD_VECTORS)
    assert set(table) == set(BY_GLOSS)
    unit = {gloss: vector / np.linalg.norm(vector) for gloss, vector in table.items()}
    similarity = {pair: float(unit[pair.first] @ unit[pair.second]) for pair in ALL_LOOK_ALIKES}
    similar = [value for pair, value in similarity.items() if pair.similar_meaning]
    distinct = [value for pair, value in similarity.items() if not pair.similar_meaning]
    assert min(similar) > max(distinct) + 0.2


def test_set_carries_the_vectors_of_its_glosses(small_set: Path) -> None:
    table, source = read_embeddings(small_set / "word_embeddings.safetensors"), read_embeddings(WORD_VECTORS)
    assert set(table) == {sign.gloss for sign in SIGNS[: SMALL.glosses]}
    assert all(np.array_equal(table[gloss], source[gloss]) for gloss in table)


@pytest.mark.parametrize("change", [{"glosses": 0}, {"glosses": 1000}, {"frame_size": 65}, {"processes": 0}])
def test_impossible_configuration_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        SignSetConfig(**change)


def test_estimators_that_err_miss_and_exchange_hands() -> None:
    def found(errors: float, gloss: str, seed: int) -> np.ndarray:
        signer = make_signer(np.random.default_rng(1), 96, estimator_errors=errors)
        return perform(signer, BY_GLOSS[gloss], np.random.default_rng(seed))[1]

    missed, exchanged = 0, 0
    for seed in range(20):
        exact, erring = found(0, "coffee", seed), found(2, "coffee", seed)
        assert (exact[..., 2] > 0).all()
        assert np.array_equal(exact[:, :91], erring[:, :91]), "only hands are missed"
        for hand, other in ((HANDS[1], HANDS[-1]), (HANDS[-1], HANDS[1])):
            gone = (erring[:, hand, 2] == 0).all(axis=1)
            missed += int(gone.sum())
            middle, its, others = (
                x[..., :2].mean(axis=1) for x in (erring[:, hand], exact[:, hand], exact[:, other])
            )
            nearer = np.linalg.norm(middle - others, axis=1) < np.linalg.norm(middle - its, axis=1) / 2
            exchanged += int((nearer & ~gone).sum())
    assert missed > 40 and exchanged > 5


def test_more_variety_means_more_different_signers() -> None:
    def heights(variety: float) -> list[float]:
        return [make_signer(np.random.default_rng(seed), 64, variety).body.head_height for seed in range(20)]

    assert np.std(heights(2)) == pytest.approx(2 * np.std(heights(1)))
    assert np.std(heights(0)) == pytest.approx(0)
