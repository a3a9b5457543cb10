"""Continuous recognition as a user trains and evaluates it: on several processes, and interrupted.

Two gloo processes train as one does, in double precision (see test_distributed.py): BatchNorm over the valid steps
of all sentences, padding to the longest of them, and the same draws.
"""

import json
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from configs.schema import load_experiment
from modeling.engine import accelerate
from tasks import build_task
from tests.end_to_end.conftest import ROOT, SentenceProject
from tests.end_to_end.test_distributed import InDouble, compare, learn
from tests.end_to_end.test_training import interrupt_after, metrics, same_weights
from utils.distributed import Processes, distribute


def train(path: Path, processes: Processes) -> tuple[Tensor, nn.Module]:
    """Losses [steps, parts], and the network trained on the sentences of this process."""
    config = load_experiment(path)
    task = build_task(config, processes)
    network = task.build_network().double()
    accelerate(network, config.runtime)
    found, longest = [], []
    for batch, losses in learn(task, network, InDouble(distribute(network, processes)), processes):
        longest.append(processes.gather(batch.windows.shape[1]))
        found.append(losses)
    assert processes.count == 1 or any(len(set(lengths)) > 1 for lengths in longest)
    return torch.stack(found), network


@pytest.mark.processes
def test_two_processes_train_as_one(sentence_project: SentenceProject) -> None:
    """All losses of two streams, CTC of seven heads and the distillation of three, in three steps that change the
    weights and three that do not. 2e-13, 3e-10 and 2e-10 were seen."""
    config = sentence_project.config("run", model__dropout=0, model__width=0.0625, data__speed=[0.25, 0.4])
    script = Path(__file__).relative_to(ROOT)
    result = sentence_project.run(str(script), config, processes=2)
    assert result.returncode == 0, result.stderr
    first, later, state = json.loads(result.stdout)
    assert first < 1e-11 and later < 1e-7 and state < 1e-7


def test_an_interrupted_run_ends_with_the_same_weights_bit_for_bit(sentence_project: SentenceProject) -> None:
    """With dropout, and with sentences sorted by length."""
    changes = {"model__modalities": ["keypoint"], "data__videos": None, "model__dropout": 0.1}
    config = sentence_project.config("straight", **changes)
    result = sentence_project.run("training.py", "--config", config)
    assert result.returncode == 0, result.stderr
    straight, broken = sentence_project.folder / "straight", sentence_project.folder / "broken"
    config = sentence_project.config("broken", **changes)
    # Twice: within the first epoch by Ctrl-C, then within the second by SIGTERM, as a cluster does it.
    assert interrupt_after(sentence_project, config, broken, 1, signal.SIGINT) == 130
    assert interrupt_after(sentence_project, config, broken, 4, signal.SIGTERM) == 130
    assert len(metrics(broken, "step")) < len(metrics(straight, "step"))
    assert sentence_project.run("training.py", "--config", config).returncode == 0
    assert metrics(straight, "step") == metrics(broken, "step")
    found = [[entry["validation"] for entry in metrics(run, "epoch")] for run in (straight, broken)]
    assert found[0] == found[1] and len(found[0]) == 2
    assert same_weights(straight, broken)


@pytest.mark.processes
def test_processes_evaluate_to_the_figures_of_one(
    sentence_project: SentenceProject, trained_sentences: Path
) -> None:
    """7 test sentences in batches of 3: three batches over one, two and three processes."""
    config = sentence_project.config("run")
    run = sentence_project.folder / "run"
    shutil.copytree(trained_sentences, run)
    found = []
    for processes in (0, 2, 3):
        result = sentence_project.run(
            "prediction.py", "--config", config, "--eval_setting", "beam_5", processes=processes
        )
        assert result.returncode == 0, result.stderr
        found.append((result.stdout, (run / "prediction/test_beam_5.json").read_text()))
    table, content = found[0]
    assert "7 sentences" in table and len(json.loads(content)["sentences"]) == 7
    assert found[0] == found[1] == found[2]


if __name__ == "__main__":
    compare(partial(train, Path(sys.argv[1])))
