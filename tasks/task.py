"""What training and evaluation need to know of a task."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from configs.schema import Config
from dataset.batch import SampleSet
from inference.evaluation import Evaluator
from modeling.engine import TrainingStep, encoder_precision
from modeling.weights import LoadReport
from utils.distributed import Processes


class Task(ABC):
    """One kind of recognition: its data, its network, what is minimised, and how results are scored.

    Making one reads the annotations.

    Args:
        config: of the experiment.
        processes: of which this is one.

    Attributes:
        vocabulary: what the network's classes mean, in their order; it is kept with the weights.
        higher_is_better: whether a larger validation score is a better one.
        settings: of evaluation, as --eval_setting names them; the first one validates.
    """

    vocabulary: list[str]
    higher_is_better: ClassVar[bool] = True
    settings: Sequence[str] = ("origin",)

    def __init__(self, config: Config, processes: Processes):
        self.config, self.processes = config, processes

    @abstractmethod
    def training_data(self) -> SampleSet:
        """The samples to learn from.

        Raises:
            UserError: the configuration does not allow to learn from them.
        """

    @abstractmethod
    def build_network(self) -> nn.Module:
        """The network at its random start, which depends on the seed alone."""

    @abstractmethod
    def load_initial_weights(self, network: nn.Module) -> Sequence[LoadReport]:
        """Weights to start from, as `init` says."""

    @abstractmethod
    def training_step(
        self, network: nn.Module, parallel: nn.Module, optimizer: torch.optim.Optimizer
    ) -> TrainingStep[Any]:
        """What learns from the parts of a batch; `parallel` is the network, possibly wrapped for several processes."""

    @abstractmethod
    def parts(self, batch: Any, number: int) -> Iterator[Any]:
        """A batch as the network reads it, in `training.accumulate` parts.

        Args:
            batch: of the training data, on the device.
            number: of the optimiser step, which decides with the seed all that is drawn.
        """

    @abstractmethod
    def evaluator(self, split: str, settings: Sequence[str]) -> Evaluator[Any, Any]:
        """What predicts a split under some of the `settings`.

        Raises:
            UserError: the split has no samples.
        """

    @abstractmethod
    def summary(self) -> str:
        """What is trained on what, for the first line of the log."""

    def precision(self) -> str:
        """In which numbers the network computes, for people."""
        return f"{encoder_precision(self.config.runtime, self.processes.device)} encoders"

    def announcements(self) -> Sequence[str]:
        """What is to be said before training begins."""
        return []

    def pictures(self, part: Any) -> Mapping[str, np.ndarray]:
        """What the network is about to see, for TensorBoard: {name: uint8 RGB [H, W, 3]}, of a part of a batch."""
        return {}
