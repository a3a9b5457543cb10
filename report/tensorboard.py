"""What TensorBoard shows of a run: scalars, pictures, hyper-parameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from utils.config import flat

# Sections of a configuration; not every task has them all.
HYPER_PARAMETERS = ("seed", "model", "loss", "augment", "training")


class Board:
    """The TensorBoard files of a run folder.

    Args:
        run: its folder.
        continue_after: step that the run continues from; what an interrupted run wrote later is not shown.
    """

    def __init__(self, run: Path, continue_after: int | None = None):
        purge = None if continue_after is None else continue_after + 1
        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=purge)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def pictures(self, pictures: Mapping[str, np.ndarray], step: int) -> None:
        """uint8 RGB [H, W, 3], by name."""
        for name, picture in pictures.items():
            self._writer.add_image(name, picture, step, dataformats="HWC")

    def evaluation(
        self, name: str, scalars: Mapping[str, float], pictures: Mapping[str, np.ndarray], step: int
    ) -> None:
        """What an evaluation called `name` found."""
        self.scalars({f"{name}/{key}": value for key, value in scalars.items()}, step)
        self.pictures({f"{name}/{key}": picture for key, picture in pictures.items()}, step)
        self.flush()

    def hyper_parameters(self, config: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
        """The settings that decide what a model learns, with the final metrics of the run, of those it has."""
        chosen = flat({name: config[name] for name in HYPER_PARAMETERS if name in config}).items()
        shown = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in chosen
            if value is not None
        }
        known = {name: value for name, value in metrics.items() if value is not None}
        self._writer.add_hparams(shown, known, run_name=".")
        self._writer.flush()

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
