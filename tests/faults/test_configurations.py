"""Configurations with mistakes are refused in one line that names the key."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.schema import experiment_from_dict, load_experiment
from tasks import build_task
from tests.configs.test_configs import EXPERIMENTS, FOLDER, GARBAGE
from tests.faults.conftest import Report, many
from utils.config import flat, to_dict
from utils.config_files import yaml_text
from utils.distributed import Processes
from utils.errors import UserError

RESOLVED = [to_dict(load_experiment(FOLDER / name)) for name in EXPERIMENTS]
KEYS = st.sampled_from(["x", "file", "base", "frames"])
VALUES = st.recursive(
    st.sampled_from(GARBAGE) | st.integers() | st.floats() | st.text(max_size=8) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """An experiment with one to three keys that have another value, are missing, or are unknown."""
    values = draw(st.sampled_from(RESOLVED))
    paths = sorted(flat(values))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths)).split(".")
        path = path[: draw(st.integers(1, len(path)))]
        values = changed(values, path, draw(st.sampled_from(["value", "missing", "unknown"])), draw(VALUES))
    return values


def changed(values: dict[str, Any], path: list[str], how: str, value: Any) -> dict[str, Any]:
    key, *deeper = path
    if deeper and isinstance(values.get(key), dict):
        return values | {key: changed(values[key], deeper, how, value)}
    if how == "missing":
        return {name: old for name, old in values.items() if name != key}
    return values | {(f"{key}x" if how == "unknown" else key): value}


def test_changed_values_are_taken_or_refused_by_key(report: Report) -> None:
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=many(60, 1000), deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(mutated())
    def try_out(values: dict[str, Any]) -> None:
        outcomes["tried"] += 1
        try:
            config = experiment_from_dict(values, "here")
        except UserError as error:
            assert re.match(r"here: [^\s:]+: \S", str(error)) and "\n" not in str(error), str(error)
            outcomes["refused"] += 1
            return
        assert experiment_from_dict(to_dict(config), "here") == config
        with pytest.raises(UserError) as missing:  # the data is not there
            build_task(config, Processes(0, 1, torch.device("cpu")))
        assert "\n" not in str(missing.value)
        outcomes["taken"] += 1

    try_out()
    report(
        f"{outcomes['tried']} configurations of all tasks with one to three wrong, missing or unknown keys",
        f"{outcomes['refused']} refused in one line that names the key, {outcomes['taken']} valid (and then refused, "
        "for the data is not there), no traceback",
    )


def test_damaged_text_is_taken_or_refused_in_one_line(tmp_path: Path, report: Report) -> None:
    texts = [yaml_text(values) for values in RESOLVED]
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=many(60, 1000), deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        st.sampled_from(texts),
        st.floats(0, 1),
        st.integers(0, 6),
        st.text(st.characters(codec="utf-8"), max_size=4),
    )
    def try_out(text: str, place: float, removed: int, inserted: str) -> None:
        outcomes["tried"] += 1
        at = int(place * len(text))
        path = tmp_path / "experiment.yaml"
        path.write_text(text[:at] + inserted + text[at + removed :], encoding="utf-8")
        try:
            load_experiment(path)
        except UserError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            outcomes["refused"] += 1

    try_out()
    report(
        f"{outcomes['tried']} configuration files with some characters removed and others inserted",
        f"{outcomes['refused']} refused in one line that names the file, the others valid, no traceback",
    )
