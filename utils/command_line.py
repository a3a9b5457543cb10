"""What the command lines of all entry points share. Free of heavy imports."""

import argparse
import os

from utils.cores import allowed_cores, usable_cores
from utils.errors import UserError


def entry_point_parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """A parser that takes overrides of the configuration (`example` shows one) and what launchers add.

    Use its `parse_intermixed_args`.
    """
    share_cores()
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--local-rank", "--local_rank", type=int, help=argparse.SUPPRESS
    )  # from older launchers
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=f"e.g. {example}")
    return parser


def share_cores() -> None:
    """Tell torch, which reads this as it is loaded, of a container's limit, which it does not see; and let threads that
    wait for one another sleep soon. By default they keep the cores busy meanwhile, and two programs on the same cores
    are then each ten times slower than alone, not two."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if (cores := usable_cores()) < allowed_cores():
        os.environ.setdefault("OMP_NUM_THREADS", str(cores))


def add_processes(parser: argparse.ArgumentParser) -> None:
    """The option of programs that work on several processes, as many as there are cores by default."""
    parser.add_argument(
        "--processes", type=_positive_number, default=usable_cores(), help="how many work at once"
    )


def _positive_number(text: str) -> int:
    if (number := int(text)) < 1:
        raise UserError("--processes: must be at least 1")
    return number
