"""A run folder: continuing it, and refusing another run's."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from configs.schema import IsolatedConfig
from modeling.config import RuntimeConfig
from utils.checkpoint import load_checkpoint, save_checkpoint
from utils.config import from_dict, to_dict
from utils.errors import UserError
from utils.run import Run


def resolved(folder: Path, **changes: Any) -> IsolatedConfig:
    """A configuration, `changes` by key path with __ for the dot."""
    values: dict[str, Any] = {
        "run": str(folder),
        "data": {"index": "clips.csv", "videos": "v.zip", "keypoints": "k.pkl"},
    }
    config = to_dict(from_dict(IsolatedConfig, values, "test"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        group = config
        for parent in parents:
            group = group[parent]
        assert last in group
        group[last] = value
    return from_dict(IsolatedConfig, config, "test")


def saved_run(folder: Path) -> nn.Module:
    model = nn.Linear(2, 2)
    with Run(folder, resolved(folder), ["cold", "winter"]) as run:
        assert run.open(is_main=True) is None
        run.state.finish_step({"total": 1.0}, 1.0, 0.0, 4)
        run.state.finish_epoch(0.25)
        run.save(model, torch.optim.Adam(model.parameters()), best=True)
    return model


def test_a_new_run_writes_its_resolved_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    config = resolved(folder)
    assert Run(folder, config, ["cold"]).open(is_main=True) is None
    assert yaml.safe_load((folder / "config.yaml").read_text()) == to_dict(config)


def test_a_run_from_before_a_key_existed_continues(tmp_path: Path) -> None:
    saved_run(tmp_path)
    older = load_checkpoint(tmp_path / "last.pt")
    del older["config"]["model"]["encoder"], older["config"]["task"]
    save_checkpoint(tmp_path / "last.pt", older)
    assert Run(tmp_path, resolved(tmp_path), ["cold", "winter"]).open(is_main=True) is not None
    with pytest.raises(UserError, match=r"different: model\.encoder"):
        other = resolved(tmp_path, model__encoder="other")
        Run(tmp_path, other, ["cold", "winter"]).open(is_main=True)


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    assert Run(tmp_path / "a", resolved(tmp_path), ["cold"]).open(is_main=False) is None
    assert not (tmp_path / "a").exists()


def test_the_same_run_continues_at_its_position(tmp_path: Path) -> None:
    model = saved_run(tmp_path)
    run = Run(tmp_path, resolved(tmp_path), ["cold", "winter"])
    checkpoint = run.open(is_main=True)
    assert checkpoint is not None
    assert (run.state.step, run.state.validated, run.state.best_score) == (1, 1, 0.25)
    assert torch.equal(checkpoint["model"]["weight"], model.state_dict()["weight"])
    assert "optimizer" in checkpoint
    best = load_checkpoint(tmp_path / "best.pt")
    assert (best["epoch"], best["score"], best["vocabulary"]) == (0, 0.25, ["cold", "winter"])
    assert best["config"] == to_dict(resolved(tmp_path)) and "optimizer" not in best


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("runtime__device", "cpu"),
        ("data__workers", 7),
        ("data__frame_cache", "frames"),
        ("pose__flip_test", False),
        ("run", "moved/elsewhere"),
    ],
)
def test_what_does_not_change_the_result_may_change(tmp_path: Path, key: str, value: Any) -> None:
    saved_run(tmp_path)
    assert (
        Run(tmp_path, resolved(tmp_path, **{key: value}), ["cold", "winter"]).open(is_main=True) is not None
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training__learning_rate", 0.5),
        ("seed", 1),
        ("model__frames", [32]),
        ("data__frame_size", 128),
        ("loss__label_smoothing__kind", "uniform"),
        ("init__stages", ["runs/x"]),
    ],
)
def test_another_configuration_is_refused_by_key(tmp_path: Path, key: str, value: Any) -> None:
    saved_run(tmp_path)
    before = (tmp_path / "config.yaml").read_text()
    with pytest.raises(UserError, match=key.replace("__", r"\.")):
        Run(tmp_path, resolved(tmp_path, **{key: value}), ["cold", "winter"]).open(is_main=True)
    assert (tmp_path / "config.yaml").read_text() == before
    assert load_checkpoint(tmp_path / "last.pt")["state"]["step"] == 1


def test_a_complete_run_stays_as_it_is(tmp_path: Path) -> None:
    saved_run(tmp_path)
    before = (tmp_path / "config.yaml").read_text()
    one_epoch = resolved(tmp_path, training__epochs=1)
    checkpoint = load_checkpoint(tmp_path / "last.pt")
    torch.save({**checkpoint, "config": to_dict(one_epoch)}, tmp_path / "last.pt")
    run = Run(tmp_path, replace(one_epoch, runtime=RuntimeConfig(precision="bf16")), ["cold", "winter"])
    assert run.open(is_main=True) is not None and run.complete
    assert (tmp_path / "config.yaml").read_text() == before


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^run: .*file/a cannot be written"):
        Run(tmp_path / "file" / "a", resolved(tmp_path), ["cold"]).open(is_main=True)


@pytest.mark.parametrize("vocabulary", [["cold"], ["winter", "cold"], ["cold", "table"]])
def test_another_vocabulary_is_refused(tmp_path: Path, vocabulary: list[str]) -> None:
    saved_run(tmp_path)
    with pytest.raises(UserError, match="another vocabulary"):
        Run(tmp_path, resolved(tmp_path), vocabulary).open(is_main=True)


def test_a_checkpoint_that_is_no_run_is_refused(tmp_path: Path) -> None:
    torch.save({"model_state": {}}, tmp_path / "last.pt")
    with pytest.raises(UserError, match=r"last\.pt|holds"):
        Run(tmp_path, resolved(tmp_path), ["cold"]).open(is_main=True)


class Tied(nn.Module):
    """Two names for the same weights, as text models have."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(300, 300, bias=False), nn.Linear(300, 300, bias=False)
        self.other.weight = self.one.weight


