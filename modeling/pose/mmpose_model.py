"""The real mmpose, in an environment of its own (requirements-mmpose.txt): the reference for `hrnet`."""

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from modeling.pose.estimator import NUM_KEYPOINTS
from modeling.pose.person import PersonFinder
from utils.errors import UserError

# Where mmpose keeps it, below its package.
MODEL_CONFIG = (
    ".mim/configs/wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/"
    "td-hm_hrnet-w48_dark-8xb32-210e_coco-wholebody-384x288.py"
)


class MMPoseEstimator:
    """See `Estimator`.

    Args:
        checkpoint: file of the network in `MODEL_CONFIG`, of mmpose 0.x or 1.x.
        label: what to call it in `version`.
        person: where to look.
        flip_test: average with the mirrored picture.

    Raises:
        UserError: mmpose is not installed.
    """

    name = "mmpose_hrnet_w48_dark_384x288"

    def __init__(
        self, checkpoint: Path, label: str, person: PersonFinder, device: torch.device, flip_test: bool
    ):
        try:
            import mmpose
            from mmpose.apis import inference_topdown, init_model
        except ImportError as error:
            raise UserError(
                f"the estimator mmpose is not installed ({error}); requirements-mmpose.txt says how"
            ) from None
        config = Path(mmpose.__file__).parent / MODEL_CONFIG
        options = {"model": {"test_cfg": {"flip_test": flip_test}}}
        self.model = init_model(str(config), str(checkpoint), str(device), cfg_options=options)
        self._infer, self._person = inference_topdown, person
        self.version = " ".join([version("mmpose"), label, person.name, *(["flip"] if flip_test else [])])

    def estimate(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Estimator.estimate`."""
        for frame in frames:
            (box,) = self._person.boxes([frame])
            keypoints = np.zeros((NUM_KEYPOINTS, 3), np.float32)
            if box is not None:
                bgr = np.ascontiguousarray(frame[..., ::-1])
                (found,) = self._infer(self.model, bgr, box[None])
                keypoints[:, :2] = found.pred_instances.keypoints[0]
                keypoints[:, 2] = found.pred_instances.keypoint_scores[0]
            yield keypoints
