"""Trained models as they were saved: of each task, and from published checkpoints."""

from pathlib import Path

import pytest
import torch

from configs.schema import load_experiment
from inference.trained_model import ContinuousModel, IsolatedModel, load_model
from modeling.continuous.weights import published_name
from tests.inference.runs import GLOSSES
from utils.checkpoint import load_checkpoint, save_checkpoint
from utils.errors import UserError


def test_a_model_is_of_the_task_of_its_checkpoint(run: Path, sentence_run: Path) -> None:
    assert isinstance(load_model(run), IsolatedModel)
    model = load_model(sentence_run / "best.pt")
    assert isinstance(model, ContinuousModel) and model.vocabulary == GLOSSES
    saved = load_checkpoint(sentence_run / "best.pt")["model"]
    assert all(torch.equal(value, saved[name]) for name, value in model.recognizer.state_dict().items())


def test_a_model_of_another_task_is_refused(run: Path, sentence_run: Path) -> None:
    isolated, continuous = (load_experiment(folder / "config.yaml") for folder in (run, sentence_run))
    load_model(run, isolated)
    with pytest.raises(
        UserError, match=r"a model of isolated recognition, but the configuration is of continuous"
    ):
        load_model(run, continuous)
    with pytest.raises(
        UserError, match=r"a model of continuous recognition, but the configuration is of isolated"
    ):
        load_model(sentence_run / "best.pt", isolated)


def test_a_published_checkpoint_needs_the_configuration(sentence_run: Path, tmp_path: Path) -> None:
    """Its vocabulary is that of the data: the sorted glosses of the training sentences, as in the run."""
    saved = load_checkpoint(sentence_run / "best.pt")["model"]
    published = tmp_path / "published.ckpt"
    weights = {published_name(name, two_streams=True): value for name, value in saved.items()}
    save_checkpoint(published, {"model_state": weights})
    with pytest.raises(UserError, match="a published checkpoint does not say what model it is"):
        load_model(published)
    model = load_model(published, load_experiment(sentence_run / "config.yaml"))
    assert model.vocabulary == GLOSSES
    assert all(torch.equal(value, saved[name]) for name, value in model.recognizer.state_dict().items())


def test_another_vocabulary_does_not_fit(sentence_run: Path, tmp_path: Path) -> None:
    content = load_checkpoint(sentence_run / "best.pt")
    save_checkpoint(tmp_path / "best.pt", {**content, "vocabulary": GLOSSES[:-1]})
    with pytest.raises(UserError, match="the checkpoint is of another model or vocabulary"):
        load_model(tmp_path)
