"""Golden sets: directories of recorded numbers, and what comparisons with them have in common.

Weights and inputs are made from names by the recipe of the set, so that only results are recorded. What is compared,
and with what, is written in `isolated.py` and `continuous.py`.
"""

import importlib.util
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from modeling.augment import Inputs
from modeling.fast import for_gpu, for_prediction, for_training
from modeling.heatmaps import FactoredHeatmaps, written_out
from modeling.windows import Windows

FAST = " fast"  # ends the name of a comparison with the passes of modeling/fast


@dataclass
class Row:
    case: str
    quantity: str
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance  # False for NaN


@dataclass
class Comparison:
    """The rows of one case."""

    case: str
    rows: list[Row] = field(default_factory=list)

    def add(self, quantity: str, difference: float, tolerance: float) -> None:
        self.rows.append(Row(self.case, quantity, float(difference), tolerance))

    def absolute(self, quantity: str, ours: Any, golden: Any, tolerance: float) -> None:
        self.add(quantity, _distance(as_array(ours), as_array(golden)), tolerance)

    def relative(self, quantity: str, ours: Any, golden: Any, tolerance: float) -> None:
        a, b = as_array(ours), as_array(golden)
        self.add(quantity, _distance(a, b) / (np.abs(b).max() or 1.0), tolerance)

    def equal(self, quantity: str, ours: Any, golden: Any) -> None:
        self.add(quantity, 0.0 if ours == golden else float("inf"), 0.0)

    def norms(self, quantity: str, ours: np.ndarray, golden: np.ndarray, median: float, worst: float) -> None:
        """Norms of many tensors, each relative to its own: the median over tensors, and the worst."""
        difference = np.abs(ours - golden) / np.maximum(np.abs(golden), 1e-30)
        self.add(f"{quantity}, median", np.median(difference), median)
        self.add(f"{quantity}, worst", difference.max(), worst)


def _distance(ours: np.ndarray, golden: np.ndarray) -> float:
    """The largest difference; infinite between arrays of different shapes."""
    return np.abs(ours - golden).max() if ours.shape == golden.shape else float("inf")


def as_array(value: Any) -> np.ndarray:
    value = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return value.astype(np.float64)


def statistics(x: Tensor) -> np.ndarray:
    """Mean, population standard deviation, first eight values."""
    flat = x.detach().reshape(-1)
    wide = flat.double()
    return np.concatenate([[wide.mean().item(), wide.std(correction=0).item()], wide[:8].cpu().numpy()])


class GoldenFile:
    """A file of recordings, .npz or .json, that remembers which of its entries were read, so that none is forgotten.

    case: its name. precise: whether it is compared in double precision; dtype: that type.
    """

    def __init__(self, path: Path):
        self.path, self.case = path, path.stem
        self.precise = path.parent.name != "fp32"
        self.dtype = torch.float64 if self.precise else torch.float32
        is_json = path.suffix == ".json"
        self._entries: Mapping[str, Any] = (
            json.loads(path.read_text()) if is_json else np.load(path, allow_pickle=False)
        )
        self.unread = set(self._entries)

    def __getitem__(self, name: str) -> Any:
        self.unread.discard(name)
        return self._entries[name]

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def names(self, prefix: str = "") -> list[str]:
        return [name for name in self._entries if name.startswith(prefix)]

    def skip(self, *prefixes: str) -> None:
        self.unread -= {name for name in self._entries if name.startswith(prefixes)}

    def tolerance(self, single: float) -> float:
        """In double precision 1e-9, in single precision as given."""
        return 1e-9 if self.precise else single


Case = Callable[[], Comparison]


class GoldenSet(ABC):
    """A directory of golden data and what its inputs are made from.

    Manifest, key lists and recipe come from the directory, else from its parent; the salt of the recipe from its file
    SALT, else it is empty. `fp32/` and `fp64/` hold .npz files, `unit_files` are others, of the parts that know no
    precision. What is compared is computed on `device`.

    Raises:
        SystemExit: manifest, recipe or key lists are in neither folder.
    """

    unit_files: ClassVar[str]  # a pattern
    units: ClassVar[
        Mapping[str, Callable[..., None]]
    ]  # (golden, file, out) by file name: parts of the method alone
    # What is recorded and compared with nothing, and why: files, or entries of files.
    not_compared: ClassVar[Mapping[str, str]] = {}

    def __init__(self, directory: Path, device: str = "cpu"):
        self.directory, self.device = directory, torch.device(device)
        salt = directory / "SALT"
        self.salt = salt.read_text().strip() if salt.is_file() else ""
        self.manifest = json.loads(find(directory, "manifest.json").read_text())
        self.recipe = _import(find(directory, "recipe.py"))

    @abstractmethod
    def compare_network(self, fast: bool, file: GoldenFile, out: Comparison) -> None:
        """Compare a whole network, plain or with the passes of modeling/fast."""

    def call(self, expression: str) -> np.ndarray:
        """Evaluate one of the manifest's recipe calls."""
        return eval(expression, {**vars(self.recipe), "salt": self.salt})

    def tensor(self, values: Any) -> Tensor:
        """Recorded or made-up values on the device."""
        return torch.from_numpy(np.asarray(values)).to(self.device)

    def weights(self, keys: str) -> dict[str, Tensor]:
        """The recipe's weights for a list of keys, under published names."""
        tensors = json.loads(find(self.directory, keys).read_text())["tensors"]
        filled = self.recipe.fill_state_dict(tensors, self.salt)
        return {name: torch.from_numpy(values) for name, values in filled.items()}

    def cases(self) -> dict[str, Case]:
        """Every file of the directory, by name, and how to compare it."""
        found: dict[str, Case] = {}
        for path in sorted(self.directory.glob("fp*/*.npz")):
            name = f"{path.parent.name}/{path.stem}"
            if path.stem.startswith("unit_"):
                found[name] = self._unit(path, name)
            else:
                found[name] = _bind(partial(self.compare_network, False), path, name)
                found[name + FAST] = _bind(partial(self.compare_network, True), path, name + FAST)
        for path in sorted(self.directory.glob(self.unit_files)):
            if path.name not in self.not_compared:
                name = path.relative_to(self.directory).with_suffix("").as_posix()
                found[name] = self._unit(path, name)
        return found

    def _unit(self, path: Path, name: str) -> Case:
        return _bind(partial(self.units.get(path.stem, _unknown), self), path, name)


