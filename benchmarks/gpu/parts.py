"""What is measured on a GPU: each part yields rows, a name and a function that gives its figures."""

import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import demo
from benchmarks.cases import write_clips
from benchmarks.gpu.measure import Figures, Setting, free, timed, wait
from benchmarks.networks import TaskName, encoders, evaluation, experiment, operations, training
from configs.build import clip_format
from configs.schema import IsolatedConfig
from dataset.annotations import Clip
from dataset.clips import ClipDataset, ClipReader
from dataset.config import DataConfig
from dataset.keypoints import write_keypoints
from dataset.loader import TrainingSchedule, training_loader
from dataset.synthetic.sign_set import SignSetConfig
from modeling.pose.estimator import NUM_KEYPOINTS
from modeling.pose.hrnet import HRNetEstimator, HRNetW48
from modeling.pose.person import WholeFrame

Row = tuple[str, Callable[[], Figures]]
TASKS: list[TaskName] = ["isolated", "continuous"]
BATCHES, SMALL_BATCH = (1, 4, 8), 2
COMPILED = 8  # the batch for which the network is compiled: minutes each
VARIANTS: dict[str, dict[str, Any]] = {
    "plain fp32": {"ours": False},
    "plain TF32": {"ours": False, "tf32": True},
    "fp32": {"ours": True, "precision": "fp32", "fast": "off"},
    "bf16": {"ours": True, "precision": "bf16", "fast": "off"},
    "bf16, fast": {"ours": True, "precision": "bf16", "fast": "on"},
}
DEFAULT = VARIANTS["bf16, fast"]
COMPILE: dict[str, dict[str, Any]] = {
    f"compiled {name}": VARIANTS[name] | {"compile": True} for name in ("bf16", "bf16, fast")
}
ROOT = Path(__file__).parents[2]


def ceiling(setting: Setting) -> Iterator[Row]:
    """Multiplications and additions a second of large matrix products."""
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        yield name, partial(_product, setting, dtype)


def _product(setting: Setting, dtype: torch.dtype) -> Figures:
    size = 512 if setting.small else 8192

    def build() -> Callable[[], Tensor]:
        left, right = (torch.randn(size, size, device=setting.device).to(dtype) for _ in range(2))
        return lambda: left @ right

    return {"TFLOP/s": 2 * size**3 / timed(build, setting).median / 1e12}


def golden(setting: Setting) -> Iterator[Row]:
    """The recorded numbers of the published code, computed on the device."""
    for directory in ("tests/golden/open", "tests/golden_two_stream/open"):
        for precision in ("fp32", "fp64"):
            yield f"{directory}, {precision}", partial(_golden, setting, directory, precision)


def _golden(setting: Setting, directory: str, precision: str) -> Figures:
    only = f"{precision}/unit" if setting.small else f"{precision}/"
    command = ["-m", "tests.parity", directory, "--only", only, "--device", str(setting.device)]
    output = _run(command).stdout
    found = re.search(r"in all: (\d+) quantities compared, (\d+) failed", output)
    if found is None:
        raise RuntimeError(output[-500:])
    failed = [" ".join(line.split()) for line in output.splitlines() if line.endswith("FAILED")]
    return {"compared": float(found[1]), "failed": float(found[2]), "which": "; ".join(failed[:5])}


def tests(setting: Setting) -> Iterator[Row]:
    """The tests that compute on a GPU; each is skipped where there is none."""
    yield (
        "tests marked cuda",
        lambda: {"result": _run(["-m", "pytest", "-q", "-m", "cuda"]).stdout.splitlines()[-1]},
    )


def _run(arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)


def train(setting: Setting) -> Iterator[Row]:
    """An optimiser step of the full method from decoded frames."""
    for task in TASKS:
        for batch in (SMALL_BATCH,) if setting.small else BATCHES:
            for name, options in VARIANTS.items():
                yield f"{task}, batch {batch}, {name}", partial(_step, setting, task, batch, options)
        if not setting.small:
            for name, options in COMPILE.items():
                yield f"{task}, batch {COMPILED}, {name}", partial(_step, setting, task, COMPILED, options)


def _step(setting: Setting, task: TaskName, batch: int, options: dict[str, Any]) -> Figures:
    started = time.perf_counter()
    found = timed(lambda: training(batch=batch, task=task, small=setting.small, **options), setting)
    return {
        "seconds": found.median,
        "clips/s": batch / found.median,
        "MiB": found.peak,
        "whole seconds": time.perf_counter() - started,
    }


