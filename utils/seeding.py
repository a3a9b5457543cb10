"""Random generators by purpose and position, so that nothing depends on what was drawn before."""

import os
import zlib

import numpy as np


def generator(seed: int, purpose: str, *position: int) -> np.random.Generator:
    """The generator of one draw: of a run's seed, what is drawn (such as "augment"), and where in the run."""
    return np.random.default_rng((seed, zlib.crc32(purpose.encode()), *position))


def compute_repeatably() -> None:
    """Make torch compute in the same order every time, where it can, and warn where it cannot; before it computes."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it as it starts
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
