"""How fast `dataset.prepare` is on several processes against one.

    python -m benchmarks.prepare_data FOLDER [--processes 2] [--repeats 3]

FOLDER holds recordings as `dataset.prepare folder` wants them. Runs alternate; the ratio is that of the medians.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from dataset.prepare.build import build
from dataset.prepare.cutting import Size
from dataset.prepare.folder import plan_folder
from dataset.prepare.recordings import SourceFiles


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    files = SourceFiles(arguments.folder)
    plan = plan_folder(files, None, seed=321)
    rates: dict[int, list[float]] = {1: [], arguments.processes: []}
    for _ in range(arguments.repeats):
        for processes, found in rates.items():
            with tempfile.TemporaryDirectory() as out:
                started = time.perf_counter()
                build(plan, files, Path(out) / "out", Size(256, keep_shape=True), processes)
                found.append(len(plan.recordings) / (time.perf_counter() - started))
            print(f"{processes} process(es): {found[-1]:.2f} clips/s", flush=True)
    one, several = (statistics.median(found) for found in rates.values())
    print(
        f"{len(plan.recordings)} clips, {arguments.processes} processes against one: {several / one:.2f} times as fast"
    )


if __name__ == "__main__":
    main()
