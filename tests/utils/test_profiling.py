"""The profile of a training."""

import json
from pathlib import Path

import torch

from utils.profiling import RECORDED, SKIPPED, profiled


def test_trace_and_table_of_some_steps(tmp_path: Path) -> None:
    with profiled(tmp_path / "profile") as record_step:
        for _ in range(SKIPPED + RECORDED + 2):
            torch.ones(64, 64) @ torch.ones(64, 64)
            record_step()
    events = json.loads((tmp_path / "profile" / "trace.json").read_text())["traceEvents"]
    assert len([event for event in events if event.get("name") == "aten::mm"]) == RECORDED
    assert "aten::mm" in (tmp_path / "profile" / "table.txt").read_text()


def test_nothing_is_recorded_unasked(tmp_path: Path) -> None:
    with profiled(None) as record_step:
        record_step()
    assert not list(tmp_path.iterdir())
