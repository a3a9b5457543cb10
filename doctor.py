"""Say what this machine can do, and what a training on it will take.

    python doctor.py
    python doctor.py --config configs/rgb_frame64.yaml [key=value ...]

Every line is a verdict (ok, note or bad) with what was measured. With a configuration it also reads clips as its
training would, and trains some steps in memory; nothing is written. Exit code 1 if something is bad.
"""

import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from configs.schema import Config, load_experiment
from utils.command_line import entry_point_parser
from utils.cores import allowed_cores, usable_cores
from utils.errors import UserError, run_entry_point

if TYPE_CHECKING:
    import torch

Verdict = Literal["ok", "note", "bad"]
STEPS = 4  # of training that are tried; the first one is not counted
MIB, GIB = 2**20, 2**30


class Finding(NamedTuple):
    verdict: Verdict
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:5} {self.what:14} {self.text}"


def main() -> int:
    parser = entry_point_parser(__doc__, "training.batch_size=4")
    parser.add_argument("--config", type=Path, help="YAML file of an experiment")
    arguments = parser.parse_intermixed_args()
    if arguments.config is None and arguments.overrides:
        raise UserError("--config: missing; key=value changes a configuration")
    config = load_experiment(arguments.config, arguments.overrides) if arguments.config else None
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("versions", versions),
        ("cores", cores),
        ("device", device),
        ("arithmetic", arithmetic),
        ("decoding", decoding),
        ("disk", lambda: disk(Path(config.run) if config else Path())),
        ("shared memory", shared_memory),
        ("processes", processes),
    ]
    if config is not None:
        checks.append(("training", lambda: training(config)))
    worst = 0
    for what, check in checks:
        try:
            for finding in check():
                print(finding, flush=True)
                worst = max(worst, finding.verdict == "bad")
        except UserError as error:
            print(Finding("bad", what, str(error)), flush=True)
            worst = 1
    return worst


def versions() -> Iterator[Finding]:
    import av
    import cv2
    import numpy
    import torch

    found = (
        f"torch {torch.__version__}, numpy {numpy.__version__}, av {av.__version__}, opencv {cv2.__version__}"
    )
    yield Finding("ok", "versions", f"Python {platform.python_version()} on {platform.machine()}, {found}")


def cores() -> Iterator[Finding]:
    import torch

    usable, threads = usable_cores(), torch.get_num_threads()
    text = f"{usable} of {os.cpu_count()} can be used, {threads} threads compute"
    if threads > usable:
        yield Finding("bad", "cores", f"{text}: too many, set OMP_NUM_THREADS={usable}")
    elif usable < allowed_cores():
        yield Finding(
            "note", "cores", f"{text}; the container's limit is below what its processes may run on"
        )
    else:
        yield Finding("ok", "cores", text)


def device() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        yield Finding(
            "note", "device", "no GPU that torch can use; small models train on a CPU, large ones in weeks"
        )
        return
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        text = f"{torch.cuda.get_device_name(number)}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
        yield Finding("ok" if free > 0.9 * total else "note", f"GPU {number}", text)


def arithmetic() -> Iterator[Finding]:
    """A convolution of S3D, in the memory formats and types that there are."""
    import torch

    from modeling.engine import has_bf16_units
    from utils.distributed import choose_device

    place = choose_device("auto")
    plain = seconds_of(place, torch.float32, torch.contiguous_format)
    layout = plain / seconds_of(place, torch.float32, torch.channels_last_3d)
    text = f"channels_last is {layout:.1f} times as fast as contiguous"
    if has_bf16_units(place):
        both = plain / seconds_of(place, torch.bfloat16, torch.channels_last_3d)
        yield Finding("ok" if both > 1 else "note", "arithmetic", f"{text}, with bf16 {both:.1f} times")
    else:
        yield Finding("note", "arithmetic", f"{text}; no units for bf16, so encoders compute in fp32")


def seconds_of(place: "torch.device", dtype: "torch.dtype", format: "torch.memory_format") -> float:
    """Of a convolution [2, 64, 8, 56, 56] with a kernel of 1 x 3 x 3 to 192 channels, and its gradients."""
    import torch

    convolution = torch.nn.Conv3d(64, 192, (1, 3, 3), padding=(0, 1, 1), device=place, dtype=dtype)
    convolution.to(memory_format=format)  # type: ignore[call-overload]
    x = torch.randn(2, 64, 8, 56, 56, device=place, dtype=dtype).to(memory_format=format)

    def compute() -> None:
        convolution(x).sum().backward()
        if place.type == "cuda":
            torch.cuda.synchronize()

    return median_seconds(compute)


