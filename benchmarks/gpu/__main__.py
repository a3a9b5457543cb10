"""Everything about a GPU in figures: the method's numbers on it, speed, memory, and how long it waits for data.

    python -m benchmarks.gpu [PART ...] [--rows TEXT] [--small] [--out benchmarks/results_gpu.json]

Each part takes at most nine minutes and can be run by itself; what is in the file already is not measured again, so the
same command continues. --small tries everything at small size, without a GPU too; such figures say nothing. See
docs/performance.md.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.measure import Figures, Setting
from benchmarks.gpu.parts import PARTS
from utils.files import write_json


def machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    return f"{name}, {os.cpu_count()} cores, torch {torch.__version__}"


def table(part: str, rows: dict[str, Figures]) -> str:
    """In Markdown."""
    names = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    lines = [f"| {part} | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    for row, figures in rows.items():
        lines.append(f"| {row} | {' | '.join(_shown(figures.get(name, '')) for name in names)} |")
    return "\n".join(lines)


def _shown(figure: float | str) -> str:
    return figure if isinstance(figure, str) else f"{figure:.4g}" if abs(figure) < 1000 else f"{figure:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"default: all of {', '.join(PARTS)}")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--small", action="store_true", help="small sizes, to try it out")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results_gpu.json"))
    arguments = parser.parse_args()
    if unknown := [part for part in arguments.parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if not arguments.small and not torch.cuda.is_available():
        parser.error("there is no GPU here; --small tries the parts without one")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    setting = Setting(device, arguments.small)
    content: dict[str, Any] = {"machine": machine(device), "small": arguments.small, "parts": {}}
    if arguments.out.is_file():
        earlier = json.loads(arguments.out.read_text())
        if (earlier["machine"], earlier["small"]) == (content["machine"], content["small"]):
            content = earlier
    print(content["machine"], flush=True)
    for part in arguments.parts or PARTS:
        rows: dict[str, Figures] = content["parts"].setdefault(part, {})
        for name, measure in PARTS[part](setting):
            if name in rows or arguments.rows not in name:
                continue
            started = time.perf_counter()
            try:
                rows[name] = measure()
            except (torch.OutOfMemoryError, RuntimeError) as error:
                rows[name] = {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
            print(f"{part}: {name}: {rows[name]} ({time.perf_counter() - started:.0f} s)", flush=True)
            write_json(arguments.out, content)
    for part, rows in content["parts"].items():
        print(f"\n{table(part, rows)}")


if __name__ == "__main__":
    main()
