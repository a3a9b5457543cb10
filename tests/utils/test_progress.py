"""What a run writes, also after a restart, and how it is asked to stop."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from utils.checkpoint import TrainState
from utils.progress import RunLog, StopSignal

VALIDATION = {"per_instance": {1: 0.5, 5: 0.75, 10: 1.0}}


class FakeBoard:
    def __init__(self) -> None:
        self.shown: list[tuple[dict[str, float], int]] = []
        self.flushed = 0

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self.shown.append((dict(values), step))

    def flush(self) -> None:
        self.flushed += 1


def train(log: RunLog, state: TrainState, steps: int, per_epoch: int = 3) -> None:
    with log.progress(9, state.step) as progress:
        for _ in range(steps):
            losses = {"total": float(state.step), "recognition/rgb64": 1.0}
            state.finish_step(losses, seconds=2.0, waited=0.5, clips=8)
            log.step(state, losses, progress, {"gradient_norm": 3.0})
            if state.step % per_epoch == 0:
                log.epoch(state, 0.001, VALIDATION, "top-1 0.5")
                state.finish_epoch(0.5)


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def places(folder: Path) -> list[tuple[str, int]]:
    return [(x["kind"], x["step"] if x["kind"] == "step" else x["epoch"]) for x in entries(folder)]


WHOLE = [
    ("step", 1),
    ("step", 2),
    ("step", 3),
    ("epoch", 0),
    ("step", 4),
    ("step", 5),
    ("step", 6),
    ("epoch", 1),
]


def test_steps_and_epochs_are_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, state, board = RunLog(tmp_path, True), TrainState(), FakeBoard()
    log.start_at(state, board)
    train(log, state, 6)
    assert places(tmp_path) == WHOLE
    epoch = entries(tmp_path)[3]
    assert epoch["losses"] == {"total": 1.0, "recognition/rgb64": 1.0}  # mean of 0, 1, 2
    assert (epoch["clips_per_second"], epoch["data_wait"], epoch["learning_rate"]) == (4.0, 0.25, 0.001)
    assert epoch["validation"]["per_instance"] == {"1": 0.5, "5": 0.75, "10": 1.0}
    assert entries(tmp_path)[5]["loss"] == 4.0
    assert "epoch 1: loss 4.0000, validation top-1 0.5" in capsys.readouterr().err
    scalars = {"loss/total", "loss/recognition/rgb64", "speed/clips_per_second", "speed/data_wait"}
    assert [step for _, step in board.shown] == [1, 2, 3, 4, 5, 6] and board.flushed == 2
    assert all(values.keys() == scalars | {"gradient_norm"} for values, _ in board.shown)
    assert [values["loss/total"] for values, _ in board.shown] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("step", "validated", "kept"), [(4, 1, 5), (3, 1, 4), (3, 0, 3), (0, 0, 0)])
def test_a_restart_drops_what_comes_after_its_position(
    tmp_path: Path, step: int, validated: int, kept: int
) -> None:
    log, state = RunLog(tmp_path, True), TrainState()
    log.start_at(state)
    train(log, state, 6)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')  # the crash came while writing
    again = RunLog(tmp_path, True)
    again.start_at(TrainState(step=step, validated=validated))
    assert places(tmp_path) == WHOLE[:kept]


def test_a_restart_survives_a_line_cut_behind_an_inner_brace(tmp_path: Path) -> None:
    step = '{"kind": "step", "step": 1, "loss": 1.0}\n'
    cut = '{"kind": "epoch", "epoch": 0, "step": 1, "losses": {"total": 1.0}'
    (tmp_path / "metrics.jsonl").write_text(step + cut)
    RunLog(tmp_path, True).start_at(TrainState(step=1, validated=0))
    assert places(tmp_path) == [("step", 1)]


def test_other_processes_are_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, state = RunLog(tmp_path, False), TrainState()
    log.start_at(state)
    log.print("hello")
    train(log, state, 3)
    assert not list(tmp_path.iterdir())
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_the_second_acts(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []
    before = {n: signal.signal(n, lambda n, frame: seen.append(n)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop = StopSignal(announced=True)
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested and seen == []
        assert capfd.readouterr().err.count("stopping after this step") == 1
        os.kill(os.getpid(), number)
        assert seen == [number]
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
