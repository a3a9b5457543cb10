"""Somebody else's task: registered from outside, it trains, validates and ends without a change to our files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from configs.schema import IsolatedConfig
from dataset.batch import Problem, Request, SampleSet
from dataset.config import DataConfig
from inference.evaluation import Evaluator
from modeling.config import ModelConfig, RuntimeConfig, TrainingConfig
from modeling.engine import TrainingStep
from tasks import TASKS
from tasks.task import Task
from training import train
from utils.checkpoint import load_checkpoint
from utils.distributed import Processes
from utils.errors import UserError
from utils.files import write_json
from utils.metrics import Coverage

NUMBERS = 12  # samples of a split


@dataclass
class Numbers:
    """Numbers x and what they are to be taken for, float32 [B, 1]."""

    samples: list[int]
    x: Tensor
    y: Tensor
    problems: list[Problem]
    error: str | None = None

    def to(self, device: torch.device) -> "Numbers":
        return replace(self, x=self.x.to(device), y=self.y.to(device))


class Line(SampleSet):
    """y = 3 x - 1."""

    @property
    def names(self) -> list[str]:
        return [f"x{i}" for i in range(NUMBERS)]

    def __len__(self) -> int:
        return NUMBERS

    def __getitem__(self, requests: list[Request]) -> Numbers:
        samples = [request.sample for request in requests]
        x = torch.tensor(samples)[:, None] / NUMBERS
        return Numbers(samples, x, 3 * x - 1, [])


@dataclass
class Errors:
    """The absolute error of every sample."""

    values: np.ndarray

    @property
    def score(self) -> float:
        return float(self.values.mean())

    def entry(self) -> dict[str, Any]:
        return {"error": self.score}

    def summary(self) -> str:
        return f"error {self.score:.3f}"

    def table(self) -> str:
        return self.summary()

    def scalars(self) -> Mapping[str, float]:
        return {"error": self.score}

    def pictures(self) -> Mapping[str, np.ndarray]:
        return {}

    def write(self, path: Path) -> None:
        write_json(path, self.values.tolist())


class ErrorEvaluator(Evaluator[float, Errors]):
    def take(self, network: nn.Module) -> str:
        self.line = network.eval()
        return "as it is"

    @torch.inference_mode()
    def outcomes(self, batch: Numbers) -> Sequence[float]:
        return (self.line(batch.x) - batch.y).abs()[:, 0].tolist()

    def results(self, outcomes: dict[int, float], coverage: Coverage) -> dict[str, Errors]:
        return {"origin": Errors(np.array(list(outcomes.values())))}


class LineStep(TrainingStep[Numbers]):
    def losses(self, part: Numbers, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        squares = (self.parallel(part.x) - part.y).square().mean()
        return squares, {"squares": squares}


class LineFitting(Task):
    higher_is_better = False

    def __init__(self, config: IsolatedConfig, processes: Processes):
        super().__init__(config, processes)
        self.vocabulary = ["line"]

    def training_data(self) -> Line:
        return Line()

    def build_network(self) -> nn.Module:
        torch.manual_seed(self.config.seed)
        return nn.Linear(1, 1)

    def load_initial_weights(self, network: nn.Module) -> list[Any]:
        return []

    def training_step(
        self, network: nn.Module, parallel: nn.Module, optimizer: torch.optim.Optimizer
    ) -> LineStep:
        return LineStep(parallel, optimizer, self.config.training)

    def parts(self, batch: Numbers, number: int) -> Iterator[Numbers]:
        pairs = zip(*(x.chunk(self.config.training.accumulate) for x in (batch.x, batch.y)), strict=True)
        return (Numbers([], x, y, []) for x, y in pairs)

    def evaluator(self, split: str, settings: Sequence[str]) -> ErrorEvaluator:
        return ErrorEvaluator(Line(), self.config.evaluation, 0, 0.0, self.processes)

    def summary(self) -> str:
        return "numbers on a line"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "line", LineFitting)


def configuration(run: Path, **training: Any) -> IsolatedConfig:
    return IsolatedConfig(
        run=str(run),
        data=DataConfig(index="none.csv", keypoints="none.pkl", workers=0),
        task="line",
        model=ModelConfig(modalities=["keypoint"], frames=[64]),
        training=TrainingConfig(**{"batch_size": 4, "learning_rate": 0.2, "epochs": 10} | training),
        runtime=RuntimeConfig(device="cpu"),
    )


def epochs(run: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == "epoch"]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_trains_and_keeps_the_weights_of_the_lowest_error(
    tmp_path: Path, accumulate: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(configuration(tmp_path, accumulate=accumulate)) == 0
    entries = epochs(tmp_path)
    errors = [entry["validation"]["error"] for entry in entries]
    assert len(errors) == 10 and errors[-1] < 0.8 * errors[0]
    assert entries[0]["losses"]["squares"] == pytest.approx(entries[0]["losses"]["total"])
    best = load_checkpoint(tmp_path / "best.pt")
    assert (best["score"], best["epoch"]) == (min(errors), errors.index(min(errors)))
    assert best["vocabulary"] == ["line"] and best["config"]["task"] == "line"
    assert "numbers on a line" in capsys.readouterr().err


def test_it_is_complete_after_its_last_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(configuration(tmp_path)) == 0
    assert train(configuration(tmp_path)) == 0
    assert "already trained" in capsys.readouterr().err and len(epochs(tmp_path)) == 10


@pytest.mark.parametrize("poisoned", ["loss", "gradient_norm"])
def test_what_is_not_finite_stops_the_run_before_the_weights_take_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoned: str
) -> None:
    """The square root has a finite value at 0, and an infinite slope."""
    seen: list[tuple[nn.Module, dict[str, Tensor]]] = []
    losses = LineStep.losses

    def at_the_fifth(step: LineStep, part: Numbers, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        seen.append((step.parallel, {k: v.clone() for k, v in step.parallel.state_dict().items()}))
        total, figures = losses(step, part, epoch)
        if len(seen) == 5:
            total = (
                total * torch.nan if poisoned == "loss" else total + (step.parallel.weight * 0).sqrt().sum()
            )
        return total, figures

    monkeypatch.setattr(LineStep, "losses", at_the_fifth)
    names = r"(x\d+, ){3}x\d+"
    broken = "total, gradient_norm" if poisoned == "loss" else "gradient_norm"
    with pytest.raises(UserError, match=rf"^step 4: not finite: {broken}, on the clips {names}, in which"):
        train(configuration(tmp_path))
    network, before = seen[-1]
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    assert load_checkpoint(tmp_path / "last.pt")["state"]["step"] == 3  # of the epoch before


def test_steps_that_are_not_finite_are_skipped_as_often_as_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states: list[dict[str, Tensor]] = []
    losses = LineStep.losses

    def seldom_finite(step: LineStep, part: Numbers, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        if not states:
            step.parallel.register_buffer("seen", torch.zeros(()))
        states.append({k: v.clone() for k, v in step.parallel.state_dict().items()})
        step.parallel.seen += 1
        total, figures = losses(step, part, epoch)
        return total * (torch.nan if len(states) in (2, 5, 8) else 1), figures

    monkeypatch.setattr(LineStep, "losses", seldom_finite)
    config = configuration(tmp_path)
    with pytest.raises(UserError, match=r"^step 7: not finite: total.*training\.skip_steps$"):
        train(replace(config, training=replace(config.training, skip_steps=2)))
    told = capsys.readouterr().err
    assert "step 1: not finite" in told and "skipped, as 2 of training.skip_steps=2" in told
    for step in (1, 4):  # neither weights nor statistics
        assert all(torch.equal(states[step][name], x) for name, x in states[step + 1].items())
    assert not torch.equal(states[2]["weight"], states[3]["weight"])
    state = load_checkpoint(tmp_path / "last.pt")["state"]
    assert (state["step"], state["skipped"]) == (6, 2)


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^task: 'other' is not known; known: isolated, continuous, translation, line$"
    ):
        train(replace(configuration(tmp_path), task="other"))
