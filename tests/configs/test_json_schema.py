"""The JSON schemas for editors are those of the dataclasses, and every configuration file names the one it keeps."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from configs.json_schema import FOLDER, schemas
from utils.config_files import parse_yaml

FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.yaml"))
SCHEMAS = schemas()
EXPERIMENT, DATA = FOLDER / "schema.json", FOLDER / "data" / "schema.json"
SENTENCES = FOLDER / "data" / "sentences.json"
KINDS = {EXPERIMENT: DATA, FOLDER / "continuous.json": SENTENCES, FOLDER / "translation.json": SENTENCES}


def mistakes(schema: Path, values: Any) -> list[str]:
    validator = Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    return [error.message for error in validator.iter_errors(values)]


@pytest.mark.parametrize("path", SCHEMAS, ids=str)
def test_the_schema_in_the_repository_is_current(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema == SCHEMAS[path], "run `python -m configs.json_schema` and commit what it writes"


@pytest.mark.parametrize("name", FILES)
def test_every_file_names_its_schema_and_keeps_it(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    start = "# yaml-language-server: $schema="
    assert text.startswith(start), f"{name} must start with {start}<path of the schema, from the file>"
    schema = ((FOLDER / name).parent / text.splitlines()[0].removeprefix(start)).resolve()
    assert schema in (KINDS.values() if name.startswith("data/") else KINDS)
    assert mistakes(schema, parse_yaml(text)) == []


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (EXPERIMENT, "modle: {width: 1}"),
        (EXPERIMENT, "model: {widht: 1}"),
        (EXPERIMENT, "data: {split_files: {trian: x}}"),
        (EXPERIMENT, "base: [a, b]"),
        (EXPERIMENT, "data: {base: other.yaml}"),
        (EXPERIMENT, "loss: {label_smoothing: {file: smoothing.yaml}}"),
        (EXPERIMENT, "training: {epochs: many}"),
        (EXPERIMENT, "training: {betas: [0.9]}"),
        (EXPERIMENT, "runtime: {fast: 'true'}"),
        (DATA, "fiel: x"),
        (DATA, "file: other.yaml"),
    ],
)
def test_mistakes_are_shown(schema: Path, text: str) -> None:
    assert len(mistakes(schema, parse_yaml(text))) == 1


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (EXPERIMENT, "{}"),
        (EXPERIMENT, "base: b.yaml\ndata: {file: d.yaml, workers: 0}\npose: {file: p.yaml}"),
        (EXPERIMENT, "runtime: {fast: on}\ntraining: {eps: 1e-3}\ninit: {encoder: null}"),
        (DATA, "base: other.yaml\nsplit_files: {subset: x.json}"),
    ],
)
def test_what_a_file_may_say(schema: Path, text: str) -> None:
    assert mistakes(schema, parse_yaml(text)) == []


def test_keys_are_explained() -> None:
    def explained(group: str, key: str) -> str | None:
        return SCHEMAS[EXPERIMENT]["$defs"][group]["properties"][key].get("description")

    assert explained("ModelConfig", "width") == "factor on every channel count of the encoders"  # behind it
    assert str(explained("RuntimeConfig", "fast")).startswith("The exact rewrites of modeling/fast ")
    assert (
        explained("ModelConfig", "batch_norm_momentum") is None
    )  # has no comment, and the next one's is its own
