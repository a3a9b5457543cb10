"""A user's mistake ends an entry point with one line and exit code 2; anything else keeps its traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from utils.config import ConfigError
from utils.errors import UserError, run_entry_point

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("status", [0, 1, 130])
def test_the_status_of_main_is_the_exit_code(status: int) -> None:
    with pytest.raises(SystemExit) as exit:
        run_entry_point(lambda: status)
    assert exit.value.code == status


def test_a_mistake_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise UserError("clips.csv: no such file")

    with pytest.raises(SystemExit) as exit:
        run_entry_point(main)
    captured = capsys.readouterr()
    assert exit.value.code == 2
    assert captured.err == "error: clips.csv: no such file\n" and captured.out == ""


def test_an_interruption_is_one_word_and_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as exit:
        run_entry_point(main)
    assert exit.value.code == 130 and capsys.readouterr().err == "stopped\n"


def test_a_defect_keeps_its_traceback() -> None:
    def main() -> int:
        raise ValueError("defect")

    with pytest.raises(ValueError, match="defect"):
        run_entry_point(main)


def test_an_impossible_value_is_a_users_mistake() -> None:
    error = ConfigError("width", "must be positive")
    assert isinstance(error, UserError) and str(error) == "width: must be positive"


RGB = "configs/rgb_frame64.yaml"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training.py", "--config", "nowhere.yaml"], "nowhere.yaml: no such configuration file"),
        (["training.py", "--config", RGB, "training.bach_size=2"], "did you mean 'batch_size'"),
        (
            ["training.py", "--config", RGB, "training.batch_size=two"],
            "training.batch_size: expected a whole number",
        ),
        (["prediction.py", "--config", RGB, "data.videos=null"], "data.videos: missing"),
        (
            ["prediction.py", "--config", RGB, "--video", "x.mp4", "--analyse"],
            "--analyse: is for the evaluation",
        ),
        (["prediction.py", "--config", RGB, "--overlay", "x.mp4"], "--overlay: is for one video"),
        (["prediction.py", "--config", RGB, "--video", "x.mp4", "--out", "x"], "ask for them with --window"),
        (
            ["prediction.py", "--config", RGB, "--video", "x.mp4", "--window", "--top_k", "3"],
            "--top_k: is for a video of a single sign",
        ),
        (
            ["prediction.py", "--config", RGB, "--analyse", "--baseline", "runs/none"],
            "runs/none: not a run",
        ),
        (["prediction.py", "--config", RGB, "--baseline", "runs/x"], "ask for it with --analyse"),
        (
            ["prediction.py", "--config", RGB, "--video", "x.mp4", "--window", "0"],
            "'0' is not a number of frames",
        ),
        (["prediction.py", "--config", RGB, "--analyse", "--min_share", "2"], "--min_share: must be above 0"),
        (
            ["prediction.py", "--config", RGB, "--video", "x.mp4", "--top_k", "0"],
            "--top_k: must be at least 1",
        ),
    ],
)
def test_configuration_mistakes_end_before_anything_heavy_is_imported(
    arguments: list[str], message: str
) -> None:
    """The program runs with torch made unimportable: a mistake in the configuration must not get that far."""
    script = (
        "import sys, runpy\n"
        "sys.modules['torch'] = None\n"
        f"sys.argv = {arguments!r}\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"runpy.run_path({arguments[0]!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
