"""The Dataset: from clips of the annotations to batches of raw frames, keypoints and labels.

What is random is decided by the request for a clip, not by the process that serves it.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from dataset.annotations import Clip
from dataset.batch import Request, SampleSet
from dataset.config import DataConfig
from dataset.frame_cache import FrameCache
from dataset.keypoints import KeypointStore, open_keypoints
from dataset.sampling import Crop, evaluation_indices, training_indices
from dataset.video import Decoded, FileSource, count_frames, decode_images, decode_video
from utils.errors import UserError
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


Array = TypeVar("Array", np.ndarray, Tensor)


def _at(windows: Array, values: Array | None) -> Array | None:
    """The values of each crop, [C, T, ...], from those of the frames, [F, ...]."""
    return None if values is None else values[windows]


@dataclass
class Sample:
    """One clip as read, every frame once.

    windows: int64 [C, T], the frames of each crop. frames: uint8 [F, H, W, 3]. keypoints: float32 [F, J, 3].
    problem: what was wrong with it.
    """

    windows: np.ndarray
    frames: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    problem: str | None = None

    def crops(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Frames [C, T, H, W, 3] and keypoints [C, T, J, 3] of every crop."""
        return _at(self.windows, self.frames), _at(self.windows, self.keypoints)


@dataclass
class ClipBatch:
    """B clips with C crops each.

    samples: index of each clip in its list. labels: int64 [B]. frames: uint8 [F, H, W, 3], every frame of all clips
    once, or None. keypoints: float32 [F, J, 3], x and y in pixels of the grid, or None. windows: int64 [B * C, T], the
    frames that each crop is made of. problems: (clip, what was wrong).
    """

    samples: list[int]
    labels: Tensor
    frames: Tensor | None
    keypoints: Tensor | None
    windows: Tensor
    problems: list[tuple[int, str]]
    error: str | None = None

    def crops(self) -> tuple[Tensor | None, Tensor | None]:
        """Frames [B * C, T, H, W, 3] and keypoints [B * C, T, J, 3] of every crop."""
        return _at(self.windows, self.frames), _at(self.windows, self.keypoints)

    def __getstate__(self) -> dict[str, Any]:
        """As arrays: sending a tensor to another process makes a file for it."""
        return {k: v.numpy() if isinstance(v, Tensor) else v for k, v in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in state.items()}

    def pin_memory(self) -> "ClipBatch":
        self.frames = None if self.frames is None else self.frames.pin_memory()
        self.keypoints = None if self.keypoints is None else self.keypoints.pin_memory()
        return self

    def to(self, device: torch.device) -> "ClipBatch":
        def move(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(device, non_blocking=True)

        return ClipBatch(
            self.samples,
            self.labels.to(device),
            move(self.frames),
            move(self.keypoints),
            self.windows.to(device),
            self.problems,
            self.error,
        )


class ClipReader:
    """Reads raw clips from where the configuration says they are.

    Args:
        config: of the data.
        format: what the network reads.
        keypoints: in place of those of the configuration.

    Raises:
        UserError: the videos or keypoints that the format needs are missing.
    """

    def __init__(self, config: DataConfig, format: ClipFormat, keypoints: KeypointStore | None = None):
        self.config, self.format = config, format
        self.source: FileSource | None = None
        self.keypoints: KeypointStore | None = None
        self.cache: FrameCache | None = None
        if format.rgb:
            assert config.videos is not None  # the configuration makes sure
            self.source = FileSource(Path(config.videos))
            if config.frame_cache is not None:
                self.cache = FrameCache(Path(config.frame_cache), config.frame_size)
        if format.keypoint_indices is not None:
            assert keypoints is not None or config.keypoints is not None
            self.keypoints = keypoints or open_keypoints(Path(str(config.keypoints)))

    def check(self, clips: list[Clip]) -> None:
        """Raise a `UserError` if a clip is missing from the videos or from the keypoints."""
        if self.source is not None:
            missing = [clip for clip in clips if self._path(clip) not in self.source]
            if missing:
                path = self._path(missing[0])
                raise UserError(f"{self.source.path}: {_some(missing, len(clips))}: no file {path!r}")
        if self.keypoints is not None:
            missing = [clip for clip in clips if clip.name not in self.keypoints]
            if missing:
                raise UserError(
                    f"{self.keypoints.path}: no keypoints for {_some(missing, len(clips))}; "
                    "find them with gen_pose.py, or take the clips out of the annotations"
                )

    def _path(self, clip: Clip, frame: int = 0) -> str:
        return self.config.path_of(clip.name, clip.video, frame)

    def length(self, clip: Clip, content: bytes | None) -> int:
        """Usable frames of a clip: as annotated, else counted in the video, else in the keypoints."""
        frames = clip.length
        if frames is None and content is not None:
            frames = count_frames(content) - (clip.start_frame or 0)
        elif frames is None and self.keypoints is not None and clip.name in self.keypoints:
            frames = len(self.keypoints.read(clip.name))
        if frames is None:
            raise UserError(f"clip {clip.name!r}: numbered images need the column frames in the index")
        return max(1, frames - self.config.drop_last_frames)

    def video_frames(self, clips: list[Clip]) -> int:
        """Frames of all the videos that these clips are in: as annotated, else counted."""
        assert self.source is not None
        videos = {self._path(clip): clip for clip in clips}
        return sum(
            clip.frames
            if clip.frames is not None and clip.start_frame is None and clip.end_frame is None
            else count_frames(self.source.read(path))
            for path, clip in videos.items()
        )

    def read(
        self,
        clip: Clip,
        crops: list[Crop] | None,
        rng: np.random.Generator | None,
        room: np.ndarray | None = None,
    ) -> Sample:
        """A clip at the frames of each evaluation crop, or of one random window drawn from `rng`; its frames at the
        beginning of `room`, uint8 [at least F, size, size, 3], where that is given."""
        content = None
        if self.source is not None and not self.config.is_images:
            content = self.source.read(self._path(clip))
        length = self.length(clip, content)
        if crops is None:
            assert rng is not None
            indices = [training_indices(length, self.format.frames, rng)]
        else:
            indices = [evaluation_indices(length, self.format.frames, crop) for crop in crops]
        wanted, windows = np.unique(np.stack(indices), return_inverse=True)
        sample = Sample(windows.reshape(len(indices), -1))
        if self.source is not None:
            decoded = self._decode(clip, content, wanted + (clip.start_frame or 0), room)
            sample.frames, sample.problem = decoded.frames, decoded.problem
        if self.keypoints is not None:
            sample.keypoints, problem = self.keypoints_at(clip, wanted, length)
            sample.problem = sample.problem or problem
        return sample

    def _decode(
        self, clip: Clip, content: bytes | None, indices: np.ndarray, room: np.ndarray | None
    ) -> Decoded:
        size = self.config.frame_size
        if content is not None:
            decode = self.cache.decode if self.cache else partial(decode_video, size=size)
            return decode(content, indices, room=room)
        assert self.source is not None
        images = (self.source.read_if_there(self._path(clip, int(index))) for index in indices)
        return decode_images(images, indices, size, room)

    def keypoints_at(self, clip: Clip, indices: np.ndarray, length: int) -> tuple[np.ndarray, str | None]:
        """The keypoints of a clip of `length` frames at frame numbers int [frames]: float32 [frames, J, 3], x and y in
        pixels of the grid; and what was wrong with them."""
        assert self.keypoints is not None
        points = self.keypoints.read(clip.name)
        if not len(points):
            raise UserError(f"{self.keypoints.path}: the keypoints of clip {clip.name!r} have no frames")
        problem = None
        if len(points) < length:
            problem = f"has {length} frames but keypoints for only {len(points)}"
        points = points[np.minimum(indices, len(points) - 1)][:, self.format.keypoint_indices]
        side = self.config.keypoints_frame_size
        width, height = self.keypoints.frame_size(clip.name) or (side, side)
        scale = np.array([self.format.grid / width, self.format.grid / height, 1.0], dtype=np.float32)
        return points * scale, problem


def _some(clips: list[Clip], total: int) -> str:
    names = ", ".join(clip.name for clip in clips[:3])
    return f"{len(clips)} of {total} clips ({names}{', ...' if len(clips) > 3 else ''})"


class ClipDataset(SampleSet):
    """Batches of clips by request.

    Args:
        clips: of one split.
        vocabulary: glosses in class order.
        reader: checked against the clips here, so that a missing file ends the run before it starts.
        crops: evaluation crops of each clip; None draws a random training window per request.
    """

    def __init__(
        self, clips: list[Clip], vocabulary: list[str], reader: ClipReader, crops: list[Crop] | None
    ):
        reader.check(clips)
        self.clips, self.reader, self.crops = clips, reader, crops
        classes = {gloss: i for i, gloss in enumerate(vocabulary)}
        self.labels = [classes[clip.gloss] for clip in clips]

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def names(self) -> list[str]:
        return [clip.name for clip in self.clips]

    def __getitem__(self, requests: list[Request]) -> ClipBatch:
        return self.read(requests, np.empty(self.room(len(requests)), np.uint8))

    def room(self, clips: int) -> tuple[int, ...]:
        """Shape of the frames of so many clips, at most."""
        size, format = self.reader.config.frame_size, self.reader.format
        return clips * len(self.crops or [None]) * format.frames * format.rgb, size, size, 3

    def read(self, requests: list[Request], room: np.ndarray) -> ClipBatch:
        """One clip after the other, crops of one clip following one another; the frames are a part of `room`."""
        samples: list[Sample] = []
        first = 0
        try:
            for request in requests:
                rng = (
                    None if request.draw is None else generator(request.draw[0], "window", *request.draw[1:])
                )
                sample = self.reader.read(self.clips[request.sample], self.crops, rng, room[first:])
                sample.windows += first
                first = int(sample.windows.max()) + 1
                samples.append(sample)
        except UserError as error:
            return ClipBatch([], torch.empty(0), None, None, torch.empty(0), [], str(error))
        clips = [request.sample for request in requests]
        points = [sample.keypoints for sample in samples if sample.keypoints is not None]
        return ClipBatch(
            clips,
            torch.tensor([self.labels[clip] for clip in clips]),
            torch.from_numpy(room[:first]) if self.reader.format.rgb else None,
            torch.from_numpy(np.concatenate(points)) if points else None,
            torch.from_numpy(np.concatenate([sample.windows for sample in samples])),
            [(clip, x.problem) for clip, x in zip(clips, samples, strict=True) if x.problem is not None],
        )
