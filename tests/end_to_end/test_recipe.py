"""A recipe trains an experiment and all that it stands on, in order, and goes on where it was stopped."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import recipe
from configs.cost import cost
from tests.configs.test_configs import EXPERIMENTS, FOLDER
from tests.end_to_end.conftest import Project
from utils.errors import UserError


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_stage_comes_after_those_that_it_starts_from(name: str) -> None:
    runs: list[str] = []
    for stage in recipe.stages_of([FOLDER / name], []):
        assert set(filter(recipe.is_run, stage.starts_from)) <= set(runs)
        runs.append(stage.config.run)
    assert runs[-1] == recipe.load_experiment(FOLDER / name).run and len(set(runs)) == len(runs)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("nla_slr_wlasl_2000.yaml", 7),
        ("wlasl_100/nla_slr.yaml", 7),
        ("msasl_1000/nla_slr.yaml", 8),
        ("two_stream/csl_daily/two_stream.yaml", 3),
        ("two_stream/phoenix2014t/translation/joint.yaml", 5),
    ],
)
def test_published_results_have_so_many_stages(name: str, stages: int) -> None:
    assert len(recipe.stages_of([FOLDER / name], [])) == stages


def test_a_dry_run_names_stages_commands_and_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    last, other = (
        FOLDER / "two_stream/phoenix2014t/translation" / name for name in ("joint.yaml", "rgb.yaml")
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys,
        "argv",
        ["recipe.py", "--config", str(last), "--ensemble", str(other), "--dry_run", "data.workers=3"],
    )
    assert recipe.main() == 0
    lines = capsys.readouterr().out.splitlines()
    reckoned = [line for line in lines if line.startswith("   reckoned for one H200: ")]
    lines = [line for line in lines if line not in reckoned]
    assert len(reckoned) == 3 and "sentences of 100 frames a second" in reckoned[0]
    assert "27 sentences" in reckoned[2] and "4.56 GiB for each" in reckoned[2], "what was measured"
    assert [line.split(":")[0].split("/")[-1] for line in lines[:6]] == [
        "video.yaml", "keypoint.yaml", "two_stream.yaml", "gloss.yaml", "rgb.yaml", "joint.yaml",
    ]  # fmt: skip
    assert lines[6].endswith("video.yaml: starts from weights/S3D_kinetics400.pt, which is not there")
    commands = lines[8:]
    assert len(commands) == 8 and all("data.workers=3" in command for command in commands)
    assert "inference.features" in commands[4] and "two_stream.yaml" in commands[4]
    assert commands[7].endswith("--ensemble runs/two_stream/phoenix2014t/translation/rgb")


def test_what_no_configuration_trains_is_named(project: Project) -> None:
    config = project.config("run", init__stages=["runs/nobody"])
    with pytest.raises(
        UserError, match=r"starts from runs/nobody, the run of one configuration; found: none in"
    ):
        recipe.stages_of([config], [])
    with pytest.raises(UserError, match="every stage has a folder of its own"):
        recipe.stages_of([config], ["run=x"])


def test_a_recipe_that_was_stopped_goes_on(project: Project) -> None:
    folder = project.folder
    for name in ("rgb", "keypoint"):
        project.config(name, model__modalities=[name], training__epochs=1)
    stages = [str(folder / name) for name in ("rgb", "keypoint")]
    last = project.config("two", training__epochs=1, init__stages=stages)
    process = project.start(
        project.command("recipe.py", "--config", last),
        stderr=subprocess.PIPE,
    )
    noted = folder / "keypoint" / "metrics.jsonl"
    while process.poll() is None and not (noted.is_file() and noted.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 130 and b"the same command continues" in messages, messages
    assert not (folder / "two").exists()
    result = project.run("recipe.py", "--config", last)
    assert result.returncode == 0, result.stderr
    assert ": isolated recognition" in result.stdout and "rgb, complete" in result.stdout
    assert "already trained" in result.stderr
    assert {path.name for path in (folder / "two/prediction").glob("*.json")} == {
        "test_origin.json",
        "test_3x_pad.json",
    }


def test_what_is_reckoned_grows_with_the_network() -> None:
    """Half the channels: a quarter of the operations, half the maps."""
    full = recipe.load_experiment(FOLDER / "rgb_frame64.yaml", [])
    half = recipe.load_experiment(FOLDER / "rgb_frame64.yaml", ["model.width=0.5"])
    operations, kept = (a / b for a, b in zip(cost(full), cost(half), strict=True))
    assert 3 < operations < 4 and 1.8 < kept < 2.1
    shorter = cost(recipe.load_experiment(FOLDER / "rgb_frame32.yaml", []))
    assert cost(full).kept / shorter.kept == pytest.approx(2, rel=0.05)
