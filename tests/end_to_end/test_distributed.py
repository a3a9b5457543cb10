"""Two gloo processes train as one does: synchronised BatchNorm, averaged gradients, and the same draws and mixing.

In double precision, where rounding cannot hide or pass for a difference. The first loss agrees to 4e-13; the small
BatchNorms of a tiny network and Adam's division amplify that from step to step (2e-10, 7e-9, 6e-8 were seen), as they
do, from a start of 1e-4, in single precision.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dataset.loader import TrainingSchedule
from modeling.augment import Inputs, draw_augmentation
from modeling.config import (
    AugmentConfig,
    InterModalityMixupConfig,
    IntraModalityMixupConfig,
    LabelSmoothingConfig,
    LossConfig,
    ModelConfig,
    RuntimeConfig,
    TrainingConfig,
)
from modeling.engine import accelerate
from modeling.objective import Objective
from modeling.optimizer import build_optimizer
from modeling.recognition import Preparation, RecognitionStep
from modeling.recognizer import Recognizer
from tasks.task import Task
from tests.end_to_end.conftest import Project
from utils.distributed import Processes, distribute, start_processes, stop_processes
from utils.seeding import generator

CLIPS, GLOSSES, STEPS = 4, 7, 4
MODEL = ModelConfig(frames=[16, 8], width=0.125, rgb_size=64, heatmap_size=32)
LOSS = LossConfig(
    LabelSmoothingConfig("language"),
    IntraModalityMixupConfig(probability=0.75, group_size=2),
    InterModalityMixupConfig(enabled=True),
)
TRAINING = TrainingConfig(epochs=2, batch_size=CLIPS)


class InDouble(nn.Module):
    """What networks read is single precision; the network under test is not."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, inputs: Inputs, *others: Tensor, **options: bool) -> Any:
        double = {name: x.to(torch.float64) for name, x in inputs.items()}
        return self.model(double, *others, **options)


def train(processes: Processes) -> tuple[Tensor, Recognizer]:
    """Losses [steps, parts], and the model trained on random clips of which this process sees its part."""
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 256, (STEPS, CLIPS, 16, 40, 40, 3), dtype=np.uint8))
    keypoints = torch.from_numpy(rng.uniform(0, 256, (STEPS, CLIPS, 16, 5, 3)))
    labels = torch.from_numpy(rng.integers(0, GLOSSES, (STEPS, CLIPS)))
    embeddings = torch.from_numpy(rng.normal(size=(GLOSSES, 6)))
    torch.manual_seed(0)
    model = Recognizer(MODEL, 5, GLOSSES, embeddings, auxiliary=True).double()
    accelerate(model, RuntimeConfig())
    parallel = InDouble(distribute(model, processes))
    objective = Objective(LOSS, GLOSSES, embeddings)
    step = RecognitionStep(
        model, parallel, objective, build_optimizer(model, TRAINING), TRAINING, RuntimeConfig()
    )
    local = CLIPS // processes.count
    part = slice(local * processes.rank, local * (processes.rank + 1))
    found = []
    for i in range(STEPS):
        draws = [
            draw_augmentation(AugmentConfig(), MODEL, 40, generator(0, "augment", i, clip))
            for clip in range(part.start, part.stop)
        ]
        rng = generator(0, "mixup", i)
        batch = Preparation(MODEL, LOSS.intra_modality_mixup, parts=1)(
            frames[i, part], keypoints[i, part].float(), labels[i, part], draws, rng, processes.rank
        )
        losses = step(batch, i // 2)
        found.append(processes.mean(torch.stack(list(losses.values()))))
    return torch.stack(found), model


def learn(
    task: Task, network: nn.Module, parallel: nn.Module, processes: Processes
) -> Iterator[tuple[Any, Tensor]]:
    """Train as a task's configuration says: every batch of this process, and its losses [parts], averaged over all."""
    training, data = task.config.training, task.training_data()
    step = task.training_step(network, parallel, build_optimizer(network, training))
    place = (processes.rank, processes.count)
    schedule = TrainingSchedule(data, training.batch_size, training.epochs, task.config.seed, 0, *place)
    for number, requests in enumerate(schedule):
        batch = data[requests]
        losses = step(task.parts(batch, number), number // schedule.steps_per_epoch)
        yield batch, processes.mean(torch.stack(list(losses.values())))


def compare(train: Callable[[Processes], tuple[Tensor, nn.Module]]) -> None:
    """Print how far two processes are from one, relatively: the first losses, all losses, any tensor.

    train: gives the losses of every step, averaged over the processes, and the network.
    """
    torch.set_num_threads(1)
    losses, model = train(Processes(0, 1, torch.device("cpu")))
    processes = start_processes("cpu")
    shared_losses, shared_model = train(processes)
    pairs = zip(model.state_dict().values(), shared_model.state_dict().values(), strict=True)
    weights = max(
        float((a - b).norm() / a.norm().clamp(min=1e-30))  # some are zero
        for a, b in pairs
        if a.is_floating_point()
    )
    differences = (shared_losses / losses - 1).abs()
    every = processes.gather((float(differences[0].max()), float(differences.max()), weights))
    stop_processes()
    if processes.is_main:
        print(json.dumps([max(values) for values in zip(*every, strict=True)]))


@pytest.mark.processes
def test_two_processes_train_as_one(project: Project) -> None:
    result = project.run(str(Path(__file__).relative_to(Path(__file__).parents[2])), processes=2)
    assert result.returncode == 0, result.stderr
    first, later, weights = json.loads(result.stdout)
    assert first < 1e-10 and later < 1e-6 and weights < 1e-5


if __name__ == "__main__":
    compare(train)
