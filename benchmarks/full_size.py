"""One training step and one evaluation of the full-size model on this machine: seconds and peak memory.

    python -m benchmarks.full_size [--config configs/nla_slr_wlasl_2000.yaml] [--batch_size 1] [--glosses 2000]

Clips, keypoints and word vectors are random: the cost does not depend on them.
"""

import argparse
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from configs.build import build_recognizer, clip_format
from configs.schema import Config
from modeling.augment import draw_augmentation
from modeling.engine import TrainingStep, predict_batch
from modeling.objective import Objective
from modeling.optimizer import build_optimizer
from utils.config import load_config
from utils.distributed import start_processes


def peak_gib(device: torch.device) -> float:
    """The most memory in use so far: of the process, or of the GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=Path("configs/nla_slr_wlasl_2000.yaml"))
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--glosses", type=int, default=2000)
    arguments = parser.parse_args()
    config = load_config(Config, arguments.config)
    device = start_processes("auto").device
    batch, size = arguments.batch_size, config.data.frame_size
    rng = np.random.default_rng(0)
    embeddings = torch.from_numpy(rng.standard_normal((arguments.glosses, 300), dtype=np.float32))
    recognizer = build_recognizer(config, arguments.glosses, embeddings)
    recognizer.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    objective = Objective(config.loss, arguments.glosses, embeddings).to(device)
    training = replace(config.training, batch_size=batch)
    step = TrainingStep(recognizer, recognizer, objective, build_optimizer(recognizer, training), training)

    clip, joints = clip_format(config.model), len(clip_format(config.model).keypoint_indices or [])
    shape = (batch, clip.frames, size, size, 3)
    frames = torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8)).to(device)
    points = rng.uniform(0, clip.grid, (batch, clip.frames, joints, 3)).astype(np.float32)
    keypoints = torch.from_numpy(points).to(device)
    labels = torch.from_numpy(rng.integers(0, arguments.glosses, batch)).to(device)
    weights = sum(p.numel() for p in recognizer.parameters())
    print(f"{arguments.config}: {weights / 1e6:.1f} M weights, batch {batch}, {device}")

    started = time.perf_counter()
    predict_batch(recognizer, frames, keypoints)
    print(f"evaluation     {time.perf_counter() - started:7.1f} s, peak memory {peak_gib(device):5.1f} GiB")
    draw = draw_augmentation(config.augment, config.model, size, rng)
    started = time.perf_counter()
    losses = step(step.prepare(frames, keypoints, labels, [draw], rng), epoch=0)
    print(f"training step  {time.perf_counter() - started:7.1f} s, peak memory {peak_gib(device):5.1f} GiB")
    print(f"loss {losses['total']:.3f}")


if __name__ == "__main__":
    main()
