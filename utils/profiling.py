"""Where the time of a training step goes: a trace for a browser and a table."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule
from tqdm import tqdm

SKIPPED, RECORDED = 3, 3  # steps: the first ones prepare operations and memory


@contextmanager
def profiled(folder: Path | None) -> Iterator[Callable[[], None]]:
    """Records some steps of what runs inside; call what it gives after each step.

    Args:
        folder: gets `trace.json`, for chrome://tracing or https://ui.perfetto.dev, and `table.txt`, the operations by
            their own time; None records nothing.
    """
    if folder is None:
        yield lambda: None
        return
    out = folder

    def write(recorded: profile) -> None:
        out.mkdir(parents=True, exist_ok=True)
        recorded.export_chrome_trace(str(out / "trace.json"))
        table = recorded.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=30)
        (out / "table.txt").write_text(f"{RECORDED} steps\n{table}\n")
        tqdm.write(
            f"{out}: trace.json and table.txt say where the time of {RECORDED} steps went", file=sys.stderr
        )

    device = "cuda" if torch.cuda.is_available() else "cpu"
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    plan = schedule(wait=SKIPPED - 1, warmup=1, active=RECORDED, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=write) as recording:
        yield recording.step