def median_seconds(compute: Callable[[], object], times: int = 4) -> float:
    """Without the first time."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        compute()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def decoding() -> Iterator[Finding]:
    """A clip as WLASL has them: h264, 256 x 256 pixels."""
    import numpy as np

    from dataset.config import Picture
    from dataset.synthetic.rendering import encode
    from dataset.video import decode_video

    frames = 64
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8).repeat(12, 0).repeat(12, 1)
    moving = np.stack([noise[i : i + 256, i : i + 256] for i in range(frames)])
    content = encode(moving, fps=25)
    seconds = median_seconds(lambda: decode_video(content, np.arange(frames), Picture(256, 256)))
    speed = frames / seconds
    text = f"{speed:.0f} frames of 256 x 256 a second on one core, {speed / frames:.0f} clips of {frames}"
    yield Finding("ok" if speed > 500 else "note", "decoding", text)


def disk(folder: Path) -> Iterator[Finding]:
    """Where the run is to be written."""
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())
    content = os.urandom(64 * MIB)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            started = time.perf_counter()
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            speed = len(content) / (time.perf_counter() - started)
    except OSError as error:
        yield Finding("bad", "disk", f"{there}: cannot be written ({error.strerror})")
        return
    free = shutil.disk_usage(there).free
    text = f"{there}: {free / GIB:.1f} GiB free, written at {speed / MIB:.0f} MiB a second"
    yield Finding("ok" if free > 5 * GIB else "note", "disk", text)


def shared_memory() -> Iterator[Finding]:
    place = Path("/dev/shm")
    if not place.is_dir():
        yield Finding("ok", "shared memory", "this system has no /dev/shm")
        return
    total = shutil.disk_usage(place).total
    text = f"{place} has {total / MIB:.0f} MiB"
    if total < 64 * MIB:
        yield Finding(
            "note", "shared memory", f"{text}; frames do not go through it, other batches do: --shm-size=1g"
        )
    else:
        yield Finding("ok", "shared memory", text)


def processes() -> Iterator[Finding]:
    """Adds up a number over two processes on the CPU, or one for each GPU."""
    import torch
    from torch import distributed, multiprocessing

    count = torch.cuda.device_count()
    backend = "nccl" if count > 1 else "gloo"
    if count > 1 and not distributed.is_nccl_available():
        yield Finding("bad", "processes", "this torch has no nccl, which several GPUs need")
        return
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            multiprocessing.spawn(add_up, (backend, max(2, count), f"{folder}/store"), max(2, count))
        except (RuntimeError, multiprocessing.ProcessRaisedException) as error:
            last = str(error).strip().splitlines()[-1]
            yield Finding("bad", "processes", f"{backend} does not connect processes of this machine: {last}")
            return
    seconds = time.perf_counter() - started
    yield Finding(
        "ok",
        "processes",
        f"{max(2, count)} add up by {backend}, in {seconds:.0f} s with their start",
    )


def add_up(rank: int, backend: str, count: int, store: str) -> None:
    import torch
    from torch import distributed

    distributed.init_process_group(backend, init_method=f"file://{store}", rank=rank, world_size=count)
    total = torch.ones(1, device=torch.device("cuda", rank) if backend == "nccl" else "cpu")
    distributed.all_reduce(total)
    assert total.item() == count
    distributed.destroy_process_group()


def training(config: Config) -> Iterator[Finding]:
    """Some steps of an experiment, as `training.train` does them, on one process."""
    import torch

    from dataset.batch import DamageLog
    from dataset.loader import TrainingSchedule, training_loader
    from modeling.engine import accelerate
    from modeling.optimizer import build_optimizer
    from tasks import build_task
    from utils.distributed import start_processes

    alone = start_processes(config.runtime.device)
    task = build_task(config, alone)
    dataset = task.training_data()
    yield Finding("ok", "data", task.summary())
    schedule = TrainingSchedule(dataset, config.training.batch_size, config.training.epochs, config.seed)
    network = task.build_network().to(device=alone.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    how = accelerate(network, config.runtime)
    step = task.training_step(network, network, build_optimizer(network, config.training))
    damage = DamageLog(dataset.names, 1.0)
    reading, computing, problems = [], [], []
    loader = training_loader(dataset, schedule, config.data.workers, alone.device.type == "cuda")
    with closing(iter(loader)) as batches:
        for number in range(min(STEPS, len(schedule))):
            started = time.perf_counter()
            batch = next(batches)
            problems += damage.note(batch)
            batch = batch.to(alone.device)
            read = time.perf_counter()
            step(task.parts(batch, number), 0)
            if alone.device.type == "cuda":
                torch.cuda.synchronize()
            reading.append(read - started)
            computing.append(time.perf_counter() - read)
    for problem in problems:
        yield Finding("note", "data", problem)
    waited, computed = (statistics.median(seconds[1:] or seconds) for seconds in (reading, computing))
    share = waited / (waited + computed)
    text = f"a step of {config.training.batch_size} clips computes {computed:.2f} s and waits {waited:.2f} s for data"
    yield Finding(
        "ok" if share < 0.2 else "note", "reading", text + ("; raise data.workers" if share >= 0.2 else "")
    )
    steps = schedule.steps_per_epoch
    epoch = steps * (waited + computed) / 60
    yield Finding(
        "ok",
        "epoch",
        f"{epoch:.1f} minutes of {steps} steps without validation, {epoch * config.training.epochs / 60:.1f} hours for "
        f"{config.training.epochs} of them; {task.precision()}, {how}",
    )
    yield memory(alone.device)


def memory(place: "torch.device") -> Finding:
    """What the steps took at most, of what there is."""
    import resource

    import torch

    if place.type == "cuda":
        used, total = torch.cuda.max_memory_reserved(place), torch.cuda.mem_get_info(place)[1]
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        of = [
            resource.getrusage(who).ru_maxrss * unit
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        used, total = sum(of), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    verdict: Verdict = "ok" if used < 0.8 * total else "note"
    text = f"{used / GIB:.1f} of {total / GIB:.1f} GiB" + (
        "" if verdict == "ok" else "; training.accumulate needs less"
    )
    return Finding(verdict, "memory", text)


if __name__ == "__main__":
    run_entry_point(main)
