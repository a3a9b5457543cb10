"""Files that are never seen half written, and JSON that is what it should be."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from utils.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to, which then takes its place; `path` is the old or the whole new one.

    It can be a folder if there is no old one.
    """
    partial = path.with_name(path.name + ".partial")
    yield partial
    partial.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as UTF-8 JSON; the folder is made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def read_json(path: Path, kind: type) -> Any:
    """The content of a JSON file whose outermost value is a `list` or a `dict`.

    Raises:
        UserError: the file is missing, no JSON, or of another kind.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON file: {error}") from None
    if not isinstance(content, kind):
        raise UserError(f"{path}: expected a JSON {'list' if kind is list else 'object'}")
    return content