def evaluate(setting: Setting) -> Iterator[Row]:
    """What is predicted of a clip or a sentence from decoded frames."""
    for task in TASKS:
        batches = (1,) if setting.small or task == "continuous" else BATCHES
        for batch in batches:
            for name, options in VARIANTS.items():
                if name == "plain TF32":
                    continue
                build = partial(evaluation, task=task, small=setting.small, batch=batch, **options)
                yield f"{task}, batch {batch}, {name}", partial(_per_clip, setting, build, batch)


def _per_clip(setting: Setting, build: Any, batch: int) -> Figures:
    found = timed(build, setting)
    return {"seconds": found.median, "clips/s": batch / found.median, "MiB": found.peak}


def share(setting: Setting) -> Iterator[Row]:
    """Encoders and lateral connections alone, forward and backward, against the matrix products of `ceiling`."""
    for task in TASKS:
        for name in ("bf16", "bf16, fast"):
            yield f"{task}, {name}", partial(_share, setting, task, VARIANTS[name])
        if not setting.small:
            for name, options in COMPILE.items():
                yield f"{task}, {name}", partial(_share, setting, task, options)


def _share(setting: Setting, task: TaskName, options: dict[str, Any]) -> Figures:
    batch = SMALL_BATCH if setting.small else COMPILED
    runtime = {name: value for name, value in options.items() if name != "ours"}
    found = timed(lambda: encoders(batch, task, setting.small, backward=True, **runtime), setting)
    rate = 3 * batch * operations(task, setting.small) / found.median
    return {"seconds": found.median, "TFLOP/s": rate / 1e12, "MiB": found.peak}


def kernels(setting: Setting) -> Iterator[Row]:
    """What a training step in bf16 spends its time on: the ten operations with the most of it."""
    for task in TASKS:
        yield task, partial(_kernels, setting, task)


def _kernels(setting: Setting, task: TaskName) -> Figures:
    free()
    turn = training(
        batch=SMALL_BATCH if setting.small else COMPILED, task=task, small=setting.small, **DEFAULT
    )
    turn()
    wait()
    cuda = setting.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as recorded:
        turn()
        wait()
    time_of = (lambda e: e.self_device_time_total) if cuda else (lambda e: e.self_cpu_time_total)
    events = sorted(recorded.key_averages(), key=time_of, reverse=True)
    total = sum(map(time_of, events))
    figures: Figures = {"ms in all": total / 1e3, "launches": sum(event.count for event in events)}
    longest = {
        str(place): f"{100 * time_of(event) / total:.1f} % {event.count} x {event.key[:110]}"
        for place, event in enumerate(events[:10], start=1)
    }
    return figures | longest


def loading(setting: Setting) -> Iterator[Row]:
    """How long a training that reads videos waits for them, for so many loading processes."""
    for workers in (1,) if setting.small else (2, 8, 16):
        yield f"{workers} workers", partial(_loading, setting, workers)


