"""Write the JSON schemas by which editors check, explain and complete the files of this folder.

    python -m configs.json_schema

`schema.json` is for experiments in isolated recognition, `data/schema.json` for files that hold a `data` section of
theirs; those of continuous recognition are called `continuous.json` and `sentences.json`, and that of experiments in
translation `translation.json`. No key is required, since a
file may leave any to its base or to the command line. What a key means is taken from the comment at its field.
"""

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from configs.schema import Config, ContinuousConfig, IsolatedConfig, TranslationConfig
from dataset.config import DataConfig, SentenceDataConfig
from utils.config import validator
from utils.config_files import BASE, FILE
from utils.files import write_json

FOLDER = Path(__file__).parent

_FIELD = re.compile(r" {4}(?:(\w+): [^#]*)?(?:# (.*))?")  # a field, a comment, or both in one line


def schemas() -> dict[Path, dict[str, Any]]:
    """Every schema, by the path of its file."""
    return {
        FOLDER / "schema.json": _experiment(IsolatedConfig),
        FOLDER / "continuous.json": _experiment(ContinuousConfig),
        FOLDER / "translation.json": _experiment(TranslationConfig),
        FOLDER / "data" / "schema.json": _with_base(_json_schema(DataConfig)),
        FOLDER / "data" / "sentences.json": _with_base(_json_schema(SentenceDataConfig)),
    }


def _experiment(kind: type[Config]) -> dict[str, Any]:
    schema = _json_schema(kind)
    for section in typing.get_type_hints(kind).values():
        if isinstance(section, type) and dataclasses.is_dataclass(section):
            properties = schema["$defs"][section.__name__]["properties"]
            properties[FILE] = _path("the file that holds this section, relative to this one")
    return _with_base(schema)


def _with_base(schema: dict[str, Any]) -> dict[str, Any]:
    schema["properties"][BASE] = _path("the file that this one stands on, relative to it")
    return schema


def _path(description: str) -> dict[str, str]:
    return {"type": "string", "description": description}


def _json_schema(root: type) -> dict[str, Any]:
    schema = validator(root).json_schema()
    for kind in {root, *_dataclasses_in(root)}:
        group = schema if kind is root else schema["$defs"][kind.__name__]
        group["additionalProperties"] = False
        group.pop("required", None)
        own = f"{kind.__name__}("  # starts what a dataclass without a docstring says of itself
        if kind.__doc__ and not kind.__doc__.startswith(own):
            group["description"] = inspect.getdoc(kind)
        for name, value in group["properties"].items():
            value.pop("title", None)  # the name once more, in capitals
            if comment := _comments(kind).get(name):
                value["description"] = comment
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _dataclasses_in(hint: Any) -> Iterator[type]:
    """The dataclasses of the fields, and of theirs."""
    inner = typing.get_type_hints(hint).values() if dataclasses.is_dataclass(hint) else typing.get_args(hint)
    for kind in inner:
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            yield kind
        yield from _dataclasses_in(kind)


def _comments(kind: type) -> dict[str, str]:
    """What the source says above or behind each field of a dataclass and of those it extends."""
    comments: dict[str, str] = {}
    said: list[str] = []
    sources = [inspect.getsource(c) for c in reversed(kind.__mro__) if dataclasses.is_dataclass(c)]
    for line in "\n".join(sources).splitlines():
        name, comment = found.groups() if (found := _FIELD.fullmatch(line)) else (None, None)
        said = [*said, comment] if comment else said if name else []
        if name:
            comments[name] = " ".join(said)
            said = []
    return comments


def main() -> None:
    for path, schema in schemas().items():
        write_json(path, schema)


if __name__ == "__main__":
    main()
