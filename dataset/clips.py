"""The Dataset: from clips of the annotations to batches of raw frames, keypoints and labels.

What is random is decided by the request for a clip, not by the process that serves it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dataset.annotations import Clip
from dataset.batch import Request
from dataset.config import DataConfig
from dataset.footage import Choose, FootageBatch, FootageDataset, FootageReader, Sample
from dataset.keypoints import KeypointStore
from dataset.sampling import Crop, evaluation_indices, training_indices
from utils.seeding import generator


@dataclass(frozen=True)
class ClipFormat:
    """What the network reads of a clip.

    frames: clip length. rgb: whether it reads video. keypoint_indices: which of the 133 keypoints, None for none.
    grid: side of the grid, in whose pixels keypoints are given.
    """

    frames: int
    rgb: bool
    keypoint_indices: list[int] | None
    grid: int


@dataclass
class ClipBatch(FootageBatch):
    """B clips with C crops each: `windows` are [B * C, T], those of a clip following one another.

    labels: int64 [B].
    """

    labels: Tensor


class ClipReader(FootageReader):
    """Reads clips of single signs.

    Args:
        config: of the data.
        format: what the network reads.
        keypoints: in place of those of the configuration.

    Raises:
        UserError: the videos or keypoints that the format needs are missing.
    """

    config: DataConfig

    def __init__(self, config: DataConfig, format: ClipFormat, keypoints: KeypointStore | None = None):
        grid = (format.grid, format.grid)
        super().__init__(config, format.rgb, format.keypoint_indices, grid, keypoints)
        self.format = format

    def length(self, clip: Clip, content: bytes | None) -> int:
        """Without the last frames that the configuration drops."""
        return max(1, super().length(clip, content) - self.config.drop_last_frames)

    def read_crops(self, clip: Clip, crops: list[Crop]) -> Sample:
        """A clip at the frames of each evaluation crop."""
        return self.read(clip, partial(crop_windows, frames=self.format.frames, crops=crops))


def crop_windows(length: int, frames: int, crops: list[Crop]) -> list[np.ndarray]:
    """The frames, int64 [frames], of each crop of a clip of `length` frames."""
    return [evaluation_indices(length, frames, crop) for crop in crops]


class ClipDataset(FootageDataset):
    """Batches of clips by request.

    Args:
        clips: of one split.
        vocabulary: glosses in class order.
        reader: of the clips.
        crops: evaluation crops of each clip; None draws a random training window per request.
        check: whether the clips are there, so that a missing one ends the run before it starts.
    """

    clips: Sequence[Clip]
    reader: ClipReader

    def __init__(
        self,
        clips: list[Clip],
        vocabulary: list[str],
        reader: ClipReader,
        crops: list[Crop] | None,
        check: bool = True,
    ):
        super().__init__(clips, reader, check)
        self.crops = crops
        classes = {gloss: i for i, gloss in enumerate(vocabulary)}
        self.labels = [classes[clip.gloss] for clip in clips]

    def most_frames(self, clips: int) -> int:
        return clips * len(self.crops or [None]) * self.reader.format.frames

    def choose(self, request: Request) -> Choose:
        frames = self.reader.format.frames
        if self.crops is not None:
            return partial(crop_windows, frames=frames, crops=self.crops)
        assert request.draw is not None
        rng = generator(request.draw[0], "window", *request.draw[1:])
        return lambda length: [training_indices(length, frames, rng)]

    def read(self, requests: list[Request], room: np.ndarray) -> ClipBatch:
        samples, common = self.read_together(requests, room)
        return ClipBatch(
            **common,
            windows=torch.from_numpy(np.concatenate([sample.windows for sample in samples]))
            if samples
            else torch.empty(0),
            labels=torch.tensor([self.labels[clip] for clip in common["samples"]]),
        )
