"""Two gloo processes compute the gradients of one: synchronised BatchNorm and averaging, in double precision."""

from pathlib import Path

import torch
from torch import Tensor

from modeling.config import ModelConfig
from modeling.recognizer import Recognizer
from tests.end_to_end.conftest import Project
from utils.distributed import distribute, start_processes, stop_processes


def loss(model: torch.nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    logits = model(inputs).logits
    return torch.stack([values.logsumexp(dim=1).mean() for values in logits.values()]).sum()


def compare() -> float:
    """The largest difference between any gradient of one process and of two, relative to the largest gradient."""
    processes = start_processes("cpu")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = ModelConfig(frames=[16, 8], width=0.125, rgb_size=64, heatmap_size=32)
    model = Recognizer(config, 5, 7).double().train()
    inputs = {
        "rgb16": torch.randn(4, 3, 16, 64, 64, dtype=torch.double),
        "keypoint16": torch.randn(4, 5, 16, 32, 32, dtype=torch.double),
        "rgb8": torch.randn(4, 3, 8, 64, 64, dtype=torch.double),
        "keypoint8": torch.randn(4, 5, 8, 32, 32, dtype=torch.double),
    }
    loss(model, inputs).backward()
    alone = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    part = slice(2 * processes.rank, 2 * processes.rank + 2)
    parallel = distribute(model, processes)
    loss(parallel, {name: x[part] for name, x in inputs.items()}).backward()
    largest = max(gradient.abs().max() for gradient in alone.values())
    shared = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert shared.keys() == alone.keys()
    difference = max((shared[name] - alone[name]).abs().max() for name in alone) / largest
    stop_processes()
    return float(difference)


def test_two_processes_compute_the_gradients_of_one(project: Project) -> None:
    result = project.run(str(Path(__file__).relative_to(Path(__file__).parents[2])), processes=2)
    assert result.returncode == 0, result.stderr
    differences = [float(line.split()[-1]) for line in result.stdout.splitlines() if "difference" in line]
    assert len(differences) == 2 and max(differences) < 1e-8


if __name__ == "__main__":
    print("difference", compare())
