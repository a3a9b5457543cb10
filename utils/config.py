"""Strict configuration: nested dataclasses filled from YAML files and command-line overrides.

A file may name another as its `base:` and give only its differences. A section may be kept in a file of its own:
`data: {file: my_data.yaml}` stands for all that beneath it says about `data`. Any key can be overridden as
`key.path=value`. An unknown key, a wrong type or an impossible value is one line that names the file and the key.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from utils.errors import UserError

COMMAND_LINE = "command line"
FILE = "file"  # the key of a section that names the file it is in

T = TypeVar("T")


class ConfigError(UserError):
    """An impossible value. Raised by the dataclasses with the key's own name; the loader adds where it is."""

    def __init__(self, key: str, message: str):
        super().__init__(f"{key}: {message}")
        self.key, self.message = key, message


class _Origins(dict[str, str]):
    """Which file (or the command line) gave each key path."""

    def of(self, path: str) -> str:
        while path not in self and "." in path:
            path = path.rpartition(".")[0]
        return self.get(path, self[""])

    def forget(self, prefix: str) -> None:
        for path in [path for path in self if path.startswith(prefix)]:
            del self[path]


def load_config(schema: type[T], path: Path | None, overrides: list[str] | None = None) -> T:
    """The configuration in a YAML file, its bases merged beneath it and `overrides` on top.

    Args:
        schema: the dataclass to fill.
        path: the YAML file; `base:` and `file:` in it are relative to it. None for the overrides alone.
        overrides: `key.path=value`, the value in YAML; `section.file=` is relative to the working folder.

    Raises:
        UserError: a file is missing or no YAML, a key is unknown, a value has the wrong type or is impossible.
    """
    origins = _Origins({"": str(path or COMMAND_LINE)})
    values = _read(path, origins, seen=[]) if path else {}
    given: dict[str, Any] = {}
    for override in overrides or []:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise UserError(f"{COMMAND_LINE}: {override!r} is no override; write key.path=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"{COMMAND_LINE}: {key}: {text!r} is not a YAML value") from None
        for part in reversed(key.split(".")):
            value = {part: value}
        given = _merge(given, value, COMMAND_LINE, origins)
    values = _merge(values, _read_sections(given, Path(), COMMAND_LINE, origins), COMMAND_LINE, origins)
    return _build(schema, values, "", origins)


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass tree as plain dicts and lists."""
    return _plain(dataclasses.asdict(config))


def to_yaml(config: Any) -> str:
    """The resolved configuration as YAML, every key spelled out."""
    return yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The innermost values of nested dicts under their dotted keys, as they are written on the command line."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{path}{key}.") if isinstance(value, Mapping) else {path + key: value}
    return found


def from_dict(schema: type[T], values: dict[str, Any], where: str) -> T:
    """The inverse of `to_dict`, as strict as a file; `where` names the source in errors."""
    return _build(schema, values, "", _Origins({"": where}))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _read(path: Path, origins: _Origins, seen: list[Path], prefix: str = "") -> dict[str, Any]:
    """The keys of a YAML file and its bases; `prefix` is the path of the section that the file holds."""
    if path.resolve() in seen:
        raise UserError(f"{path}: base: leads back to this file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError:
        named_by = f" (`base:` of {seen[-1]}, relative to that file)" if seen else ""
        raise UserError(f"{path}: no such configuration file{named_by}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected keys and values, found {_kind(values)}")
    base = values.pop("base", None)
    below = {}
    if base is not None:
        if not isinstance(base, str):
            raise UserError(f"{path}: base: expected the name of a file, found {_kind(base)}")
        below = _read(path.parent / base, origins, [*seen, path.resolve()], prefix)
    if not prefix:
        values = _read_sections(values, path.parent, str(path), origins)
    return _merge(below, values, str(path), origins, prefix)


class _Section(dict[str, Any]):
    """A section from a file of its own: it replaces what lies beneath it."""


def _read_sections(values: dict[str, Any], folder: Path, origin: str, origins: _Origins) -> dict[str, Any]:
    """The same values, each section that names its file on top of what that file says."""
    sections = dict(values)
    for key, section in values.items():
        if not isinstance(section, dict) or FILE not in section:
            continue
        file, prefix = section[FILE], f"{key}."
        origins.forget(prefix)
        if not isinstance(file, str):
            raise UserError(f"{origin}: {prefix}{FILE}: expected the name of a file, found {_kind(file)}")
        if not (folder / file).is_file():
            raise UserError(f"{origin}: {prefix}{FILE}: {folder / file}: no such file")
        own = {name: value for name, value in section.items() if name != FILE}
        below = _read(folder / file, origins, [], prefix)
        sections[key] = _Section(_merge(below, own, origin, origins, prefix))
    return sections


def _merge(
    below: dict[str, Any], above: dict[str, Any], origin: str, origins: _Origins, prefix: str = ""
) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        path = f"{prefix}{key}"
        if isinstance(value, _Section):
            merged[key] = value
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value, origin, origins, f"{path}.")
        elif isinstance(value, dict):
            merged[key] = _merge({}, value, origin, origins, f"{path}.")
            origins[path] = origin
        else:
            merged[key] = value
            origins[path] = origin
    return merged


def _build(schema: type[T], values: Any, path: str, origins: _Origins) -> T:
    if not isinstance(values, dict):
        raise UserError(f"{origins.of(path)}: {path}: expected a group of keys, found {_kind(values)}")
    hints = typing.get_type_hints(schema)
    fields = {field.name: field for field in dataclasses.fields(schema)}  # type: ignore[arg-type]
    arguments = {}
    for key, value in values.items():
        inner = f"{path}.{key}" if path else str(key)
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(fields)}"
            raise UserError(f"{origins.of(inner)}: {inner}: unknown key; {hint}")
        arguments[key] = _convert(hints[key], value, inner, origins)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in arguments:
            inner = f"{path}.{name}" if path else name
            raise UserError(f"{origins.of(path)}: {inner}: missing; give it in the file or as {inner}=...")
    try:
        return schema(**arguments)
    except ConfigError as error:
        inner = f"{path}.{error.key}" if path else error.key
        raise UserError(f"{origins.of(inner)}: {inner}: {error.message}") from None


def _convert(hint: Any, value: Any, path: str, origins: _Origins) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, path, origins)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return _convert(inner, value, path, origins)
    if origin is Literal:
        if isinstance(value, bool) and {"on", "off"} <= {*arguments}:  # YAML 1.1 reads these words as such
            return "on" if value else "off"
        if value in arguments and isinstance(value, str):
            return value
        return _refuse(f"one of {', '.join(arguments)}", value, path, origins)
    if origin is list:
        if isinstance(value, list):
            return [_convert(arguments[0], item, path, origins) for item in value]
        return _refuse("a list", value, path, origins)
    if origin is tuple:
        if isinstance(value, list) and len(value) == len(arguments):
            return tuple(_convert(a, item, path, origins) for a, item in zip(arguments, value, strict=True))
        return _refuse(f"a list of {len(arguments)} values", value, path, origins)
    if origin is dict:
        if isinstance(value, dict):
            return {
                str(key): _convert(arguments[1], item, f"{path}.{key}", origins)
                for key, item in value.items()
            }
        return _refuse("a group of keys", value, path, origins)
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:  # from text too: YAML 1.1 reads 1e-3 as such
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return _refuse(names[hint], value, path, origins)


def _refuse(expected: str, value: Any, path: str, origins: _Origins) -> typing.NoReturn:
    raise UserError(f"{origins.of(path)}: {path}: expected {expected}, found {_kind(value)}")


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{value!r}"
