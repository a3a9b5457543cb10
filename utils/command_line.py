"""What the command lines of all entry points share. Free of heavy imports."""

import argparse
import os

from utils.errors import UserError


def entry_point_parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """A parser that takes overrides of the configuration (`example` shows one) and what launchers add.

    Use its `parse_intermixed_args`.
    """
    _share_cores()
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--local-rank", "--local_rank", type=int, help=argparse.SUPPRESS
    )  # from older launchers
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=f"e.g. {example}")
    return parser


def _share_cores() -> None:
    """Let threads that wait for one another sleep soon. By default they keep the cores busy meanwhile, and two programs
    on the same cores are then each ten times slower than alone, not two. Read as torch is loaded."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def add_processes(parser: argparse.ArgumentParser) -> None:
    """The option of programs that work on several processes, as many as there are cores by default."""
    parser.add_argument(
        "--processes", type=_positive_number, default=os.cpu_count() or 1, help="how many work at once"
    )


def _positive_number(text: str) -> int:
    if (number := int(text)) < 1:
        raise UserError("--processes: must be at least 1")
    return number
