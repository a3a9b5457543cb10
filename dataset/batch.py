"""What data sets and their batches have in common, whatever a sample is."""

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol, Self

import numpy as np
import torch
from torch.utils.data import Dataset

from utils.errors import UserError


class Request(NamedTuple):
    """One sample of one batch; `draw` is (seed, epoch, place in the epoch) of what is random in it, None in
    evaluation."""

    sample: int
    draw: tuple[int, int, int] | None


class Problem(NamedTuple):
    """What was wrong with a sample; `unreadable`: nothing could be made of it, so it is not in its batch."""

    sample: int
    text: str
    unreadable: bool = False


class Batch(Protocol):
    """Samples that are computed together.

    samples: index of each in its data set. problems: of those that were asked for. error: why none could be read.
    """

    samples: list[int]
    problems: list[Problem]
    error: str | None

    def to(self, device: torch.device) -> Self: ...


class SampleSet(Dataset[Batch], ABC):
    """The samples of a split, in their order, and batches of them by request."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Of the samples."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, requests: list[Request]) -> Batch: ...

    def arrange(self, order: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """In which order the samples of an epoch are cut into batches, int [samples]; `order` is a random one."""
        return order


class DamageLog:
    """Counts damaged samples, reports each once, and stops the run when they are too many.

    Args:
        names: of all samples, in their order.
        max_share: of them may be damaged, in [0, 1].
        refusal: what to add to the reason why one cannot be read, which ends the run; None: it may be left out.

    Attributes:
        damaged: {sample: whether it cannot be read at all}.
    """

    def __init__(self, names: list[str], max_share: float, refusal: str | None = None):
        self.names, self.max_share, self.refusal = names, max_share, refusal
        self.damaged: dict[int, bool] = {}

    def note(self, batch: Batch) -> list[str]:
        """One line for each sample newly found damaged.

        Raises:
            UserError: more than the set share of all samples is damaged, or one that must be read cannot be.
        """
        if batch.error is not None:
            raise UserError(batch.error)
        lines = []
        for sample, text, unreadable in batch.problems:
            if unreadable and self.refusal is not None:
                raise UserError(f"clip {self.names[sample]!r} cannot be read: {text}{self.refusal}")
            if sample not in self.damaged:
                lines.append(
                    f"{'unreadable' if unreadable else 'damaged'} clip {self.names[sample]!r}: {text}"
                )
            self.damaged[sample] = unreadable
        if len(self.damaged) > self.max_share * len(self.names):
            raise UserError(
                f"{len(self.damaged)} of {len(self.names)} clips are damaged, more than data.max_damaged_share "
                f"{self.max_share:g} allows; the last: {lines[-1] if lines else ''}"
            )
        return lines
