"""What the command lines of all entry points share. Free of heavy imports."""

import argparse


def entry_point_parser(description: str | None, example: str) -> argparse.ArgumentParser:
    """A parser that takes overrides of the configuration (`example` shows one) and what launchers add.

    Use its `parse_intermixed_args`.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--local-rank", "--local_rank", type=int, help=argparse.SUPPRESS
    )  # from older launchers
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=f"e.g. {example}")
    return parser
