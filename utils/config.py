"""Strict configuration: nested dataclasses filled from YAML files and command-line overrides.

A file may name another as its `base:` and give only its differences. A section may be kept in a file of its own:
`data: {file: my_data.yaml}` stands for all that beneath it says about `data`. Any key can be overridden as
`key.path=value`. An unknown key, a wrong type or an impossible value is one line that names the file and the key.
`utils/config_files.py` reads the files, pydantic checks the values.
"""

import dataclasses
import difflib
import functools
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails, to_json

from utils.config_files import Origins, describe, read_values, yaml_text
from utils.errors import UserError

T = TypeVar("T")

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class ConfigError(UserError, ValueError):
    """An impossible value. Raised by the dataclasses with the key's own name; the loader adds where it is.

    A ValueError, because pydantic adds the path of the section to those.
    """

    def __init__(self, key: str, message: str):
        super().__init__(f"{key}: {message}")
        self.key, self.message = key, message


def load_config(schema: type[T], path: Path | None, overrides: list[str] | None = None) -> T:
    """The configuration in a YAML file, its bases merged beneath it and `overrides` on top.

    Args:
        schema: the dataclass to fill.
        path: the YAML file; `base:` and `file:` in it are relative to it. None for the overrides alone.
        overrides: `key.path=value`, the value in YAML; `section.file=` is relative to the working folder.

    Raises:
        UserError: a file is missing or no YAML, a key is unknown, a value has the wrong type or is impossible.
    """
    values, origins = read_values(path, overrides or [])
    return _build(schema, values, origins)


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass tree as plain dicts and lists."""
    return _plain(dataclasses.asdict(config))


def to_yaml(config: Any) -> str:
    """The resolved configuration as YAML, every key spelled out."""
    return yaml_text(to_dict(config))


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The innermost values of nested dicts under their dotted keys, as they are written on the command line."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{path}{key}.") if isinstance(value, Mapping) else {path + key: value}
    return found


def from_dict(schema: type[T], values: dict[str, Any], where: str) -> T:
    """The inverse of `to_dict`, as strict as a file; `where` names the source in errors."""
    return _build(schema, values, Origins({"": where}))


@functools.cache
def validator(schema: type) -> TypeAdapter[Any]:
    """What checks values against a dataclass and those in it, none of which needs to know of pydantic."""
    return TypeAdapter(with_config(_STRICT)(schema))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _build(schema: type, values: dict[str, Any], origins: Origins) -> Any:
    try:  # as JSON: what pydantic takes strictly from JSON is what YAML can say, such as a list for a tuple
        return validator(schema).validate_json(to_json(values, fallback=str))
    except ValidationError as error:
        path, message = _first_mistake(schema, error.errors(include_url=False))
    except ValueError as error:  # no JSON: bytes in a checkpoint, half a character on the command line
        path, message = "", str(error)
    raise UserError(": ".join(part for part in (origins.of(path), path, message) if part))


def _first_mistake(schema: type, mistakes: list[ErrorDetails]) -> tuple[str, str]:
    """Its key path and what is wrong. Unknown keys come first: the right key of a misspelt one is missing."""
    first = min(mistakes, key=lambda mistake: mistake["type"] != "unexpected_keyword_argument")
    kind, place, cause = first["type"], first["loc"], first.get("ctx", {}).get("error")
    keys = [part for part in place if isinstance(part, str)]  # without positions in lists
    path = ".".join(keys)
    if isinstance(cause, ConfigError):
        return ".".join([*keys, cause.key]), cause.message
    if cause is not None:  # a defect of the dataclass
        raise cause
    if kind == "unexpected_keyword_argument":
        known = [field.name for field in dataclasses.fields(_type_at(schema, place[:-1]))]
        near = difflib.get_close_matches(keys[-1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return path, f"unknown key; {hint}"
    if kind == "missing" and isinstance(place[-1], str):
        return path, f"missing; give it in the file or as {path}=..."
    if kind == "missing":  # the rest of a tuple
        place = place[:-1]
    return path, f"expected {_name(_type_at(schema, place))}, found {describe(first['input'])}"


def _type_at(schema: Any, place: tuple[int | str, ...]) -> Any:
    """The type of what is there, where something is."""
    for part in place:
        if typing.get_origin(schema) is dict:
            schema = typing.get_args(schema)[1]
        elif isinstance(part, str):
            schema = typing.get_type_hints(schema)[part]
        else:
            schema = typing.get_args(schema)[part if typing.get_origin(schema) is tuple else 0]
        if type(None) in typing.get_args(schema):
            (schema,) = (kind for kind in typing.get_args(schema) if kind is not type(None))
    return schema


def _name(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) or origin is dict:
        return "a group of keys"
    if origin is Literal:
        return f"one of {', '.join(arguments)}"
    if origin is tuple:
        return f"a list of {len(arguments)} values"
    if origin is list:
        return "a list"
    return {int: "a whole number", float: "a number", str: "text", bool: "true or false"}[kind]
