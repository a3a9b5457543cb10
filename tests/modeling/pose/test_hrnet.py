"""HRNet: checkpoints of mmpose under both names, and that batches and options do what they say."""

import numpy as np
import pytest
import torch
from torch import Tensor

from modeling.pose.hrnet import HRNetEstimator, HRNetW48
from modeling.pose.person import WholeFrame
from utils.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> HRNetW48:
    torch.manual_seed(0)
    return HRNetW48().eval()


def as_mmpose(model: HRNetW48, head: str) -> dict[str, Tensor]:
    return {
        name.replace("final_layer.", head, 1) if name.startswith("final_layer.") else name: value
        for name, value in model.state_dict().items()
    }


def test_the_backbone_has_the_tensors_of_mmposes(model: HRNetW48) -> None:
    names = [name for name in model.state_dict() if name.startswith("backbone.")]
    assert len(names) == 1752
    assert "backbone.stage4.1.fuse_layers.3.2.0.1.running_var" in names


@pytest.mark.parametrize("head", ["keypoint_head.final_layer.", "head.final_layer."])
def test_checkpoints_of_both_mmpose_generations_load(model: HRNetW48, head: str) -> None:
    other = HRNetW48()
    other.load_mmpose(as_mmpose(model, head), "w.pth")
    taken = other.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(taken[name], value), name


def test_a_file_that_does_not_fit_is_refused_with_its_tensors(model: HRNetW48) -> None:
    weights = as_mmpose(model, "head.final_layer.")
    weights["head.final_layer.bias"] = torch.zeros(17)
    weights["head.deconv_layers.0.weight"] = torch.zeros(1)
    del weights["backbone.conv1.weight"]
    with pytest.raises(UserError) as caught:
        HRNetW48().load_mmpose(weights, "body17.pth")
    message = str(caught.value)
    assert message.startswith("body17.pth: not HRNet-W48 for 133 keypoints")
    for part in (
        "1 missing (backbone.conv1.weight)",
        "1 unknown (head.deconv_layers.0.weight)",
        "1 of another shape (final_layer.bias)",
    ):
        assert part in message


def test_batches_change_nothing_and_nobody_is_all_zero(model: HRNetW48) -> None:
    class SometimesThere(WholeFrame):
        def boxes(self, frames: object) -> list[np.ndarray | None]:
            assert isinstance(frames, list)
            return [np.array([0, 0, 64, 48.0]) if frame.any() else None for frame in frames]

    rng = np.random.default_rng(0)
    frames = [rng.integers(1, 255, (48, 64, 3), np.uint8) for _ in range(3)]
    frames.insert(1, np.zeros((48, 64, 3), np.uint8))
    found = [
        np.stack(
            list(HRNetEstimator(model, SometimesThere(), "w", CPU, False, size, "fp32").estimate(frames))
        )
        for size in (1, 3)
    ]
    assert found[0].shape == (4, 133, 3) and found[0].dtype == np.float32
    np.testing.assert_allclose(found[0], found[1], atol=0.02)
    assert not found[0][1].any() and found[0][0].any()


def test_the_version_tells_what_changes_the_keypoints(model: HRNetW48) -> None:
    versions = {
        HRNetEstimator(model, WholeFrame(), "w.pth", CPU, flip, 4, precision).version
        for flip in (True, False)
        for precision in ("fp32", "bf16")
    }
    assert len(versions) == 4 and all(version.startswith("w.pth whole-frame") for version in versions)