def _bind(compare: Callable[[GoldenFile, Comparison], None], path: Path, name: str) -> Case:
    def run() -> Comparison:
        file, comparison = GoldenFile(path), Comparison(name)
        compare(file, comparison)
        if path.suffix == ".npz" or file.unread:
            comparison.equal("entries of the file that were not compared", sorted(file.unread), [])
        return comparison

    return run


def _unknown(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    """Its entries stay unread, which fails."""


def find(directory: Path, name: str) -> Path:
    """A file of a golden set that may also lie in the folder above."""
    for folder in (directory, directory.parent):
        if (folder / name).is_file():
            return folder / name
    raise SystemExit(f"{directory}: {name} is neither here nor in the folder above")


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"golden_recipe_{abs(hash(str(path)))}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made_fast(network: nn.Module, inputs: Inputs, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """A network with the passes that fit its mode and device, and inputs as it then reads them."""
    device = next(network.parameters()).device
    if device.type == "cpu" and not network.training:
        return for_prediction(network, dtype)[0], as_windows(inputs)
    if device.type == "cpu":
        for_training(network)
        return network, {**inputs}
    for_gpu(network)
    return network, {**written_out(inputs)}


def as_windows(inputs: Inputs) -> dict[str, Windows]:
    """The same clips as a network for prediction reads them: each of its frames of its own."""
    windows = {}
    for name, x in inputs.items():
        if isinstance(x, FactoredHeatmaps):
            frames: Tensor | FactoredHeatmaps = x._replace(
                rows=x.rows.flatten(0, 1)[None], columns=x.columns.flatten(0, 1)[None]
            )
            batch, length, device = *x.rows.shape[:2], x.rows.device
        else:
            joined = x.transpose(0, 1).flatten(1, 2)[None]
            frames = joined.contiguous(memory_format=torch.channels_last_3d)
            batch, length, device = len(x), x.shape[2], x.device
        windows[name] = Windows(frames, torch.arange(batch * length, device=device).view(batch, length))
    return windows


def compare_gradients(parameters: Mapping[str, nn.Parameter], file: GoldenFile, out: Comparison) -> None:
    """`parameters` by their published names, after the backward pass; those that are not trained count as 0."""
    names = [str(name) for name in file["param_names"]]
    out.equal("parameter names", sorted(parameters), sorted(names))
    gradients = [_gradient(parameters[name]) for name in names]
    norms = np.array([g.double().norm().item() for g in gradients])
    out.norms("gradient norm", norms, file["grad_l2"], file.tolerance(5e-3), file.tolerance(0.1))
    first = [np.resize(as_array(g.reshape(-1)[:4]), 4) * (np.arange(4) < g.numel()) for g in gradients]
    distance = np.linalg.norm(np.stack(first) - file["grad_first4"], axis=1) / np.maximum(norms, 1e-30)
    out.add("gradient, first values / norm, median", np.median(distance), file.tolerance(5e-3))
    out.add("gradient, first values / norm, worst", distance.max(), file.tolerance(0.1))


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def compare_after_step(
    parameters: Mapping[str, nn.Parameter], buffers: Mapping[str, Tensor], file: GoldenFile, out: Comparison
) -> None:
    """Weights and running statistics by their published names, after a step of the optimiser."""
    weights = [parameters[str(name)].detach() for name in file["param_names"]]
    norms = np.array([w.double().norm().item() for w in weights])
    tolerances = file.tolerance(5e-5), file.tolerance(1e-2)
    out.norms("weights after the step, norm", norms, file["after_l2"], *tolerances)
    if file.precise:
        sums = np.array([w.sum().item() for w in weights])
        out.absolute("weights after the step, sum", sums, file["after_sum"], 1e-7)
    file.skip("after_sum")  # in single precision sums over large tensors wander by whole numbers
    running: Sequence[Tensor] = [buffers[str(name)].double() for name in file["buffer_names"]]
    tolerance = file.tolerance(1e-6)
    out.relative("running statistics, norm", [b.norm().item() for b in running], file["buffer_l2"], tolerance)
    out.relative("running statistics, sum", [b.sum().item() for b in running], file["buffer_sum"], tolerance)
