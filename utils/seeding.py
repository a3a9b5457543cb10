"""Random generators by purpose and position, so that nothing depends on what was drawn before."""

import zlib

import numpy as np


def generator(seed: int, purpose: str, *position: int) -> np.random.Generator:
    """The generator of one draw: of a run's seed, what is drawn (such as "augment"), and where in the run."""
    return np.random.default_rng((seed, zlib.crc32(purpose.encode()), *position))
