"""What the doctor says of this machine, and of a training on it."""

import re
import sys
from pathlib import Path

import pytest

import doctor
from tests.end_to_end.conftest import Project


def test_a_configuration_is_tried_without_writing(project: Project) -> None:
    result = project.run("doctor.py", "--config", project.config("run"))
    assert result.returncode == 0, result.stderr
    lines = {line[6:20].strip(): line for line in result.stdout.splitlines()}
    for what in ("versions", "cores", "arithmetic", "decoding", "disk", "shared memory", "processes", "data"):
        assert lines[what].startswith(("ok", "note")), lines[what]
    assert re.search(r"of 4 steps without validation, .* hours for 2 of them", lines["epoch"])
    assert re.search(r"\d\.\d of \d+\.\d GiB", lines["memory"])
    assert not (project.folder / "run").exists()


def test_what_cannot_be_trained_is_bad(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("arithmetic", "processes"):
        monkeypatch.setattr(doctor, name, lambda: iter(()))
    config = project.config("run", data__videos=str(project.folder / "none.zip"))
    monkeypatch.setattr(sys, "argv", ["doctor.py", "--config", str(config)])
    assert doctor.main() == 1
    assert re.search(
        r"^bad +training +.*none\.zip: no such zip or folder", capsys.readouterr().out, re.MULTILINE
    )


def test_a_place_that_cannot_be_written_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    (found,) = doctor.disk(tmp_path)
    assert str(found) == f"bad   disk           {tmp_path}: cannot be written (No space left on device)"
