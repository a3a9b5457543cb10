"""What breaks in practice, done on purpose: in a short form within `make test`, in full by `make faults`.

In full every test writes what it found to results.json, and all of that to the table of docs/reliability.md.

FAULTS=full: many of everything. VIDEOS=FOLDER: with real videos (or zips of them) instead of rendered ones.
"""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.end_to_end.conftest import (  # noqa: F401  # fixtures
    Project,
    project,
    sentence_project,
    sentences,
    signs,
    texts,
    trained_sentences,
    trained_texts,
)

FULL = os.environ.get("FAULTS") == "full"
RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
PROJECTS = {"isolated": "project", "continuous": "sentence_project", "translation": "texts"}

Report = Callable[[str, str], None]


def many(short: int, full: int) -> int:
    """How many, in the form that is run."""
    return full if FULL else short


@pytest.fixture
def draw() -> random.Random:
    return random.Random(21)


@pytest.fixture(params=PROJECTS)
def task(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def of_task(task: str, request: pytest.FixtureRequest) -> Project:
    """A project of each task, one after the other."""
    return request.getfixturevalue(PROJECTS[task])


@pytest.fixture
def report() -> Report:
    """Keeps what was done and what came of it: a row of the table."""

    def keep(done: str, found: str) -> None:
        if not FULL:
            return
        with FileLock(RESULTS.with_suffix(".lock")):
            rows = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
            rows[done] = found
            RESULTS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
            before, _, rest = PAGE.read_text().partition(BEGIN)
            _, _, after = rest.partition(END)
            lines = ["| what was done | what came of it |", "| --- | --- |"]
            lines += [f"| {done} | {rows[done]} |" for done in sorted(rows)]
            PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n\n{END}{after}")

    return keep
