"""A run folder: the resolved configuration, checkpoints, and the position of the run.

<run>/config.yaml      every key spelled out
<run>/last.pt          to go on from: weights, optimiser, position
<run>/previous.pt      the one before, in case that is damaged
<run>/best.pt          the weights of the best epoch, with vocabulary and model configuration
<run>/metrics.jsonl    one line a step and one an epoch
<run>/lock             held by the training that uses the folder
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import torch
from filelock import FileLock, Timeout
from torch import Tensor
from torch.utils._pytree import tree_map_only

from utils.checkpoint import TrainState, load_checkpoint, save_checkpoint
from utils.config import from_dict, to_dict
from utils.config_files import yaml_text
from utils.errors import UserError

# What may change between two starts of one run: it does not change what is computed.
_FREE_SECTIONS = ("runtime", "pose", "run")
_FREE_KEYS = {
    "data": ("workers", "frame_cache"),
    "training": ("profile", "checkpoint_minutes", "skip_steps"),
    "evaluation": ("allow_missing",),
}


class Run:
    """One training run on disk. As a context it ends with everything written, and leaves the folder to others.

    Args:
        folder: of the run; made if needed, never emptied.
        config: a dataclass, of which it keeps plain values.
        vocabulary: what the network's classes mean, in their order.

    Attributes:
        problems: what is wrong with checkpoints that could not be read.
    """

    def __init__(self, folder: Path, config: Any, vocabulary: list[str]):
        self.folder, self.schema, self.vocabulary = folder, type(config), vocabulary
        self.config = to_dict(config)
        self.state = TrainState()
        self.problems: list[str] = []
        self._last, self._previous = folder / "last.pt", folder / "previous.pt"
        self._lock = FileLock(folder / "lock")
        self._writer, self._writing = ThreadPoolExecutor(1), Future[None]()
        self._writing.set_result(None)
        self._saved_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        self._writer.shutdown()
        self._lock.release()
        if kind is None:
            self._writing.result()

    @property
    def can_continue(self) -> bool:
        return self._last.is_file() or self._previous.is_file()

    @property
    def complete(self) -> bool:
        return self.state.validated == self.config["training"]["epochs"]

    @property
    def save_is_due(self) -> bool:
        """Whether `training.checkpoint_minutes` are over since the last one."""
        return time.monotonic() - self._saved_at >= 60 * self.config["training"]["checkpoint_minutes"]

    def open(self, is_main: bool) -> dict[str, Any] | None:
        """Prepare the folder; the content of the newest checkpoint if there is something to continue, else None.

        Raises:
            UserError: another training uses the folder, it holds a run of another configuration or vocabulary or no
                checkpoint that can be read, or it cannot be written.
        """
        if is_main:
            self._take_folder()
        checkpoint = self._newest()
        if checkpoint is not None:
            self._refuse_other_run(checkpoint)
            self.state.load_state_dict(checkpoint["state"])
        if is_main and not self.complete:
            (self.folder / "config.yaml").write_text(yaml_text(self.config), encoding="utf-8")
        return checkpoint

    def _take_folder(self) -> None:
        """The system takes the lock back from whoever dies."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            raise UserError(
                f"{self.folder}: another training uses this folder; wait for it, or give another folder as run=..."
            ) from None
        except OSError as error:
            raise UserError(
                f"run: {self.folder} cannot be written ({error.strerror}); give another folder"
            ) from None

    def _newest(self) -> dict[str, Any] | None:
        """The newest checkpoint that is sound."""
        for path in (self._last, self._previous):
            try:
                if path.is_file():
                    checkpoint = load_checkpoint(path)
                    if {"model", "vocabulary", "config", "optimizer", "state"} <= checkpoint.keys():
                        return checkpoint
                    raise UserError(f"{path}: not a run of this project")
            except UserError as error:
                self.problems.append(str(error))
        if self.problems:
            raise UserError(f"{'; '.join(self.problems)}; give another folder as run=..., or empty this one")
        return None

    def _refuse_other_run(self, checkpoint: dict[str, Any]) -> None:
        if checkpoint["vocabulary"] != self.vocabulary:
            raise UserError(
                f"{self.folder}: holds a run with another vocabulary; give another folder as run=..."
            )
        # Through the schema: keys that are newer than the run have their defaults.
        kept = to_dict(from_dict(self.schema, checkpoint["config"], str(self.folder)))
        changed = _differences(_binding(kept), _binding(self.config))
        if changed:
            listed = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
            raise UserError(
                f"{self.folder}: holds a run of another configuration (different: {listed}); "
                "give another folder as run=..."
            )

    def save(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, best: bool = False) -> None:
        """Write `last.pt`, and `best.pt` if these are the best weights so far, while training goes on.

        Raises:
            UserError: the checkpoint before this one could not be written.
        """
        self._writing.result()
        self._saved_at = time.monotonic()
        content = _copied(
            {
                "model": model.state_dict(),
                "vocabulary": self.vocabulary,
                "config": self.config,
                "optimizer": optimizer.state_dict(),
                "state": self.state.state_dict(),
            }
        )
        self._writing = self._writer.submit(self._write, content, best)

    def _write(self, last: dict[str, Any], best: bool) -> None:
        if best:
            shared = {name: last[name] for name in ("model", "vocabulary", "config")}
            state = last["state"]
            content = {**shared, "epoch": state["best_epoch"], "score": state["best_score"]}
            save_checkpoint(self.folder / "best.pt", content)
        new = self.folder / "new.pt"
        save_checkpoint(new, last)
        if self._last.is_file():
            self._last.replace(self._previous)
        new.replace(self._last)


def _copied(content: dict[str, Any]) -> dict[str, Any]:
    """The same with tensors of its own, on the CPU; those that share memory still do."""
    copies: dict[tuple[Any, ...], Tensor] = {}

    def copy(x: Tensor) -> Tensor:
        place = (x.device, x.data_ptr(), x.shape, x.stride(), x.dtype)
        if place not in copies:
            copies[place] = x.detach().to("cpu", copy=True)
        return copies[place]

    copied: dict[str, Any] = tree_map_only(Tensor, copy, content)
    return copied


def _binding(config: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in config.items() if name not in _FREE_SECTIONS}
    for section, free in _FREE_KEYS.items():
        kept[section] = {name: value for name, value in config[section].items() if name not in free}
    return kept


def _differences(a: Any, b: Any, path: str = "") -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        keys = list(dict.fromkeys([*a, *b]))
        return [d for key in keys for d in _differences(a.get(key), b.get(key), f"{path}.{key}".lstrip("."))]
    return [] if a == b else [path]
