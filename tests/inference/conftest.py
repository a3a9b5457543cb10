"""Runs of continuous recognition."""

from pathlib import Path

import pytest

from tests.inference.runs import make_sentence_run


@pytest.fixture(scope="session")
def sentence_run(tmp_path_factory: pytest.TempPathFactory, clip_set: Path) -> Path:
    """The run of an untrained two-stream network on the set of seven clips; not to be changed."""
    folder = tmp_path_factory.mktemp("sentences") / "run"
    make_sentence_run(folder, clip_set, ["rgb", "keypoint"])
    return folder
