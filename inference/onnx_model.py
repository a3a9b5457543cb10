"""A trained network as it is written to ONNX: raw frames and keypoints go in, probabilities come out.

The file is compared with what the evaluation computes in PyTorch, on test clips where the data are there.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from dataset.keypoints import keypoint_indices
from modeling.config import Modality
from utils.errors import UserError
from utils.progress import progress_bar

TOLERANCE = 1e-4  # of a probability, between ONNX and PyTorch
OUTPUT = "probabilities"
RawClip = dict[str, np.ndarray]  # inputs of the ONNX file by name

T = TypeVar("T")


class OnnxModel(nn.Module, ABC):
    """What an ONNX file computes, of each task in a class of its own.

    `forward` takes by name what the network reads: `frames`, uint8 RGB [..., height, width, 3], and `keypoints`,
    float32 [..., 133, 2], shares of the picture's width and height.

    Args:
        recognizer: the network.
        keypoint_parts: of the body, which it reads.
        grid: height and width of the grid, in whose pixels it reads keypoints.

    Attributes:
        first_axis: of every input, which may have any length that this says.
        unit, result: what is compared with PyTorch, and what a user makes of its probabilities.
        checked: so many of them.
    """

    first_axis: ClassVar[Any]
    unit: ClassVar[str]
    result: ClassVar[str]
    checked: ClassVar[int]
    chosen: Tensor

    def __init__(self, recognizer: nn.Module, keypoint_parts: list[str], grid: tuple[int, int]):
        super().__init__()
        self.recognizer, self.grid = recognizer.eval(), grid
        self.register_buffer("chosen", torch.tensor(keypoint_indices(keypoint_parts)))

    @abstractmethod
    def forward(self, frames: Tensor | None = None, keypoints: Tensor | None = None) -> Tensor:
        """Probabilities of the reported prediction, the glosses last."""

    @abstractmethod
    def evaluated(self, clip: RawClip) -> np.ndarray:
        """The same of one clip, as the evaluation computes it."""

    @abstractmethod
    def read(self, probabilities: np.ndarray) -> list[int]:
        """The `result`, as classes."""

    @abstractmethod
    def test_clips(self) -> list[RawClip]:
        """Some clips of the test split.

        Raises:
            UserError: the data are not there.
        """

    @abstractmethod
    def noise(self, seed: int) -> RawClip:
        """Noise in the form that the file reads."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """The sections of `recognizer.json` that differ from task to task: `architecture`, `preprocessing`, what goes
        in and comes out in `onnx`, and what else is needed to make a result of the output."""

    @staticmethod
    @abstractmethod
    def scores(evaluation: dict[str, Any]) -> Any:
        """Of heads and ensembles, from what an evaluation wrote."""

    def on_grid(self, keypoints: Tensor) -> Tensor:
        """The network's keypoints in pixels of the grid, [..., J, 2], from shares of the picture, [..., 133, 2]."""
        height, width = self.grid
        return keypoints[..., self.chosen, :] * keypoints.new_tensor([width, height])

    def write(self, path: Path) -> None:
        """Write the ONNX file."""
        clip = {name: torch.from_numpy(array) for name, array in self.noise(0).items()}
        with torch.no_grad(), warnings.catch_warnings():
            # The exporter tells of its own deprecated calls, and that the inputs share their first axis.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                self.eval(),
                kwargs=clip,
                f=str(path),
                dynamo=True,
                external_data=False,
                input_names=list(clip),
                output_names=[OUTPUT],
                dynamic_shapes={name: {0: self.first_axis} for name in clip},
                verbose=False,
            )

    def compare(self, path: Path) -> dict[str, Any]:
        """Compare an ONNX file with PyTorch, clip by clip: on test clips where the data are there, else on noise.

        Raises:
            UserError: they differ.
        """
        clips, kind = self._clips()
        options = onnxruntime.SessionOptions()
        # Leave PyTorch's threads the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        differences, same = [], 0
        with progress_bar(len(clips), 0, self.unit, shown=True, delay=1) as progress:
            for clip in clips:
                (found,) = session.run([OUTPUT], clip)
                expected = self.evaluated(clip)
                differences.append(float(np.abs(found - expected).max()))
                same += self.read(found) == self.read(expected)
                progress.update()
        if max(differences) >= TOLERANCE:
            raise UserError(
                f"{path.parent}: ONNX and PyTorch differ by {max(differences):.1e}; {path.stem} was not written"
            )
        return {
            "clips": f"{len(clips)} {kind}",
            "largest_difference": max(differences),
            "same_result": f"{same} of {len(clips)}",
            "torch": torch.__version__,
        }

    def _clips(self) -> tuple[list[RawClip], str]:
        try:
            return self.test_clips(), f"test {self.unit}s"
        except UserError:
            return [self.noise(seed) for seed in range(self.checked)], f"{self.unit}s of noise"


def spread(values: Sequence[T], count: int) -> list[T]:
    """So many values from all over a sequence."""
    return [values[i] for i in np.linspace(0, len(values) - 1, min(count, len(values))).astype(int)]


def raw_clip(frames: np.ndarray | None, keypoints: np.ndarray | None) -> RawClip:
    """Inputs of what was read; keypoints are float32 [..., 133, 3], their confidence is left out."""
    clip = {} if frames is None else {"frames": frames}
    if keypoints is not None:
        clip["keypoints"] = np.ascontiguousarray(keypoints[..., :2])
    return clip


def tensors(clip: RawClip) -> tuple[Tensor | None, Tensor | None]:
    """Frames and keypoints of a clip."""
    frames, keypoints = (
        torch.from_numpy(clip[name]) if name in clip else None for name in ("frames", "keypoints")
    )
    return frames, keypoints


def noise(
    seed: int, shape: tuple[int, ...], frame_size: tuple[int, int], modalities: Sequence[Modality]
) -> RawClip:
    """Frames [*shape, height, width, 3] and keypoints [*shape, 133, 2], those of them that `modalities` read."""
    rng = np.random.default_rng(seed)
    clip: RawClip = {}
    if "rgb" in modalities:
        clip["frames"] = rng.integers(0, 256, (*shape, *frame_size, 3), dtype=np.uint8)
    if "keypoint" in modalities:
        clip["keypoints"] = rng.random((*shape, 133, 2), dtype=np.float32)
    return clip
