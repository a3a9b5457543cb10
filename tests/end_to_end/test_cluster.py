"""What runs under SLURM, with stand-ins for SLURM's own commands."""

import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, Project
from tests.end_to_end.test_training import metrics
from utils.files import read_json

pytestmark = pytest.mark.processes
COMMANDS = {
    "srun": 'shift\nexec "$@"',
    "scontrol": '[ "$1" = show ] && echo localhost || echo "$@" >> {folder}/requeued',
}


def environment(folder: Path) -> dict[str, str]:
    """SLURM's variables, its commands on the path, and an environment of Python to activate."""
    for name, text in COMMANDS.items():
        command = folder / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text("#!/bin/sh\n" + text.format(folder=folder) + "\n")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    activate = folder / "venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True, exist_ok=True)
    activate.write_text(f"PATH={folder / 'bin'}:{Path(sys.executable).parent}:$PATH\n")
    slurm = {
        "SLURM_SUBMIT_DIR": str(ROOT),
        "SLURM_JOB_ID": str(random.SystemRandom().randrange(10_000)),
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_NNODES": "1",
    }
    return {**os.environ, **slurm, "VENV": str(folder / "venv"), "PROCESSES": "2", "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("script", ["one_gpu", "one_node", "nodes"])
def test_the_job_files_are_of_one_kind(script: str) -> None:
    text = (ROOT / "cluster" / f"{script}.sbatch").read_text()
    assert (
        "--signal=TERM@120 --requeue" in text and 'exec bash "${SLURM_SUBMIT_DIR:-.}/cluster/run.sh"' in text
    )


def test_a_stopped_job_is_queued_again_and_ends_as_one_process_would(project: Project) -> None:
    """In single precision; test_distributed.py is the strict comparison. Losses within 2 %, and the same figures."""
    folder = project.folder
    changes = {
        "model__rgb_size": 128,
        "model__heatmap_size": 64,
        "training__epochs": 4,
        "training__batch_size": 14,
        "training__learning_rate": 1e-4,
        "runtime__precision": "fp32",
    }
    alone = project.run("recipe.py", "--config", project.config("alone", **changes))
    assert alone.returncode == 0, alone.stderr
    config, run = project.config("job", **changes), folder / "job"
    command = ["bash", str(ROOT / "cluster" / "one_node.sbatch"), str(config)]
    job = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    noted = run / "metrics.jsonl"
    while job.poll() is None and not (noted.is_file() and noted.stat().st_size):
        time.sleep(0.01)
    os.killpg(job.pid, signal.SIGTERM)  # as SLURM does: to every process
    _, messages = job.communicate(timeout=120)
    assert job.returncode == 130, messages.decode()[-3000:]
    assert (folder / "requeued").read_text().startswith("requeue ")

    again = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, timeout=300)
    assert again.returncode == 0, again.stderr.decode()[-3000:]
    assert len((folder / "requeued").read_text().splitlines()) == 1
    losses = [[line["loss"] for line in metrics(folder / name, "step")] for name in ("alone", "job")]
    assert len(losses[0]) == 4 and losses[1] == pytest.approx(losses[0], rel=0.02)
    found = [read_json(folder / name / "prediction" / "test_3x_pad.json", dict) for name in ("alone", "job")]
    assert found[0]["accuracy"] == found[1]["accuracy"]
