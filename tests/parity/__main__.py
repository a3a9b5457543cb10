"""The golden comparison as a table.

    python -m tests.parity [DIRECTORY ...] [--fast off|on|both] [--device cuda]

Every quantity that a network computes is compared twice: with the plain network, and with the passes of modeling/fast
over it (marked "fast" in the table).

A directory has `fp32/` and `fp64/` with .npz files and the unit files; manifest, key lists and recipe come from it,
else from its parent; the salt from its file SALT, else it is empty. Which network it is of, its manifest says. Prints
one line a quantity and exits with 1 if any differs by more than its tolerance.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from tests.parity.continuous import STAGES, ContinuousSet
from tests.parity.golden import FAST, Case, Comparison, GoldenSet, Row, find
from tests.parity.isolated import IsolatedSet

TESTS = Path(__file__).parents[1]
SHIPPED = [TESTS / "golden" / "open", TESTS / "golden_two_stream" / "open"]


def golden_set(directory: Path, device: str = "cpu") -> GoldenSet:
    """The set in a directory, of the kind that its manifest says."""
    entries = json.loads(find(directory, "manifest.json").read_text()).values()
    continuous = any(isinstance(entry, dict) and entry.get("model") in STAGES for entry in entries)
    return ContinuousSet(directory, device) if continuous else IsolatedSet(directory, device)


def _chosen(golden: GoldenSet, only: str, fast: str) -> dict[str, Case]:
    cases = golden.cases()
    if not cases:
        raise SystemExit(f"{golden.directory}: no recordings, fp32/*.npz or fp64/*.npz")
    networks = {name.removesuffix(FAST) for name in cases if name.endswith(FAST)}
    left_out = {"off": {name + FAST for name in networks}, "on": networks, "both": set[str]()}[fast]
    return {name: case for name, case in cases.items() if only in name and name not in left_out}


def _print(comparison: Comparison) -> None:
    for row in comparison.rows:
        verdict = "ok" if row.passed else "FAILED"
        print(
            f"{row.case:37} {row.quantity:52} {row.difference:10.2e} {row.tolerance:10.2e}  {verdict}",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directories", nargs="*", metavar="DIRECTORY", type=Path, default=SHIPPED)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument(
        "--fast", choices=["off", "on", "both"], default="both", help="with the fast passes, without, or both"
    )
    parser.add_argument("--device", default="cpu", help="to compute on; default: %(default)s")
    arguments = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = False
    sets = [golden_set(directory, arguments.device) for directory in arguments.directories]
    chosen = [_chosen(golden, arguments.only, arguments.fast) for golden in sets]
    rows: list[Row] = []
    for golden, cases in zip(sets, chosen, strict=True):
        print(golden.directory)
        print(f"{'case':37} {'quantity':52} {'difference':>10} {'tolerance':>10}  verdict")
        for case in cases.values():
            comparison = case()
            _print(comparison)
            rows += comparison.rows
    for golden in sets:
        for name, reason in golden.not_compared.items():
            print(f"not compared: {name}: {reason}")
    for kind, some in (
        ("fast pass", [row for row in rows if row.case.endswith(FAST)]),
        ("plain", [row for row in rows if not row.case.endswith(FAST)]),
        ("in all", rows),
    ):
        print(f"{kind}: {len(some)} quantities compared, {sum(not row.passed for row in some)} failed")
    print(f"{sum(map(len, chosen))} comparisons with files")
    return 0 if rows and all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
