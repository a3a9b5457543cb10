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
    run = Run(folder, resolved(folder), ["cold", "winter"])
    assert run.open(is_main=True) is None
    model = nn.Linear(2, 2)
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
