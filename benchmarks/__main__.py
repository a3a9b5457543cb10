"""Ours against the yardstick, the plain network, on this machine: time and memory, side by side.

    python -m benchmarks [--quick] [--only NAME ...] [--out benchmarks/results.json]

Every pair takes turns in two processes; a figure is the median of at least five turns (--quick: two). Prints a table
and writes it, with the spread, as JSON. See docs/performance.md. Without bf16 where the processor has no units for it.
For a GPU there is `python -m benchmarks.gpu`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import cases, networks
from benchmarks.alternation import Measured, Turn, alternate
from benchmarks.cases import write_clips
from benchmarks.networks import TaskName
from dataset.annotations import Clip
from dataset.clips import ClipDataset, ClipFormat, ClipReader
from dataset.config import DataConfig
from dataset.keypoints import write_keypoints
from dataset.loader import evaluation_loader
from modeling.config import RuntimeConfig
from modeling.engine import encoder_dtype
from utils.files import write_json

ROUNDS, QUICK_ROUNDS = 5, 2
WORKERS, STORED_CLIPS = 8, 20_000


@dataclass
class Row:
    """One line of the table. ratio: how many times better `ours` is than `baseline`; the two are medians."""

    name: str
    unit: str
    ours: float
    baseline: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None  # of ours, smallest and largest
    memory: tuple[float, float] | None = None  # ours and baseline, MiB
    wanted: str = ""
    turns: int = 0

    def line(self) -> str:
        other = "" if self.baseline is None else f"{self.baseline:10.3f}"
        ratio = "" if self.ratio is None else f"{self.ratio:7.2f}x"
        memory = "" if self.memory is None else f"{self.memory[0]:8.0f} {self.memory[1]:8.0f} MiB"
        return (
            f"{self.name:44}{self.ours:10.3f}{other:>11} {self.unit:4}{ratio:>9}  {memory:22} {self.wanted}"
        )


def against(name: str, ours: Measured, other: Measured, wanted: str, extra: bool = False) -> Row:
    """extra: compare the memory that a turn takes, else all that the process holds."""
    memory = (ours.extra, other.extra) if extra else (ours.peak, other.peak)
    ratio = other.median / ours.median
    return Row(name, "s", ours.median, other.median, ratio, ours.spread, memory, wanted, len(ours.seconds))


def pair(
    function: Callable[..., Turn], rounds: int, ours: dict[str, Any], other: dict[str, Any]
) -> list[Measured]:
    return alternate([(function, {"ours": True, **ours}), (function, {"ours": False, **other})], rounds)


def heatmaps(rounds: int) -> Iterator[Row]:
    ours, other = pair(cases.heatmaps, rounds, {}, {})
    yield against("heatmaps, 64 + 32 frames", ours, other, "60x", extra=True)


def inter_modality(rounds: int) -> Iterator[Row]:
    for batch, wanted in ((4, "12x, memory 1/3"), (32, "40x, memory 1/20")):
        ours, other = pair(cases.inter_modality, rounds, {"batch": batch}, {"batch": batch})
        yield against(f"inter-modality loss of a head, batch {batch}", ours, other, wanted, extra=True)


def precisions() -> list[str]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return ["fp32", "bf16"] if encoder_dtype(RuntimeConfig(), device) is torch.bfloat16 else ["fp32"]


def variants() -> Iterator[tuple[str, dict[str, Any]]]:
    for precision in precisions():
        yield precision, {"precision": precision}


TASKS: dict[TaskName, str] = {"isolated": "clip", "continuous": "sentence of 100 frames"}


def evaluation(rounds: int) -> Iterator[Row]:
    wanted = {"isolated": {"fp32": "4x", "bf16": "10x"}, "continuous": {"fp32": "2.2x", "bf16": "4x"}}
    for task, sample in TASKS.items():
        for label, options in variants():
            ours, other = pair(networks.evaluation, rounds, {"task": task, **options}, {"task": task})
            aim = wanted[task].get(label, "")
            yield against(f"evaluation of a {sample}, {label}", ours, other, aim)


def crops(rounds: int) -> Iterator[Row]:
    for frames in (40, 80):  # padded, and cut
        entries = [
            (networks.evaluation, {"ours": True, "crops": count, "frames": frames}) for count in (3, 1)
        ]
        three, one = alternate(entries, rounds)
        times, memory = three.median / one.median, (three.peak, one.peak)
        name, wanted = f"3 crops against 1, clip of {frames} frames", "at most 2.6x the time"
        yield Row(name, "s", three.median, one.median, times, three.spread, memory, wanted, rounds)


def training(rounds: int) -> Iterator[Row]:
    wanted = {
        "isolated": {"fp32": "2.2x, memory 0.6x", "bf16": "5x, memory 0.6x"},
        "continuous": {"fp32": "2.2x, memory 0.7x", "bf16": "4x, memory 0.7x"},
    }
    batches: list[tuple[TaskName, int]] = [("isolated", 1), ("isolated", 2), ("continuous", 1)]
    for task, batch in batches:
        for label, options in variants():
            case = {"task": task, "batch": batch}
            ours, other = pair(networks.training, rounds, {**case, **options}, case)
            yield against(
                f"training, {TASKS[task]}, batch {batch}, {label}", ours, other, wanted[task][label]
            )


def floor(rounds: int) -> Iterator[Row]:
    for precision in precisions():
        entries = [
            (networks.evaluation, {"ours": True, "precision": precision}),
            (cases.matrix_product, {"precision": precision}),
        ]
        ours, product = alternate(entries, rounds)
        rate = 10 * 2 * 2048**3 / product.median
        least = networks.operations("isolated") / rate
        name = f"floor of the encoders, {precision}, {rate / 1e9:.0f} GFLOP/s"
        wanted = "0.35x" if precision == "bf16" else ""
        yield Row(name, "s", ours.median, least, least / ours.median, ours.spread, None, wanted, rounds)


def loading(rounds: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), 72)
        entries = [
            (cases.decoding, {"folder": folder}),
            *((cases.loading, {"folder": folder, "workers": n}) for n in (1, 2)),
        ]
        bare, one, two = alternate(entries, rounds)
    times = one.median / bare.median
    name, wanted = "loader, one worker, against PyAV alone", "at most 1.15x the time"
    yield Row(name, "s", one.median, bare.median, times, one.spread, None, wanted, rounds)
    name, ratio = "loader, two workers against one", one.median / two.median
    yield Row(name, "s", two.median, one.median, ratio, two.spread, None, "1.8x", rounds)


def workers_memory(rounds: int) -> Iterator[Row]:
    """How much anonymous memory each of many loading processes gains while all keypoints are read once."""
    # More workers than cores, on purpose.
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    with tempfile.TemporaryDirectory() as folder:
        path, rng = Path(folder) / "keypoints.safetensors", np.random.default_rng(0)
        names = [f"clip{i}" for i in range(STORED_CLIPS)]
        points = {name: rng.random((60, 133, 3), dtype=np.float32) for name in names}
        write_keypoints(path, points, dict.fromkeys(names, (256, 256)), "random", "1")
        del points
        reader = ClipReader(
            DataConfig(index="", keypoints=str(path)), ClipFormat(64, False, list(range(63)), 256)
        )
        dataset = ClipDataset(
            [Clip(name, "g", "test", name, 60) for name in names], ["g"], reader, ["central"]
        )
        batches = iter(evaluation_loader(dataset, 16, WORKERS, pin=False))
        next(batches)
        workers = [Path(f"/proc/{pid}/smaps_rollup") for pid in _children()]
        before = [_anonymous(path) for path in workers]
        for number, _ in enumerate(batches):
            if number == STORED_CLIPS // 16 - 4 * WORKERS:
                break
        growth = [_anonymous(path) - start for path, start in zip(workers, before, strict=True)]
    name = f"memory gained by each of {WORKERS} workers, {STORED_CLIPS} clips"
    yield Row(name, "MiB", max(growth), wanted="less than 100 MB", turns=1)


def _children() -> list[int]:
    return [int(x) for x in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _anonymous(path: Path) -> float:
    lines = dict(line.split(":") for line in path.read_text().splitlines()[1:])
    return int(lines["Anonymous"].split()[0]) / 1024


def starting(rounds: int) -> Iterator[Row]:
    wrong = ["--config", "configs/rgb_frame64.yaml", "training.epoch=1"]
    for name, arguments in (("training.py --help", ["--help"]), ("a configuration error", wrong)):
        seconds = []
        for _ in range(rounds + 1):
            started = time.perf_counter()
            subprocess.run([sys.executable, "training.py", *arguments], capture_output=True)
            seconds.append(time.perf_counter() - started)
        measured = Measured(seconds[1:])
        wanted = "less than 1 s"
        yield Row(name, "s", measured.median, spread=measured.spread, wanted=wanted, turns=rounds)


BENCHMARKS = {
    "heatmaps": heatmaps,
    "inter_modality": inter_modality,
    "evaluation": evaluation,
    "crops": crops,
    "training": training,
    "floor": floor,
    "loading": loading,
    "workers_memory": workers_memory,
    "starting": starting,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} turns each")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results.json"))
    arguments = parser.parse_args()
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    device = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    )
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {device}, torch {torch.__version__}"
    print(machine)
    print(f"{'':44}{'ours':>10}{'baseline':>11} {'':4}{'ratio':>9}  memory: ours, baseline   wanted")
    content: dict[str, Any] = {"machine": machine, "rows": {}}
    if arguments.out.is_file() and set(arguments.only) != set(BENCHMARKS):
        earlier = json.loads(arguments.out.read_text())
        content["rows"] = earlier["rows"] if earlier["machine"] == machine else {}
    for name in arguments.only:
        rows = []
        for row in BENCHMARKS[name](rounds):
            print(row.line(), flush=True)
            rows.append(vars(row))
        content["rows"][name] = rows
        write_json(arguments.out, content)


if __name__ == "__main__":
    main()
