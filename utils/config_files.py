"""Reading configuration files: YAML, `base:`, sections in files of their own, overrides, and who said what."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import from_json, to_json

from utils.errors import UserError

COMMAND_LINE = "command line"
BASE = "base"  # the key that names the file to stand on
FILE = "file"  # the key of a section that names the file it is in

_BOOL, _FLOAT, _DATE, _MERGE = (
    f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "timestamp", "merge")
)
MOST_VALUES = 100_000  # of a text; aliases can make millions of a few lines
_NUMBER = re.compile(r"[-+]?(\.\d+|\d+\.?\d*)[eE][-+]?\d+$|[-+]\.\d+$")


class _Loader(yaml.SafeLoader):
    """Reads words and numbers as YAML 1.2 does: 1e-3 is a number; on, off, yes, no and dates are text; << is not."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == _MERGE for key, _ in node.value):
            raise ValueError(f"line {node.start_mark.line + 1}: << is not of YAML 1.2; use base")


class _Dumper(yaml.SafeDumper):
    """Puts into quotes what either version of YAML would take for something else than text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in kinds if tag not in (_BOOL, _DATE)]
    for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile("([tT]rue|TRUE|[fF]alse|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_FLOAT, _NUMBER, list("-+.0123456789"))
_Dumper.add_implicit_resolver(_FLOAT, _NUMBER, list("-+.0123456789"))


def parse_yaml(text: str) -> Any:
    """What a YAML text says, in values that JSON has: groups, lists, text, numbers, true, false and null.

    Raises:
        ValueError: it is no YAML, or says what JSON cannot. The message is one line.
    """
    try:
        values = yaml.load(text, _Loader)
        if (count := _count(values, {})) > MOST_VALUES:
            raise ValueError(f"its aliases make {count} values of it, more than {MOST_VALUES}")
        return from_json(to_json(values, fallback=str))
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        # PyYAML itself gives the last three, of a wrong value behind an explicit tag and of too deep a nesting.
        raise ValueError(" ".join(str(error).split())) from None


def _count(value: Any, counted: dict[int, int]) -> int:
    """How many values it holds, those with several names counted for each."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in counted:
        counted[id(value)] = 0  # of one that holds itself, which is refused elsewhere
        parts = value.values() if isinstance(value, dict) else value
        counted[id(value)] = 1 + sum(_count(part, counted) for part in parts)
    return counted[id(value)]


def yaml_text(values: Any) -> str:
    """Plain values as YAML that `parse_yaml` reads back as they are."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class Origins(dict[str, str]):
    """Which file (or the command line) gave each key path."""

    def of(self, path: str) -> str:
        while path not in self and "." in path:
            path = path.rpartition(".")[0]
        return self.get(path, self[""])

    def forget(self, prefix: str) -> None:
        for path in [path for path in self if path.startswith(prefix)]:
            del self[path]


def read_values(path: Path | None, overrides: list[str]) -> tuple[dict[str, Any], Origins]:
    """The values of a file on its bases with the overrides on top, and where each is from.

    Raises:
        UserError: a file is missing, no YAML or its own base, or an override is none.
    """
    origins = Origins({"": str(path or COMMAND_LINE)})
    values = _read(path, origins, seen=[]) if path else {}
    given: dict[str, Any] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise UserError(f"{COMMAND_LINE}: {override!r} is no override; write key.path=value")
        try:
            value = parse_yaml(text)
        except ValueError:
            raise UserError(f"{COMMAND_LINE}: {key}: {text!r} is not a YAML value") from None
        for part in reversed(key.split(".")):
            value = {part: value}
        given = _merge(given, value, COMMAND_LINE, origins)
    sections = _read_sections(given, Path(), COMMAND_LINE, origins)
    return _merge(values, sections, COMMAND_LINE, origins), origins


def describe(value: Any) -> str:
    """How an error shows what was found."""
    return "nothing" if value is None else f"{value!r}"


def _read(path: Path, origins: Origins, seen: list[Path], prefix: str = "") -> dict[str, Any]:
    """The keys of a YAML file and its bases; `prefix` is the path of the section that the file holds."""
    if path.resolve() in seen:
        raise UserError(f"{path}: base: leads back to this file")
    try:
        values = parse_yaml(path.read_text(encoding="utf-8")) or {}
    except OSError:
        named_by = f" (`base:` of {seen[-1]}, relative to that file)" if seen else ""
        raise UserError(f"{path}: no such configuration file{named_by}") from None
    except ValueError as error:
        raise UserError(f"{path}: not a YAML file: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected keys and values, found {describe(values)}")
    base = values.pop(BASE, None)
    below = {}
    if base is not None:
        if not isinstance(base, str):
            raise UserError(f"{path}: base: expected the name of a file, found {describe(base)}")
        below = _read(path.parent / base, origins, [*seen, path.resolve()], prefix)
    if not prefix:
        values = _read_sections(values, path.parent, str(path), origins)
    return _merge(below, values, str(path), origins, prefix)


class _Section(dict[str, Any]):
    """A section from a file of its own: it replaces what lies beneath it."""


def _read_sections(values: dict[str, Any], folder: Path, origin: str, origins: Origins) -> dict[str, Any]:
    """The same values, each section that names its file on top of what that file says."""
    sections = dict(values)
    for key, section in values.items():
        if not isinstance(section, dict) or FILE not in section:
            continue
        file, prefix = section[FILE], f"{key}."
        origins.forget(prefix)
        if not isinstance(file, str):
            raise UserError(f"{origin}: {prefix}{FILE}: expected the name of a file, found {describe(file)}")
        if not (folder / file).is_file():
            raise UserError(f"{origin}: {prefix}{FILE}: {folder / file}: no such file")
        own = {name: value for name, value in section.items() if name != FILE}
        below = _read(folder / file, origins, [], prefix)
        sections[key] = _Section(_merge(below, own, origin, origins, prefix))
    return sections


def _merge(
    below: dict[str, Any], above: dict[str, Any], origin: str, origins: Origins, prefix: str = ""
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
