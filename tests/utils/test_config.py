"""Strict configuration: what is read, and how mistakes are named."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from utils.config import ConfigError, from_dict, load_config, to_dict, to_yaml
from utils.config_files import parse_yaml
from utils.errors import UserError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    count: int = 3
    kind: Literal["red", "green"] = "red"
    pair: tuple[float, float] = (0.1, 0.2)
    flag: bool = False
    switch: Literal["auto", "on", "off"] = "auto"

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError("count", "must not be negative")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    limit: int | None = None
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise ConfigError("inner.rate", "does not go with this name")


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str, *overrides: str) -> Outer:
    return load_config(Outer, write(folder, "c.yaml", text), list(overrides))


def refusal(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(UserError) as error:
        load(folder, text, *overrides)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_files_stand_on_their_bases_and_overrides_on_top(tmp_path: Path) -> None:
    write(
        tmp_path, "base/deep.yaml", "name: deep\ninner: {rate: 0.1, count: 1, kind: green}\nnames: [a, b]\n"
    )
    write(tmp_path, "base/middle.yaml", "base: deep.yaml\ninner: {count: 2}\nnames: [c]\n")
    text = "base: base/middle.yaml\ninner: {flag: true}\n"
    found = load(tmp_path, text, "inner.kind=red", "limit=7", "inner.pair=[1, 2]")
    assert found == Outer("deep", Inner(0.1, 2, "red", (1.0, 2.0), True), None, 7, ["c"])


def test_empty_file_with_overrides(tmp_path: Path) -> None:
    assert load(tmp_path, "", "name=x", "maybe.count=4") == Outer("x", maybe=Inner(count=4))


def test_a_later_override_wins_and_values_may_hold_equal_signs(tmp_path: Path) -> None:
    assert load(tmp_path, "name: x", "name=a", "name=b=c").name == "b=c"


@pytest.mark.parametrize(("text", "value"), [("1e-3", 1e-3), ("1.5e+2", 150.0), ("2", 2.0), ("-.5", -0.5)])
def test_numbers_as_people_write_them(tmp_path: Path, text: str, value: float) -> None:
    for found in (
        load(tmp_path, f"name: x\ninner: {{rate: {text}}}"),
        load(tmp_path, "name: x", f"inner.rate={text}"),
    ):
        assert found.inner.rate == value and type(found.inner.rate) is float


@pytest.mark.parametrize("text", ["auto", "on", "off"])
def test_on_and_off_as_people_write_them(tmp_path: Path, text: str) -> None:
    """YAML 1.1 takes them for true and false."""
    assert load(tmp_path, f"name: a\ninner: {{switch: {text}}}\n").inner.switch == text
    assert load(tmp_path, "name: a\n", f"inner.switch={text}").inner.switch == text


@pytest.mark.parametrize("text", ["on", "no", "2026-11-26", "runs/1e3", "e5", "1.2.3", "'1e3'", "'true'"])
def test_words_and_dates_are_text(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, f"name: {text}\n").name == text.strip("'")


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_true_as_people_write_it(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, "name: x", f"inner.flag={text}").inner.flag is True


def test_null_clears_what_may_be_absent(tmp_path: Path) -> None:
    text = "name: x\nlimit: 3\nmaybe: {count: 1}"
    assert load(tmp_path, text, "limit=null", "maybe=null") == Outer("x")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("inner: {rte: 1}", "inner.rte: unknown key; did you mean 'rate'?"),
        ("zzz: 1", "zzz: unknown key; known here: name, inner, maybe, limit, names"),
        ("inner: {rate: fast}", "inner.rate: expected a number, found 'fast'"),
        ("inner: {rate: true}", "inner.rate: expected a number, found True"),
        ("inner: {rate: '0.5'}", "inner.rate: expected a number, found '0.5'"),
        ("inner: {count: true}", "inner.count: expected a whole number, found True"),
        ("inner: {count: 2.0}", "inner.count: expected a whole number, found 2.0"),
        ("inner: {count: '2'}", "inner.count: expected a whole number, found '2'"),
        ("inner: {count: null}", "inner.count: expected a whole number, found nothing"),
        ("inner: {flag: 1}", "inner.flag: expected true or false, found 1"),
        ("inner: {flag: yes}", "inner.flag: expected true or false, found 'yes'"),
        ("inner: {1: x}", "inner.1: unknown key; known here: rate, count, kind, pair, flag, switch"),
        ("inner: {kind: blue}", "inner.kind: expected one of red, green, found 'blue'"),
        ("inner: {kind: [red]}", "inner.kind: expected one of red, green, found ['red']"),
        ("inner: {pair: 1}", "inner.pair: expected a list of 2 values, found 1"),
        ("inner: {pair: [1]}", "inner.pair: expected a list of 2 values, found [1]"),
        ("inner: {pair: [1, 2, 3]}", "inner.pair: expected a list of 2 values, found [1, 2, 3]"),
        ("inner: {pair: [1, x]}", "inner.pair: expected a number, found 'x'"),
        ("inner: {count: -1}", "inner.count: must not be negative"),
        ("maybe: {count: -1}", "maybe.count: must not be negative"),
        ("maybe: {pair: [1, x]}", "maybe.pair: expected a number, found 'x'"),
        ("nmae: y", "nmae: unknown key; did you mean 'name'?"),
        ("inner: 3", "inner: expected a group of keys, found 3"),
        ("inner:", "inner: expected a group of keys, found nothing"),
        ("names: a", "names: expected a list, found 'a'"),
        ("names: [1]", "names: expected text, found 1"),
        ("limit: many", "limit: expected a whole number, found 'many'"),
    ],
)
def test_mistakes_name_the_file_and_the_key(tmp_path: Path, line: str, message: str) -> None:
    assert refusal(tmp_path, f"name: x\n{line}\n") == f"{tmp_path / 'c.yaml'}: {message}"


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
def test_numbers_that_are_none_are_refused(tmp_path: Path, value: str) -> None:
    assert "inner.rate" in refusal(tmp_path, f"name: x\ninner: {{rate: {value}}}\n")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("inner.rte=1", "command line: inner.rte: unknown key; did you mean 'rate'?"),
        ("inner.count=x", "command line: inner.count: expected a whole number, found 'x'"),
        ("inner.count=-1", "command line: inner.count: must not be negative"),
        ("inner.count", "command line: 'inner.count' is no override; write key.path=value"),
        ("=3", "command line: '=3' is no override; write key.path=value"),
        ("names=[a", "command line: names: '[a' is not a YAML value"),
        ("name.first=x", "command line: name: expected text, found {'first': 'x'}"),
        ("inner.count.deep=1", "command line: inner.count: expected a whole number, found {'deep': 1}"),
        ("inner=3", "command line: inner: expected a group of keys, found 3"),
        ("inner..count=1", "command line: inner.: unknown key"),
    ],
)
def test_mistakes_on_the_command_line(tmp_path: Path, override: str, message: str) -> None:
    assert message in refusal(tmp_path, "name: x\ninner: {rate: 0.2}\n", override)


def test_a_mistake_in_a_base_names_the_base(tmp_path: Path) -> None:
    base = write(tmp_path, "base.yaml", "name: x\ninner: {count: many}\n")
    message = refusal(tmp_path, "base: base.yaml\ninner: {rate: 0.3}\n")
    assert message.startswith(f"{base}: inner.count: ")


def test_an_override_repairs_a_mistake_of_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, "name: x\ninner: {count: many}", "inner.count=4").inner.count == 4


def test_cross_checks_name_who_gave_the_value(tmp_path: Path) -> None:
    message = refusal(tmp_path, "name: forbidden\n", "inner.rate=0.3")
    assert message == "command line: inner.rate: does not go with this name"


def test_missing_key_and_missing_files(tmp_path: Path) -> None:
    assert "name: missing" in refusal(tmp_path, "limit: 3")
    message = refusal(tmp_path, "base: nowhere.yaml\n")
    assert (
        "nowhere.yaml: no such configuration file (`base:` of " in message
        and "relative to that file" in message
    )
    with pytest.raises(UserError, match="no such configuration file"):
        load_config(Outer, tmp_path / "nothing.yaml")
    with pytest.raises(UserError, match="no such configuration file"):
        load_config(Outer, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "name: [x",
        "- a\n- b\n",
        "just text",
        "name: x\n\tinner: 3",
        "base: 3\nname: x",
        "name: &again [*again]",
        "name: " + "[" * 1000,
        "name: !!int x",
        "name: !!bool x",
        "name: !!timestamp x",
        'name: "\\ud800"',
    ],
    ids=lambda text: text[:20],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str) -> None:
    assert str(tmp_path / "c.yaml") in refusal(tmp_path, text)


def test_bases_that_lead_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path, "b.yaml", "base: c.yaml\nname: x\n")
    assert "leads back" in refusal(tmp_path, "base: b.yaml\n")
    assert "leads back" in refusal(tmp_path, "base: c.yaml\n")


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    refusal(tmp_path, f"name: !!python/object/apply:os.system ['touch {mark}']\n")
    assert not mark.exists()


configurations = st.builds(
    Outer,
    name=st.text(max_size=8).filter(lambda s: s != "forbidden"),
    inner=st.builds(
        Inner,
        rate=st.floats(allow_nan=False, allow_infinity=False),
        count=st.integers(0, 10**9),
        kind=st.sampled_from(["red", "green"]),
        pair=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
        flag=st.booleans(),
    ),
    limit=st.none() | st.integers(),
    names=st.lists(st.sampled_from(["a", "no", "1", "null", "1e3"]), max_size=3),
)


@given(configurations)
def test_the_resolved_configuration_says_the_same(config: Outer) -> None:
    for read in (parse_yaml, yaml.safe_load):
        values: dict[str, Any] = read(to_yaml(config))
        assert from_dict(Outer, values, "here") == config
    assert from_dict(Outer, to_dict(config), "here") == config


def test_values_of_a_checkpoint_are_as_strict_as_a_file() -> None:
    with pytest.raises(UserError, match=r"last\.pt: inner\.rte: unknown key"):
        from_dict(Outer, {"name": "x", "inner": {"rte": 1}}, "last.pt")


def test_what_no_file_can_say_is_refused_too() -> None:
    with pytest.raises(UserError, match=r"^last\.pt: "):
        from_dict(Outer, {"name": b"\xff"}, "last.pt")
    with pytest.raises(UserError, match=r"^last\.pt: inner\.rate: expected a number"):
        from_dict(Outer, {"name": "x", "inner": {"rate": object()}}, "last.pt")


def test_a_defect_of_a_dataclass_keeps_its_traceback() -> None:
    @dataclass(frozen=True)
    class Broken:
        def __post_init__(self) -> None:
            int("no number")

    with pytest.raises(ValueError, match="invalid literal") as error:
        from_dict(Broken, {}, "here")
    assert not isinstance(error.value, UserError)


def test_a_section_in_a_file_of_its_own_replaces_what_is_beneath(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "name: a\ninner: {kind: green, count: 7}")
    write(tmp_path, "sections/common.yaml", "rate: 0.1\ncount: 5")
    write(tmp_path, "sections/mine.yaml", "base: common.yaml\ncount: 6")
    text = "base: base.yaml\ninner: {file: sections/mine.yaml, flag: true}"
    assert load(tmp_path, text).inner == Inner(rate=0.1, count=6, flag=True)
    override = f"inner.file={tmp_path}/sections/common.yaml"
    assert load(tmp_path, text, "inner.rate=0.3", override).inner == Inner(rate=0.3, count=5)


def test_mistakes_in_a_section_of_its_own_are_named(tmp_path: Path) -> None:
    write(tmp_path, "mine.yaml", "cuont: 6")
    assert "mine.yaml: inner.cuont: unknown key" in refusal(tmp_path, "name: a\ninner: {file: mine.yaml}")
    write(tmp_path, "mine.yaml", "count: -1")
    assert "mine.yaml: inner.count: must not" in refusal(tmp_path, "name: a\ninner: {file: mine.yaml}")
    message = refusal(tmp_path, "name: a\ninner: {file: other.yaml}")
    assert message == f"{tmp_path}/c.yaml: inner.file: {tmp_path}/other.yaml: no such file"
    assert "command line: inner.file: expected the name" in refusal(tmp_path, "name: a", "inner.file=3")
