"""The commands of README.md and docs/ as they are written: each is understood, and those that can are run."""

import re
import runpy
import shlex
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

import demo
from tests.test_demo import SIGN_SET, TINY

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
LAUNCHERS = (
    r"torchrun (--\w+( \d+)? )+",
    r"python -m torch\.distributed\.launch (--\w+( \d+)? )+",
)
ABSENT = re.compile(r"no such|not there|does not exist|missing|not found|no file|no trained model|not a run")
SMALL_SET = "--glosses 2 --train_clips 1 --dev_clips 1 --test_clips 1 --train_signers 1 --processes 1"
OPTIONAL = re.compile(r" \[(--\w+)\]")


def code_lines(text: str) -> Iterator[str]:
    """Lines of code blocks, those that end in a backslash joined with the next."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
        yield from block.replace("\\\n", "").splitlines()


def commands(page: Path) -> list[str]:
    """What a page tells to type, without prompts and comments."""
    lines = (line.removeprefix("$ ") for line in code_lines(page.read_text()))
    known = re.compile(r"(python|torchrun|make|bash|sbatch|pip|docker) ")
    return [line.split("  #")[0].strip() for line in lines if known.match(line) and "..." not in line]


ALL = sorted({command for page in PAGES for command in commands(page)})
PROGRAMS = [command for command in ALL if command.startswith(("python ", "torchrun "))]


def run(command: str, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """A program of ours in this process, alone where it would be started on several; its exit code."""
    for launcher in LAUNCHERS:
        command = re.sub(launcher, "python ", command)
    _, *arguments = [*shlex.split(OPTIONAL.sub(r" \1", command)), *more]
    module = arguments[:1] == ["-m"]
    name, *arguments = arguments[module:]
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as end:
        if module:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(ROOT / name), run_name="__main__")
    return int(end.value.code or 0)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a clone, without data, weights and runs."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_commands() -> None:
    assert len(PROGRAMS) > 50 and {"make demo", "make test"} <= set(ALL)


@pytest.mark.parametrize("command", PROGRAMS)
def test_a_program_understands_its_command(
    command: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing that it needs is there: it must get as far as to say so."""
    smaller = shlex.split(SMALL_SET) if "dataset.synthetic" in command else []
    code, (output, errors) = run(command, monkeypatch, *smaller), capfd.readouterr()
    if "--dry_run" in command or smaller:
        assert code == 0
    elif "dataset.check" in command:
        assert code in (1, 2) and ABSENT.search(output + errors)
    else:
        assert code == 2 and ABSENT.search(errors), errors
        assert "usage:" not in errors


@pytest.mark.parametrize("command", [command for command in ALL if command.startswith("make ")])
def test_a_target_is_there(command: str) -> None:
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo` leaves, much smaller."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert demo.run(demo.CONFIGURED_OUT, SIGN_SET.seed, SIGN_SET, TINY)
    return folder


def test_a_trained_model_is_used_as_the_page_says(
    trained: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copytree(trained / "runs", workplace / "runs")
    clip = workplace / "runs/demo/cold_test_00.mp4"
    (workplace / "talk.mp4").write_bytes(clip.read_bytes())
    pages = commands(ROOT / "docs/using.md") + commands(ROOT / "docs/export.md")
    chosen = [command for command in pages if "configs/demo/" in command]
    assert len(chosen) == 3
    for command in chosen:
        assert run(command, monkeypatch, *TINY) == 0
    for made in ("signs.mp4", "talk.json", "talk.vtt", "exports/demo/model.onnx"):
        assert (workplace / made).is_file()


def test_recordings_become_a_recogniser_as_the_page_says(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, trained: Path
) -> None:
    with zipfile.ZipFile(trained / "runs/demo/data/clips.zip") as archive:
        for name in archive.namelist():
            gloss, split, number = name.removesuffix(".mp4").rsplit("_", 2)
            if split == "train":
                target = workplace / "recordings" / gloss / f"{number}.mp4"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    video = next((workplace / "recordings").rglob("*.mp4")).relative_to(workplace)
    smaller = ["model.width=0.05", "training.epochs=1"]
    for command in commands(ROOT / "docs/own_recordings.md"):
        if "--csv" in command:
            continue
        takes_keys = "training.py" in command or "prediction.py" in command
        command = re.sub(r"recordings/\S+\.mp4", str(video), command)
        assert run(command, monkeypatch, *(smaller if takes_keys else [])) == 0, command
    assert (workplace / "runs/custom/prediction/test_3x_pad.json").is_file()
