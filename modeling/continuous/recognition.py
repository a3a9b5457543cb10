"""Continuous recognition on the device: from raw sentences to what is learned in a step, and to what is predicted."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from modeling.augment import Inputs
from modeling.config import RuntimeConfig, TrainingConfig
from modeling.continuous.augment import central_draw, prepare_sentences
from modeling.continuous.network import ContinuousOutput, ContinuousRecognizer, with_ensembles
from modeling.continuous.objective import ContinuousObjective
from modeling.engine import Arithmetic, TrainingStep, prediction_copy, reads_windows
from modeling.windows import Windows


class PreparedSentences(NamedTuple):
    """A batch: {stream: [B, C, T, H, W] in [-1, 1]}, heatmaps in factors; lengths int64 [B], the frames of each
    sentence; glosses int64 [B, L], classes; counts int64 [B], how many of them are of each sentence."""

    inputs: Inputs
    lengths: Tensor
    glosses: Tensor
    counts: Tensor


class ContinuousStep(TrainingStep[PreparedSentences]):
    """One step of continuous recognition.

    Args:
        recognizer: the network itself.
        parallel, optimizer, config: see `TrainingStep`.
        objective: the loss.
        runtime: arithmetic and memory format.
    """

    def __init__(
        self,
        recognizer: ContinuousRecognizer,
        parallel: nn.Module,
        objective: ContinuousObjective,
        optimizer: torch.optim.Optimizer,
        config: TrainingConfig,
        runtime: RuntimeConfig,
    ):
        super().__init__(parallel, optimizer, config)
        self.objective = objective
        self.arithmetic = Arithmetic(runtime, recognizer)

    def losses(self, part: PreparedSentences, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective, and its parts."""
        output = self.parallel(self.arithmetic.cast(part.inputs), part.lengths)
        return self.objective(output, part.glosses, part.counts)


class SentencePredictor:
    """Logits of whole sentences by a recognizer as it is now; make another one after it has been trained further.

    Sentences are computed one by one, so that what is found of one does not depend on others.

    Args:
        recognizer: on the device to compute on.
        runtime: arithmetic and memory format; default: those that fit the device.
        pyramid: also the pyramids' heads, and the ensemble of them.

    Attributes:
        replaced: one line that says how the network differs from the plain one.
    """

    def __init__(
        self, recognizer: ContinuousRecognizer, runtime: RuntimeConfig | None = None, pyramid: bool = True
    ):
        runtime = runtime or RuntimeConfig()
        self.config, self.pyramid = recognizer.config, pyramid
        self.fast = reads_windows(runtime, next(recognizer.parameters()).device)
        self.network, self.replaced = prediction_copy(recognizer, runtime)
        self.arithmetic = Arithmetic(runtime, self.network)

    @torch.inference_mode()
    def __call__(self, frames: Tensor | None, keypoints: Tensor | None) -> ContinuousOutput:
        """Heads and ensembles of one sentence: B is 1.

        Args:
            frames: uint8 RGB [T, H, W, 3], T a multiple of 4; None for a model without RGB.
            keypoints: float [T, J, 3], x and y in pixels of the heatmap grid; None for a model without them.
        """
        read, length = self._inputs(frames, keypoints)
        output = self.network(read, length, pyramid=self.pyramid)
        return with_ensembles(output)

    @torch.inference_mode()
    def features(self, frames: Tensor | None, keypoints: Tensor | None) -> dict[str, Tensor]:
        """What the heads on block 4 read of one sentence: {stream: float [T / 4, C]}. Arguments as of a call."""
        read, _ = self._inputs(frames, keypoints)
        return {stream: values[0] for stream, values in self.network.features(read, pyramid=False).items()}

    def _inputs(self, frames: Tensor | None, keypoints: Tensor | None) -> tuple[dict[str, Any], Tensor]:
        """What the network reads, and how many frames it has, int64 [1]."""
        size = (1, 1) if frames is None else (frames.shape[1], frames.shape[2])
        draw = central_draw(self.config, size)
        inputs = prepare_sentences(
            None if frames is None else frames[None],
            None if keypoints is None else keypoints[None].float(),
            self.config,
            [draw],
        )
        length = len(frames if frames is not None else keypoints)  # type: ignore[arg-type]
        device = next(self.network.parameters()).device
        read: dict[str, Any] = {**self.arithmetic.cast(inputs)}
        if self.fast:
            places = torch.arange(length, device=device)[None]
            read = {stream: Windows(x, places) for stream, x in read.items()}
        return read, torch.tensor([length], device=device)