def test_what_is_saved_is_of_the_moment_and_the_one_before_is_kept(tmp_path: Path) -> None:
    model = Tied()
    optimizer = torch.optim.SGD(model.parameters())
    with Run(tmp_path, resolved(tmp_path), ["cold"]) as run:
        run.open(is_main=True)
        for value in (1.0, 2.0, 3.0, 4.0):
            nn.init.constant_(model.one.weight, value)
            run.save(model, optimizer, best=value == 2)
    names = {"last.pt": 4, "previous.pt": 3, "best.pt": 2}
    assert {path.name for path in tmp_path.glob("*.pt*")} == set(names)
    for name, value in names.items():
        found = load_checkpoint(tmp_path / name)["model"]
        assert (found["one.weight"] == value).all() and (found["other.weight"] == value).all()
        assert (tmp_path / name).stat().st_size < 1.2 * 300 * 300 * 4  # written once


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path: Path) -> None:
    model, vocabulary = nn.Linear(2, 2), ["cold"]
    with Run(tmp_path, resolved(tmp_path), vocabulary) as run:
        run.open(is_main=True)
        for _ in range(2):
            run.state.finish_step({"total": 1.0}, 1.0, 0.0, 4)
            run.save(model, torch.optim.SGD(model.parameters()))
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    for content in (last.read_bytes()[:-1000], None):  # cut off, and lost between two names
        last.unlink() if content is None else last.write_bytes(content)
        with Run(tmp_path, resolved(tmp_path), vocabulary) as run:
            assert run.can_continue and run.open(is_main=True) is not None
            assert run.state.step == 1
            assert [f"{last}: damaged" in problem for problem in run.problems] == [True] * (
                content is not None
            )
    previous.write_bytes(b"PK\x03\x04")
    with pytest.raises(
        UserError, match=r"previous\.pt: damaged.*; give another folder as run=\.\.\., or empty this"
    ):
        Run(tmp_path, resolved(tmp_path), vocabulary).open(is_main=True)


def test_a_folder_in_use_is_refused_until_it_is_left(tmp_path: Path) -> None:
    with Run(tmp_path, resolved(tmp_path), ["cold"]) as run:
        run.open(is_main=True)
        with pytest.raises(UserError, match="another training uses this folder"):
            Run(tmp_path, resolved(tmp_path), ["cold"]).open(is_main=True)
        Run(tmp_path, resolved(tmp_path), ["cold"]).open(is_main=False)  # of the same training
    assert Run(tmp_path, resolved(tmp_path), ["cold"]).open(is_main=True) is None


def test_a_checkpoint_is_due_after_so_many_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    model = nn.Linear(2, 2)
    with Run(tmp_path, resolved(tmp_path, training__checkpoint_minutes=2.0), ["cold"]) as run:
        run.open(is_main=True)
        now[0] += 119
        assert not run.save_is_due
        now[0] += 2
        assert run.save_is_due
        run.save(model, torch.optim.SGD(model.parameters()))
        assert not run.save_is_due


def test_what_could_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: dict[str, Any]) -> None:
        raise UserError(f"{path}: cannot be written")

    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters())
    monkeypatch.setattr("utils.run.save_checkpoint", full)
    for times in (1, 2):  # at the end, or when the next one is to be written
        with (
            pytest.raises(UserError, match="cannot be written"),
            Run(tmp_path, resolved(tmp_path), ["cold"]) as run,
        ):
            run.open(is_main=True)
            for _ in range(times):
                run.save(model, optimizer)
