"""Tiny rendered sets of signs and of sentences, and configurations that train on them in seconds."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

import training
from configs.schema import ContinuousConfig, load_experiment
from dataset.annotations import SPLITS
from dataset.synthetic.sentence_set import SentenceSetConfig, make_sentence_set
from dataset.synthetic.sign_set import SignSetConfig, make_sign_set
from inference.features import store
from utils.errors import run_entry_point

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Project:
    """The entry points, run as a user runs them, on a tiny set of signs."""

    def __init__(self, folder: Path, data: Path):
        self.folder, self.data = folder, data

    def values(self) -> dict[str, object]:
        """The configuration, but for the run."""
        return {
            "data": {
                "index": str(self.data / "clips.csv"),
                "videos": str(self.data / "clips.zip"),
                "keypoints": str(self.data / "keypoints.safetensors"),
                "word_embeddings": str(self.data / "word_embeddings.safetensors"),
                "frame_size": 64,
                "workers": 1,
            },
            "model": {
                "frames": [8],
                "width": 0.125,
                "rgb_size": 64,
                "heatmap_size": 32,
                "batch_norm_momentum": 0.1,
            },
            "training": {"epochs": 2, "batch_size": 4},
            "evaluation": {"batch_size": 3},
            "runtime": {"device": "cpu"},
        }

    def config(self, name: str, **changes: object) -> Path:
        """Write a configuration; `changes` maps dotted keys (with __ for dots) to values."""
        values = {"run": str(self.folder / name), **self.values()}
        for key, value in changes.items():
            inner = values
            *parents, last = key.split("__")
            for parent in parents:
                inner = inner.setdefault(parent, {})  # type: ignore[assignment]
            inner[last] = value
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    def command(
        self, script: str, *arguments: object, processes: int = 0, launcher: str = "torchrun"
    ) -> list[str]:
        launch: list[str] = []
        if processes:
            module = {"torchrun": "torch.distributed.run", "launch": "torch.distributed.launch"}[launcher]
            launch = ["-m", module, f"--nproc_per_node={processes}", f"--master_port={free_port()}"]
        return [sys.executable, *launch, str(ROOT / script), *map(str, arguments)]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}

    def start(self, command: list[str], threads: int = 1, **options: Any) -> "subprocess.Popen[Any]":
        """A command in the project's folder, silent but for the pipes that `options` ask for."""
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**self.environment(), "OMP_NUM_THREADS": str(threads)}
        return subprocess.Popen(command, cwd=self.folder, env=environment, **(silent | options))

    def run(
        self, script: str, *arguments: object, processes: int = 0, launcher: str = "torchrun"
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end. What takes 5 minutes hangs: every process then says where, and the test fails."""
        command = self.command(script, *arguments, processes=processes, launcher=launcher)
        process = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            output, errors = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            for command_line in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    if str(self.folder) in command_line.read_text():
                        os.kill(int(command_line.parent.name), signal.SIGABRT)
            _, errors = process.communicate()
            raise AssertionError(f"{command} hung:\n{errors[-20_000:]}") from None
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


class SentenceProject(Project):
    """The same on a tiny set of sentences."""

    def values(self) -> dict[str, object]:
        return {
            "task": "continuous",
            "data": {
                "index": str(self.data / "sentences.csv"),
                "videos": str(self.data / "sentences.zip"),
                "keypoints": str(self.data / "keypoints.safetensors"),
                "frame_size": [64, 64],
                "max_frames": 64,
                "bucket_batches": 2,
                "workers": 1,
            },
            "model": {
                "width": 0.125,
                "rgb_size": 64,
                "heatmap_size": 32,
                "heatmap_grid": [256, 256],
                "keypoint_parts": ["hand", "pose"],
                "batch_norm_momentum": 0.1,
                "head_size": 32,
            },
            "training": {"epochs": 2, "batch_size": 2},
            "evaluation": {"batch_size": 3},
            "runtime": {"device": "cpu"},
        }


class TranslationProject(Project):
    """Translations of the same sentences, by a text model of one layer. The recognition is the run `recognition`."""

    def values(self) -> dict[str, object]:
        return {
            "task": "translation",
            "recognition": str(self.folder / "recognition"),
            "gloss_to_text": str(self.folder / "gloss"),
            "data": {"index": str(self.data / "sentences.csv"), "workers": 0},
            "model": {
                "source": "joint",
                "text_model": {
                    "scratch": {"layers": 1, "width": 16, "heads": 2, "positions": 64},
                    "dropout": 0,
                    "attention_dropout": 0,
                },
            },
            "training": {"epochs": 2, "batch_size": 2, "learning_rate": 1e-2},
            "evaluation": {"batch_size": 3},
            "generation": {"max_tokens": 12, "validation_beam": 1},
            "texts": {"pieces": 60},
            "runtime": {"device": "cpu"},
        }

    def config(self, name: str, **changes: object) -> Path:
        """That of a source, if `name` is one: `gloss` starts from nothing, and dev has glosses that train has not."""
        if name in ("gloss", "rgb", "keypoint"):
            changes = {"model__source": name, **changes}
        if name == "gloss":
            nothing = {"recognition": None, "gloss_to_text": None}
            changes = {**nothing, "evaluation__validation_split": None, **changes}
        return super().config(name, **changes)


@pytest.fixture(scope="session")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 training, 7 dev and 7 test clips of 7 signs."""
    folder = tmp_path_factory.mktemp("signs")
    make_sign_set(folder, TINY)
    return folder


@pytest.fixture(scope="session")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 training, 2 dev and 7 test sentences of 56 to 134 frames."""
    folder = tmp_path_factory.mktemp("sentences")
    make_sentence_set(folder, TINY_SENTENCES)
    return folder


@pytest.fixture
def project(tmp_path: Path, signs: Path) -> Project:
    return Project(tmp_path, signs)


@pytest.fixture
def sentence_project(tmp_path: Path, sentences: Path) -> SentenceProject:
    return SentenceProject(tmp_path, sentences)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, signs: Path) -> Path:
    """The run folder of a model trained for one epoch as `Project.config` says; not to be changed."""
    project = Project(tmp_path_factory.mktemp("trained"), signs)
    result = project.run("training.py", "--config", project.config("run", training__epochs=1))
    assert result.returncode == 0, result.stderr
    return project.folder / "run"


@pytest.fixture(scope="session")
def trained_sentences(tmp_path_factory: pytest.TempPathFactory, sentences: Path) -> Path:
    """The same of sentences, trained for two epochs, as `SentenceProject.config` says."""
    project = SentenceProject(tmp_path_factory.mktemp("trained_sentences"), sentences)
    result = project.run("training.py", "--config", project.config("run"))
    assert result.returncode == 0, result.stderr
    return project.folder / "run"


@pytest.fixture(scope="session")
def trained_texts(
    tmp_path_factory: pytest.TempPathFactory, sentences: Path, trained_sentences: Path
) -> TranslationProject:
    """The runs `gloss`, `rgb` and `joint`, and the run `recognition` with its features; not to be changed."""
    project = TranslationProject(tmp_path_factory.mktemp("trained_texts"), sentences)
    recognition = project.folder / "recognition"
    shutil.copytree(trained_sentences, recognition)
    read = load_experiment(recognition / "config.yaml")
    assert isinstance(read, ContinuousConfig) and store(read, recognition, SPLITS) == 0
    for name in ("gloss", "rgb", "joint"):
        assert training.train(load_experiment(project.config(name))) == 0
    return project


@pytest.fixture
def texts(tmp_path: Path, trained_texts: TranslationProject) -> TranslationProject:
    """Copies of these runs."""
    shutil.copytree(trained_texts.folder, tmp_path, dirs_exist_ok=True)
    project = TranslationProject(tmp_path, trained_texts.data)
    for name in ("gloss", "rgb", "joint"):
        project.config(name)
    return project


Refused = Callable[..., str]


@pytest.fixture
def refused() -> Refused:
    """Run an entry point, within this process, that must refuse; give its one line."""

    def run(script: str, *arguments: object) -> str:
        output = io.StringIO()
        with (
            patch.object(sys, "argv", [f"{script}.py", *map(str, arguments)]),
            redirect_stderr(output),
            pytest.raises(SystemExit) as stopped,
        ):
            run_entry_point(import_module(script).main)
        lines = output.getvalue().strip().splitlines()
        assert stopped.value.code == 2 and len(lines) == 1 and lines[0].startswith("error: "), lines
        return lines[0].removeprefix("error: ")

    return run


TINY = SignSetConfig(
    glosses=7,
    train_signers=2,
    dev_signers=1,
    test_signers=1,
    train_clips=2,
    dev_clips=1,
    test_clips=1,
    processes=1,
)
TINY_SENTENCES = SentenceSetConfig(
    train_signers=2,
    dev_signers=1,
    test_signers=1,
    train_sentences=6,
    dev_sentences=2,
    test_sentences=7,
    processes=1,
)
