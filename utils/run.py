"""A run folder: the resolved configuration, checkpoints, and the position of the run.

<run>/config.yaml      every key spelled out
<run>/last.pt          to go on from: weights, optimiser, position
<run>/best.pt          the weights of the best epoch, with vocabulary and model configuration
<run>/metrics.jsonl    one line a step and one an epoch
"""

from pathlib import Path
from typing import Any

import torch

from utils.checkpoint import TrainState, load_checkpoint, save_checkpoint
from utils.config import from_dict, to_dict
from utils.config_files import yaml_text
from utils.errors import UserError

# What may change between two starts of one run: it does not change what is computed.
_FREE_SECTIONS = ("runtime", "pose", "run")
_FREE_KEYS = {"data": ("workers", "frame_cache"), "training": ("profile",)}


class Run:
    """One training run on disk.

    Args:
        folder: of the run; made if needed, never emptied.
        config: a dataclass, of which it keeps plain values.
        vocabulary: what the network's classes mean, in their order.
    """

    def __init__(self, folder: Path, config: Any, vocabulary: list[str]):
        self.folder, self.schema, self.vocabulary = folder, type(config), vocabulary
        self.config = to_dict(config)
        self.state = TrainState()

    @property
    def can_continue(self) -> bool:
        return (self.folder / "last.pt").is_file()

    @property
    def complete(self) -> bool:
        return self.state.validated == self.config["training"]["epochs"]

    def open(self, is_main: bool) -> dict[str, Any] | None:
        """Prepare the folder; the content of `last.pt` if there is something to continue, else None.

        Raises:
            UserError: the folder holds a run of another configuration or vocabulary, or cannot be written.
        """
        last = self.folder / "last.pt"
        checkpoint = None
        if self.can_continue:
            checkpoint = load_checkpoint(last)
            if not {"model", "vocabulary", "config", "optimizer", "state"} <= checkpoint.keys():
                raise UserError(f"{last}: not a run of this project; give another folder as run=...")
            self._refuse_other_run(checkpoint)
            self.state.load_state_dict(checkpoint["state"])
        if is_main and not self.complete:
            text = yaml_text(self.config)
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / "config.yaml").write_text(text, encoding="utf-8")
            except OSError as error:
                raise UserError(
                    f"run: {self.folder} cannot be written ({error.strerror}); give another folder"
                ) from None
        return checkpoint

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
        """Write `last.pt`, and `best.pt` if these are the best weights so far."""
        weights = model.state_dict()
        common = {"model": weights, "vocabulary": self.vocabulary, "config": self.config}
        if best:
            content = {**common, "epoch": self.state.best_epoch, "score": self.state.best_score}
            save_checkpoint(self.folder / "best.pt", content)
        last = {**common, "optimizer": optimizer.state_dict(), "state": self.state.state_dict()}
        save_checkpoint(self.folder / "last.pt", last)


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