def _loading(setting: Setting, workers: int) -> Figures:
    batch, steps = (SMALL_BATCH, 3) if setting.small else (COMPILED, 40)
    config = experiment("isolated", setting.small)
    assert isinstance(config, IsolatedConfig)
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), 2 * batch, 64, config.data.frame_size)
        names = [f"{i}.mp4" for i in range(2 * batch)]
        points = np.random.default_rng(0).uniform(0, 256, (64, NUM_KEYPOINTS, 3)).astype(np.float32)
        path, size = Path(folder) / "keypoints.safetensors", (config.data.frame_size,) * 2
        write_keypoints(path, dict.fromkeys(names, points), dict.fromkeys(names, size), "random", "1")
        data = DataConfig(index="", videos=f"{folder}/clips.zip", keypoints=str(path))
        reader = ClipReader(data, clip_format(config.model))
        dataset = ClipDataset([Clip(n, "g", "train", n, 64) for n in names], ["g"], reader, crops=None)
        schedule = TrainingSchedule(dataset, batch, steps, seed=0)
        batches = iter(training_loader(dataset, schedule, workers, pin=setting.device.type == "cuda"))
        turn = training(batch=batch, small=setting.small, **DEFAULT)
        waited, started = 0.0, 0.0
        for step in range(steps):
            if step == 1 + steps // 4:  # workers are at full speed
                wait()
                started, waited = time.perf_counter(), 0.0
            before = time.perf_counter()
            next(batches).to(setting.device)
            waited += time.perf_counter() - before
            turn()
            wait()
        whole = time.perf_counter() - started
    return {"waiting, %": 100 * waited / whole, "clips/s": (steps - 1 - steps // 4) * batch / whole}


def hrnet(setting: Setting) -> Iterator[Row]:
    """Keypoints of frames of 256 x 256, of whom the whole is the person, in bf16."""
    for batch in (1,) if setting.small else (16, 64):
        yield f"{batch} frames at a time", partial(_hrnet, setting, batch)


def _hrnet(setting: Setting, batch: int) -> Figures:
    estimator = HRNetEstimator(
        HRNetW48(),
        WholeFrame(),
        "random",
        setting.device,
        flip_test=False,
        batch_size=batch,
        precision="bf16",
    )
    frames = list(np.random.default_rng(0).integers(0, 256, (4 * batch, 256, 256, 3), dtype=np.uint8))
    found = timed(lambda: lambda: list(estimator.estimate(frames)), setting)
    return {"frames/s": len(frames) / found.median, "MiB": found.peak}


def largest(setting: Setting) -> Iterator[Row]:
    """The largest batch, a power of two, of a training step in bf16 on a card of 24 GB and on this one; and what the
    published batch of 32 takes in parts."""
    for task in TASKS:
        for name in ("bf16", "bf16, fast"):
            for gigabytes in (24, None):
                where = "this card" if gigabytes is None else f"{gigabytes} GB"
                yield f"{task}, {name}, {where}", partial(_largest, setting, task, VARIANTS[name], gigabytes)
    for parts in (4, 8):
        yield f"isolated, bf16, fast, batch 32 in {parts} parts", partial(_parts, setting, parts)


def _largest(setting: Setting, task: TaskName, options: dict[str, Any], gigabytes: int | None) -> Figures:
    if setting.device.type == "cuda":
        whole = torch.cuda.get_device_properties(setting.device).total_memory
        allowed = 1.0 if gigabytes is None else min(1.0, gigabytes * 1e9 / whole)
        torch.cuda.set_per_process_memory_fraction(allowed)
    figures: Figures = {"clips": 0}
    batch, most = (SMALL_BATCH,) * 2 if setting.small else (1, 128)
    try:
        while batch <= most:
            free()
            turn = training(batch=batch, task=task, small=setting.small, **options)
            for _ in range(2):  # the second one has the optimiser's state
                turn()
                wait()
            figures = {"clips": batch, "MiB": _peak()}
            batch *= 2
    except torch.OutOfMemoryError:
        pass
    finally:
        if setting.device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
    return figures


def _peak() -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0


def _parts(setting: Setting, parts: int) -> Figures:
    batch = SMALL_BATCH * parts if setting.small else 32
    build = partial(training, batch=batch, small=setting.small, accumulate=parts, **DEFAULT)
    return _per_clip(setting, build, batch)


def precision(setting: Setting) -> Iterator[Row]:
    """The embedded signs learnt in fp32 and in bf16: top-1 of three crops on the test split, all runs at once."""
    yield "demo.py", partial(_precision, setting)


def _precision(setting: Setting) -> Figures:
    seeds = (1,) if setting.small else (1, 2, 3)
    runs = [(seed, name) for seed in seeds for name in ("fp32", "bf16")]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(len(runs), os.cpu_count() or 1), context) as pool:
        found = list(pool.map(partial(_demo, setting), runs))
    return {f"seed {seed}, {name}": top for (seed, name), top in zip(runs, found, strict=True)}


def _demo(setting: Setting, run: tuple[int, str]) -> float:
    seed, name = run
    overrides = [f"runtime.precision={name}", f"runtime.device={setting.device.type}"]
    sign_set = SignSetConfig(seed=seed)
    if setting.small:
        overrides.append("training.epochs=1")
        sign_set = SignSetConfig(seed=seed, glosses=4, train_clips=4, dev_clips=1, test_clips=1)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        demo.run(Path(folder), seed, sign_set, overrides)
        final = json.loads((Path(folder) / "summary.json").read_text())["final"]
    top: float = final["accuracy"]["3_crop"]["per_instance"]["top_1"]
    return top


PARTS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    part.__name__: part
    for part in (ceiling, golden, tests, train, evaluate, share, kernels, loading, hrnet, largest, precision)
}
