"""What a run tells: the progress line and metrics.jsonl; and how it is asked to stop."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from tqdm import tqdm

from utils.files import replacing

if TYPE_CHECKING:  # torch takes seconds to import, and a progress bar does not need it
    from utils.checkpoint import TrainState


class ScalarBoard(Protocol):
    """Shows figures over the steps of a run."""

    def scalars(self, values: Mapping[str, float], step: int) -> None: ...

    def flush(self) -> None: ...


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopSignal:
    """Turns the first Ctrl-C, SIGTERM or SIGUSR1 into a wish to stop after the current step; a second one acts at once.

    Args:
        announced: say so when the first one comes.
    """

    def __init__(self, announced: bool) -> None:
        self.requested, self.announced = False, announced
        self._previous = {number: signal.signal(number, self._request) for number in STOPPING}

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self.release()
        if self.announced:  # written past Python's own buffer, in which the signal may have come
            os.write(2, b"\nstopping after this step; once more stops at once, unsaved\n")

    def release(self) -> None:
        """Give the signals back to whoever handled them before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def progress_bar(total: int, done: int, unit: str, shown: bool, delay: float = 0) -> "tqdm[Any]":
    """A bar on a terminal, a line now and then in a log file; nothing for what takes less than `delay` seconds."""
    interval = 0.2 if sys.stderr.isatty() else 20.0
    return tqdm(
        total=total,
        initial=done,
        unit=unit,
        disable=not shown,
        mininterval=interval,
        delay=delay,
        dynamic_ncols=True,
    )


def parse_metrics(text: str) -> Iterator[dict[str, Any]]:
    """The entries of a metrics file; a kill can leave its last line unfinished."""
    for line in text.splitlines():
        with suppress(json.JSONDecodeError):
            yield json.loads(line)


class RunLog:
    """Everything a training run writes besides checkpoints; silent on all processes but the main one, but for
    warnings.

    metrics.jsonl has {"kind": "step", "step", "loss"} for every optimiser step (1 = the first) and
    {"kind": "epoch", ...} with mean losses, learning rate, clips per second, share of time spent waiting for data
    and what the validation found.
    """

    def __init__(self, folder: Path, is_main: bool):
        self.folder, self.is_main = folder, is_main
        self._metrics: TextIO | None = None
        self._board: ScalarBoard | None = None

    def print(self, line: str) -> None:
        if self.is_main:
            tqdm.write(line, file=sys.stderr)

    def warn(self, line: str) -> None:
        """Say what only this process knows."""
        tqdm.write(line, file=sys.stderr)

    def start_at(self, state: "TrainState", board: ScalarBoard | None = None) -> None:
        """Open the file; lines written after the position that the run continues from are dropped.

        Args:
            board: gets the figures, too.
        """
        if not self.is_main:
            return
        path = self.folder / "metrics.jsonl"
        kept = []
        if path.is_file():
            lines = list(parse_metrics(path.read_text()))
            kept = [
                x
                for x in lines
                if (x["step"] <= state.step if x["kind"] == "step" else x["epoch"] < state.validated)
            ]
        with replacing(path) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._metrics, self._board = path.open("a"), board

    def progress(self, total: int, done: int) -> "tqdm[Any]":
        return progress_bar(total, done, "step", self.is_main)

    def step(
        self,
        state: "TrainState",
        losses: dict[str, float],
        progress: "tqdm[Any]",
        scalars: dict[str, float] | None = None,
    ) -> None:
        """Note one optimiser step, after `state` took it in; `scalars`: more for the board, by name."""
        self._write({"kind": "step", "step": state.step, "loss": losses["total"]})
        if self._board is not None:
            shown = {f"loss/{name}": value for name, value in losses.items()} | (scalars or {})
            shown["speed/clips_per_second"] = state.clips / state.seconds
            shown["speed/data_wait"] = state.waited / state.seconds
            self._board.scalars(shown, state.step)
        progress.set_postfix_str(
            f"epoch {state.validated}, loss {losses['total']:.3f}, {state.clips / state.seconds:.1f} clips/s, "
            f"{state.waited / state.seconds:.0%} waiting for data",
            refresh=False,
        )
        progress.update()

    def epoch(
        self, state: "TrainState", learning_rate: float, validation: dict[str, Any] | None, summary: str
    ) -> None:
        """Note a complete epoch, before `state` closes it; `validation`: what it found, and that in words."""
        losses = {name: total / state.steps for name, total in state.sums.items()}
        entry: dict[str, Any] = {
            "kind": "epoch",
            "epoch": state.validated,
            "step": state.step,
            "losses": losses,
            "learning_rate": learning_rate,
            "clips_per_second": state.clips / state.seconds,
            "data_wait": state.waited / state.seconds,
        }
        line = f"epoch {state.validated}: loss {losses['total']:.4f}"
        if validation is not None:
            entry["validation"] = validation
            line += f", validation {summary}"
        self._write(entry)
        self.print(line)
        if self._board is not None:
            self._board.flush()

    def _write(self, entry: dict[str, Any]) -> None:
        if self._metrics is not None:
            self._metrics.write(json.dumps(entry) + "\n")
            self._metrics.flush()
