"""The one exception for a user's mistake, and how an entry point ends on it.

A `UserError` carries one line: what is wrong, where, and what to do. Every other exception is a defect of
this project and keeps its traceback.
"""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input. The message is one line naming the file or key, what was found and what to do."""


def run_entry_point(main: Callable[[], int]) -> None:
    """Run `main` and exit with its status.

    A `UserError` becomes one line on stderr and exit code 2; Ctrl-C, where `main` leaves it, exit code 130.
    """
    try:
        status = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        status = 130
    sys.exit(status)
