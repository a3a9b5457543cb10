"""The measurements of a GPU, at small size on the CPU: that they run, and continue."""

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.__main__ import main

PARTS = ["ceiling", "train", "evaluate", "share", "kernels", "loading"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU there is `make gpu`")
def test_every_row_has_figures_and_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.json"
    for rows in ("continuous", "bf16", "1 workers"):
        chosen = [part for part in PARTS if rows != "bf16" or part == "ceiling"]
        monkeypatch.setattr(sys, "argv", ["gpu", *chosen, "--small", "--rows", rows, "--out", str(out)])
        main()
    found = json.loads(out.read_text())["parts"]
    assert sorted(part for part, rows in found.items() if rows) == sorted(PARTS)
    assert not [row for rows in found.values() for row in rows.values() if "error" in row]
    capsys.readouterr()
    main()
    assert "loading: " not in capsys.readouterr().out  # the table alone
