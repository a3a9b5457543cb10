"""Files that are never seen half written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a file beside `path` to write to, which then takes its place; `path` is the old or the whole new one."""
    partial = path.with_name(path.name + ".partial")
    yield partial
    partial.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as UTF-8 JSON; the folder is made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
