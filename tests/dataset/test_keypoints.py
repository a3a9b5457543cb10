"""Both keypoint stores, and the selection of points (specification section 2)."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from dataset.keypoints import keypoint_indices, open_keypoints, write_keypoints
from tests.conftest import clip_keypoints
from utils.errors import UserError

PUBLISHED = [*range(91, 133), *range(71, 91, 2), *range(11)]


def test_published_selection_is_hand_mouth_pose() -> None:
    assert keypoint_indices(["hand", "mouth_half", "pose"]) == PUBLISHED
    assert len(PUBLISHED) == 63


def test_groups_come_in_alphabetical_order_whatever_the_configuration() -> None:
    assert keypoint_indices(["pose", "hand", "mouth_half"]) == PUBLISHED
    continuous = keypoint_indices(["pose", "mouth_half", "hand", "face_others_1_3"])
    assert len(continuous) == 79
    assert continuous == [*range(23, 71, 3), *PUBLISHED]


@pytest.mark.parametrize(
    ("part", "indices"),
    [("mouth", range(71, 91)), ("face_others", range(23, 71)), ("pose_1_3", [0, 3, 6, 9])],
)
def test_optional_groups(part: str, indices: list[int]) -> None:
    assert keypoint_indices([part]) == list(indices)


@pytest.mark.parametrize("part", ["hands", "hand_third", "_half", ""])
def test_unknown_part_is_named_with_the_known_ones(part: str) -> None:
    with pytest.raises(UserError, match=f"unknown keypoint part '{part}'.*mouth_half"):
        keypoint_indices([part])


def test_our_store_gives_back_what_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"b": rng.random((3, 133, 3), np.float32), "a": rng.random((5, 133, 3), np.float32)}
    path = tmp_path / "k.safetensors"
    write_keypoints(path, arrays, {"a": (256, 200), "b": (640, 480)}, "some estimator", "2.1")
    store = open_keypoints(path)
    for name, array in arrays.items():
        assert name in store and np.array_equal(store.read(name), array)
    assert store.frame_size("b") == (640, 480) and store.frame_size("a") == (256, 200)
    assert "c" not in store
    assert not list(tmp_path.glob("*.partial"))


def test_published_store_gives_back_what_was_pickled(tmp_path: Path) -> None:
    path = tmp_path / "keypoints_hrnet_dark_coco_wholebody.pkl"
    path.write_bytes(pickle.dumps({"a": clip_keypoints(1, 4), "b": clip_keypoints(2, 3).astype(np.float64)}))
    store = open_keypoints(path)
    assert np.array_equal(store.read("a"), clip_keypoints(1, 4))
    assert store.read("b").dtype == np.float32
    assert "c" not in store and store.frame_size("a") is None


@pytest.mark.parametrize("shape", [(4, 63, 3), (4, 133, 2), (133, 3), (0,)])
def test_wrong_shape_is_refused_on_reading_and_writing(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, np.float32)
    path = tmp_path / "k.pkl"
    path.write_bytes(pickle.dumps({"a": array}))
    with pytest.raises(UserError, match=r"clip 'a'.*expected \[frames, 133, 3\]"):
        open_keypoints(path).read("a")
    with pytest.raises(UserError, match=r"clip 'a'.*expected \[frames, 133, 3\]"):
        write_keypoints(tmp_path / "k.safetensors", {"a": array}, {"a": (1, 1)}, "x", "1")
    assert not (tmp_path / "k.safetensors").exists()


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "k.pkl"
    path.write_bytes(pickle.dumps({"a": [["x"]]}))
    with pytest.raises(UserError, match="clip 'a'"):
        open_keypoints(path).read("a")


@pytest.mark.parametrize("suffix", [".safetensors", ".pkl"])
def test_missing_and_damaged_stores(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"k{suffix}"
    with pytest.raises(UserError, match="no such file"):
        open_keypoints(path)
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=path.name):
        open_keypoints(path)


def test_foreign_safetensors_and_pickled_list_are_refused(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3)}, str(tmp_path / "k.safetensors"))
    with pytest.raises(UserError, match="not a keypoint store"):
        open_keypoints(tmp_path / "k.safetensors")
    (tmp_path / "k.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(UserError, match="expected a dict"):
        open_keypoints(tmp_path / "k.pkl")
