"""Checkpoints: atomic, safe to load, and the position in training."""

import os
import pickle
import random
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from utils.checkpoint import TrainState, load_checkpoint, save_checkpoint
from utils.errors import UserError


class Crash(Exception):
    pass


class Unpicklable:
    def __reduce__(self) -> Any:
        raise Crash


class Hostile:
    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    content = {
        "model": {"w": torch.arange(3.0)},
        "vocabulary": ["東", "cold"],
        "state": TrainState(7).state_dict(),
    }
    save_checkpoint(path, content)
    found = load_checkpoint(path)
    assert torch.equal(found["model"]["w"], torch.arange(3.0))
    assert found["vocabulary"] == ["東", "cold"] and found["state"]["step"] == 7
    assert os.listdir(tmp_path) == ["last.pt"]


def test_a_crash_while_saving_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": {"w": torch.ones(1000)}})
    with pytest.raises(Crash):
        save_checkpoint(path, {"model": {"w": torch.zeros(1000)}, "more": Unpicklable()})
    assert (load_checkpoint(path)["model"]["w"] == 1).all()
    save_checkpoint(path, {"model": {"w": torch.zeros(1000)}})  # a left-over partial file is no obstacle
    assert (load_checkpoint(path)["model"]["w"] == 0).all()


def test_the_file_is_complete_before_it_takes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1})

    def crash(self: Path, target: Path) -> None:
        assert load_checkpoint(self)["step"] == 2  # whole, under another name
        raise Crash

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(Crash):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path)["step"] == 1


def test_checkpoints_that_would_run_code_are_refused(tmp_path: Path) -> None:
    for name, save in (
        ("torch.pt", torch.save),
        ("pickle.pt", lambda x, p: p.write_bytes(pickle.dumps(x, protocol=2))),
    ):
        path, mark = tmp_path / name, tmp_path / "executed"
        save({"model": Hostile(mark)}, path)
        with pytest.raises(UserError) as error:
            load_checkpoint(path)
        assert not mark.exists()
        assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk"])
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_truncated_missing_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with pytest.raises(UserError, match="no such checkpoint"):
        load_checkpoint(path)
    save_checkpoint(path, {"w": torch.ones(5000)})
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(UserError, match=r"last\.pt"):
        load_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="expected a dict, found list"):
        load_checkpoint(path)


def test_every_changed_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": {"w": torch.randn(500), "b": torch.zeros(3)}, "vocabulary": ["cold"]})
    content = path.read_bytes()
    draw = random.Random(1)
    for place in [*draw.sample(range(len(content)), 300), *range(len(content) - 60, len(content))]:
        changed = bytearray(content)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(UserError, match=r"last\.pt: "):
            load_checkpoint(path)
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["vocabulary"] == ["cold"]  # as it is to everybody else
    torch.save({"vocabulary": ["winter"]}, path)  # of others, or of an earlier version
    assert load_checkpoint(path)["vocabulary"] == ["winter"]


def test_a_checkpoint_that_unpacks_to_more_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.zeros(2**20)}}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    with pytest.raises(UserError, match=r"bomb\.pt: not a checkpoint: it unpacks to more than it holds"):
        load_checkpoint(tmp_path / "bomb.pt")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"w": torch.ones(2**18)})
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, allowed[1]))
    try:
        with pytest.raises(
            UserError, match=r"last\.pt: cannot be written.* needs 1 MiB, and \d+ MiB are free"
        ):
            save_checkpoint(path, {"w": torch.zeros(2**18)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert (load_checkpoint(path)["w"] == 1).all()
    assert os.listdir(tmp_path) == ["last.pt"]


def test_train_state_round_trip() -> None:
    state = TrainState()
    state.finish_step({"total": 2.0, "recognition/rgb64": 1.5}, seconds=0.5, waited=0.1, clips=4)
    state.finish_step({"total": 1.0, "recognition/rgb64": 0.5}, seconds=0.25, waited=0.2, clips=4)
    copy = TrainState()
    copy.load_state_dict(state.state_dict())
    assert copy == state
    assert (copy.step, copy.steps, copy.clips, copy.seconds) == (2, 2, 8, 0.75)
    assert copy.sums == {"total": 3.0, "recognition/rgb64": 2.0}
    assert copy.waited == pytest.approx(0.3)


def test_a_saved_state_does_not_change_with_the_running_one() -> None:
    state = TrainState()
    state.finish_step({"total": 2.0}, 1.0, 0.0, 4)
    saved = state.state_dict()
    state.finish_step({"total": 2.0}, 1.0, 0.0, 4)
    assert saved["step"] == 1 and saved["sums"] == {"total": 2.0}


@pytest.mark.parametrize(
    ("higher_is_better", "best"),
    [(True, [True, True, False, False, True]), (False, [True, False, False, False, False])],
)
def test_the_best_epoch_is_the_first_of_the_best_score(higher_is_better: bool, best: list[bool]) -> None:
    state, found = TrainState(), []
    for score in (0.2, 0.5, 0.5, 0.4, 0.6):
        state.finish_step({"total": 1.0}, 1.0, 0.5, 2)
        found.append(state.finish_epoch(score, higher_is_better))
    assert found == best
    assert (state.best_epoch, state.best_score) == ((4, 0.6) if higher_is_better else (0, 0.2))
    assert (state.validated, state.step) == (5, 5)
    assert (state.seconds, state.waited, state.clips, state.steps, state.sums) == (0.0, 0.0, 0, 0, {})


@pytest.mark.parametrize(("accuracy", "score"), [(0.5, 0.5), (-1.0, None)])
def test_a_state_that_knows_accuracies_only_is_understood(accuracy: float, score: float | None) -> None:
    values = TrainState(step=3, best_epoch=1).state_dict()
    del values["best_score"]
    state = TrainState()
    state.load_state_dict({**values, "best_accuracy": accuracy})
    assert state == TrainState(step=3, best_epoch=1, best_score=score)


def test_a_score_of_zero_is_better_than_none_yet() -> None:
    assert TrainState().finish_epoch(0.0)


def test_without_validation_every_epoch_is_the_best() -> None:
    state = TrainState()
    assert [state.finish_epoch(None) for _ in range(3)] == [True, True, True]
    assert state.best_epoch == 2


def test_epochs_that_were_not_validated_do_not_replace_the_best() -> None:
    state = TrainState()
    assert [state.finish_epoch(score, False) for score in (None, 0.5, None, 0.4)] == [True, True, False, True]
    assert (state.best_epoch, state.best_score) == (3, 0.4)
