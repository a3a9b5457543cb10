"""gen_pose.py with an estimator that needs no models: `python -m tests.fake_gen_pose [--pause S] <its arguments>`.

A keypoint is the mean grey of the frame and the frame's number within the clip; black frames hold nobody. `--pause`
waits before each frame, for tests that stop the run in the middle.
"""

import sys
import time
from collections.abc import Iterable, Iterator

import numpy as np

import configs.build
import gen_pose
from utils.errors import run_entry_point


class FakeEstimator:
    name, version = "fake", "1"

    def __init__(self, pause: float = 0.0):
        self.pause = pause

    def estimate(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for number, frame in enumerate(frames):
            time.sleep(self.pause)
            yield np.tile(np.float32([frame.mean(), number, 1.0]), (133, 1)) * bool(frame.any())


if __name__ == "__main__":
    pause = 0.0
    if sys.argv[1] == "--pause":
        pause = float(sys.argv[2])
        del sys.argv[1:3]
    configs.build.build_estimator = lambda config, device: FakeEstimator(pause)
    run_entry_point(gen_pose.main)
