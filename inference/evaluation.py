"""The evaluation of a network on a split: every sample predicted once, on any number of processes, whatever the task.

A process keeps of each sample what the results need, no more, and sends that to the others.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from torch import nn

from configs.schema import EvaluationConfig
from dataset.batch import DamageLog, SampleSet
from dataset.loader import evaluation_loader
from utils.distributed import Processes
from utils.errors import UserError
from utils.metrics import Coverage
from utils.progress import StopSignal, progress_bar

Outcome = TypeVar("Outcome")
R = TypeVar("R", bound="Results")


REFUSAL = (
    "; --allow_missing leaves such clips out and says how many (in training: evaluation.allow_missing=true)"
)


class Results(Protocol):
    """What an evaluation found, of any task."""

    @property
    def score(self) -> float:
        """The figure by which the weights of epochs are compared."""

    def entry(self) -> dict[str, Any]:
        """As plain values, for metrics.jsonl."""

    def summary(self) -> str:
        """In a few words, for the line of an epoch."""

    def table(self) -> str:
        """In full, for a terminal."""

    def scalars(self) -> Mapping[str, float]:
        """For TensorBoard, by name."""

    def pictures(self) -> Mapping[str, np.ndarray]:
        """For TensorBoard, by name: uint8 RGB [H, W, 3]."""

    def write(self, path: Path) -> None:
        """The file from which everything else is made."""


class Evaluator(ABC, Generic[Outcome, R]):
    """Predicts every sample of a split once, whatever the number of processes; a task says how.

    Args:
        dataset: the samples.
        config: of the evaluation: how many samples at a time, and whether some may be missing.
        workers: loading processes.
        max_damaged_share: see `DamageLog`.

    Attributes:
        network: after a run, one line on how its network computed.
    """

    network: str

    def __init__(
        self,
        dataset: SampleSet,
        config: EvaluationConfig,
        workers: int,
        max_damaged_share: float,
        processes: Processes,
    ):
        self.dataset, self.processes = dataset, processes
        self.max_damaged_share = max_damaged_share
        self.refusal: str | None = REFUSAL
        if config.allow_missing:
            self.max_damaged_share, self.refusal = 1.0, None
        self.loader = evaluation_loader(
            dataset,
            config.batch_size,
            workers,
            processes.device.type == "cuda",
            processes.rank,
            processes.count,
        )

    @abstractmethod
    def take(self, network: nn.Module) -> str:
        """Predict with this network, as it is now, from here on; one line on how it computes."""

    @abstractmethod
    def outcomes(self, batch: Any) -> Sequence[Outcome]:
        """What is kept of each sample of a batch on the device. Picklable, and small: all processes get that of all."""

    @abstractmethod
    def results(self, outcomes: dict[int, Outcome], coverage: Coverage) -> dict[str, R]:
        """{evaluation setting: results} of {sample: outcome}, in their order."""

    def run(self, network: nn.Module, stop: StopSignal | None = None) -> dict[str, R] | None:
        """{evaluation setting: results}; None if a stop was requested on the way."""
        names = self.dataset.names
        damage = DamageLog(names, self.max_damaged_share, self.refusal)
        found: dict[int, Outcome] = {}
        self.network = self.take(network)
        with progress_bar(len(self.loader), 0, "batch", self.processes.is_main and stop is None) as progress:
            for batch in self.loader:
                if stop is not None and stop.requested:
                    break
                for line in damage.note(batch):
                    progress.write(line, file=sys.stderr)
                if batch.samples:
                    outcomes = self.outcomes(batch.to(self.processes.device))
                    found |= zip(batch.samples, outcomes, strict=True)
                progress.update()
        if self.processes.any(stop is not None and stop.requested):
            return None
        merged: dict[int, Outcome] = {}
        damaged: dict[int, bool] = {}
        for outcomes_of_process, damaged_of_process in self.processes.gather((found, damage.damaged)):
            merged |= outcomes_of_process
            damaged |= damaged_of_process
        if not merged:
            raise UserError(f"none of the {len(names)} clips can be read")
        coverage = Coverage(
            tuple(names[sample] for sample in sorted(damaged) if damaged[sample]),
            tuple(names[sample] for sample in sorted(damaged) if not damaged[sample]),
        )
        return self.results(dict(sorted(merged.items())), coverage)
