"""Raw clips, whatever they show: some of their frames and keypoints, from where the configuration says they are."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from dataset.annotations import Clip
from dataset.batch import Problem, Request, SampleSet
from dataset.config import FootageConfig
from dataset.frame_cache import FrameCache
from dataset.keypoints import KeypointStore, open_keypoints
from dataset.video import Decoded, FileSource, count_frames, decode_images, decode_video
from utils.errors import UserError
from utils.seeding import generator

Array = TypeVar("Array", np.ndarray, Tensor)
NOWHERE = -1e4  # pixels: so far from the picture that nothing of a keypoint's Gaussian is left in it
REPLACEMENTS = 10  # tried, one after the other, for a clip that cannot be read
# From the length of a clip to its windows: of each, the frames it is made of, int64 [T].
Choose = Callable[[int], Sequence[np.ndarray]]


def at(windows: Array, values: Array | None) -> Array | None:
    """The values of each window, [C, T, ...], from those of the frames, [F, ...]."""
    return None if values is None else values[windows]


@dataclass
class Sample:
    """One clip as read, every frame once.

    windows: int64 [C, T], the frames of each window. first: which of the clip's frames is the first of them all.
    frames: uint8 [F, H, W, 3]. keypoints: float32 [F, J, 3].
    problem: what was wrong with it.
    """

    windows: np.ndarray
    first: int = 0
    frames: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    problem: str | None = None

    def crops(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Frames [C, T, H, W, 3] and keypoints [C, T, J, 3] of every window."""
        return at(self.windows, self.frames), at(self.windows, self.keypoints)


@dataclass
class FootageBatch:
    """Clips that are computed together; each kind adds what they show.

    samples: index of each clip in its list. frames: uint8 [F, H, W, 3], every frame of all clips once, or None.
    keypoints: float32 [F, J, 3], x and y in pixels of the grid, or None. windows: int64 [W, T], the frames that each
    window is made of. problems: of clips that were asked for. error: why there are none.
    """

    samples: list[int]
    frames: Tensor | None
    keypoints: Tensor | None
    windows: Tensor
    problems: list[Problem]
    error: str | None

    def crops(self) -> tuple[Tensor | None, Tensor | None]:
        """Frames [W, T, H, W, 3] and keypoints [W, T, J, 3] of every window."""
        return at(self.windows, self.frames), at(self.windows, self.keypoints)

    def __getstate__(self) -> dict[str, Any]:
        """As arrays: sending a tensor to another process makes a file for it."""
        return {k: v.numpy() if isinstance(v, Tensor) else v for k, v in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in state.items()}

    def pin_memory(self) -> Self:
        self.frames = None if self.frames is None else self.frames.pin_memory()
        self.keypoints = None if self.keypoints is None else self.keypoints.pin_memory()
        return self

    def to(self, device: torch.device) -> Self:
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True)
            for name, value in self.__dict__.items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)


class FootageReader:
    """Reads raw clips.

    Args:
        config: of the data.
        rgb: whether to read video.
        keypoint_indices: which of the 133 keypoints, None for none.
        grid: height and width of the grid, in whose pixels keypoints are given.
        keypoints: in place of those of the configuration.

    Raises:
        UserError: the videos or keypoints that are to be read are missing.
    """

    def __init__(
        self,
        config: FootageConfig,
        rgb: bool,
        keypoint_indices: list[int] | None,
        grid: tuple[int, int],
        keypoints: KeypointStore | None = None,
    ):
        self.config, self.keypoint_indices, self.grid = config, keypoint_indices, grid
        self.source: FileSource | None = None
        self.keypoints: KeypointStore | None = None
        self.cache: FrameCache | None = None
        if rgb:
            assert config.videos is not None  # the configuration makes sure
            self.source = FileSource(Path(config.videos))
            if config.frame_cache is not None:
                self.cache = FrameCache(Path(config.frame_cache), config.picture)
        if keypoint_indices is not None:
            assert keypoints is not None or config.keypoints is not None
            self.keypoints = keypoints or open_keypoints(Path(str(config.keypoints)))

    def check(self, clips: Sequence[Clip]) -> None:
        """Raise a `UserError` if a clip is missing from the videos or from the keypoints."""
        if self.source is not None:
            missing = [clip for clip in clips if self.path(clip) not in self.source]
            if missing:
                path = self.path(missing[0])
                raise UserError(f"{self.source.path}: {_some(missing, len(clips))}: no file {path!r}")
        if self.keypoints is not None:
            missing = [clip for clip in clips if clip.name not in self.keypoints]
            if missing:
                raise UserError(
                    f"{self.keypoints.path}: no keypoints for {_some(missing, len(clips))}; "
                    "find them with gen_pose.py, or take the clips out of the annotations"
                )

    def path(self, clip: Clip, frame: int = 0) -> str:
        """Of a clip inside the videos, or of its image at a frame, counted from the beginning of the video."""
        return self.config.path_of(clip.name, clip.video, frame)

    def length(self, clip: Clip, content: bytes | None) -> int:
        """Frames of a clip: as annotated, else counted in the video, else in the keypoints."""
        frames = clip.length
        if frames is None and content is not None:
            frames = count_frames(content) - (clip.start_frame or 0)
        elif frames is None and self.keypoints is not None and clip.name in self.keypoints:
            frames = len(self.keypoints.read(clip.name))
        if frames is None:
            raise UserError(f"clip {clip.name!r}: numbered images need the column frames in the index")
        return max(1, frames)

    def video_frames(self, clips: Sequence[Clip]) -> int:
        """Frames of all the videos that these clips are in: as annotated, else counted."""
        assert self.source is not None
        videos = {self.path(clip): clip for clip in clips}
        return sum(
            clip.frames
            if clip.frames is not None and clip.start_frame is None and clip.end_frame is None
            else count_frames(self.source.read(path))
            for path, clip in videos.items()
        )

    def read(self, clip: Clip, choose: Choose, room: np.ndarray | None = None) -> Sample:
        """A clip at the frames that `choose` says; its frames at the beginning of `room`, uint8 [at least F, height,
        width, 3], where that is given.

        Raises:
            UserError: its file or keypoints are missing, not a frame can be decoded, or a keypoint is not finite.
        """
        content = None
        if self.source is not None and not self.config.is_images:
            content = self.source.read(self.path(clip))
        length = self.length(clip, content)
        indices = choose(length)
        wanted, windows = np.unique(np.stack(indices), return_inverse=True)
        sample = Sample(windows.reshape(len(indices), -1), int(wanted[0]))
        if self.source is not None:
            decoded = self._decode(clip, content, wanted + (clip.start_frame or 0), room)
            if not decoded.found:
                raise UserError(f"{self.source.path}: {self.path(clip)}: {decoded.problem}")
            sample.frames, sample.problem = decoded.frames, decoded.problem
        if self.keypoints is not None:
            sample.keypoints, problem = self.keypoints_at(clip, wanted, length)
            sample.problem = sample.problem or problem
        return sample

    def _decode(
        self, clip: Clip, content: bytes | None, indices: np.ndarray, room: np.ndarray | None
    ) -> Decoded:
        picture = self.config.picture
        if content is not None:
            decode = self.cache.decode if self.cache else partial(decode_video, picture=picture)
            return decode(content, indices, room=room)
        assert self.source is not None
        images = (self.source.read_if_there(self.path(clip, int(index))) for index in indices)
        return decode_images(images, indices, picture, room)

    def keypoints_at(self, clip: Clip, indices: np.ndarray, length: int) -> tuple[np.ndarray, str | None]:
        """The keypoints of a clip of `length` frames at frame numbers int [frames]: float32 [frames, J, 3], x and y in
        pixels of the grid; and what was wrong with them."""
        assert self.keypoints is not None
        if clip.name not in self.keypoints:
            raise UserError(f"{self.keypoints.path}: no keypoints of clip {clip.name!r}")
        points = self.keypoints.read(clip.name)
        if not len(points):
            raise UserError(f"{self.keypoints.path}: the keypoints of clip {clip.name!r} have no frames")
        problem = None
        if len(points) < length:
            problem = f"has {length} frames but keypoints for only {len(points)}"
        points = points[np.minimum(indices, len(points) - 1)][:, self.keypoint_indices]
        if not np.isfinite(points).all():
            raise UserError(
                f"{self.keypoints.path}: keypoints of clip {clip.name!r} are not finite; python -m dataset.check finds "
                "all such clips: take them out of the annotations, or find their keypoints again"
            )
        if self.config.missing_keypoints == "empty":
            points[points[..., 2] == 0, :2] = NOWHERE
        width, height = self.keypoints.frame_size(clip.name) or self.config.keypoints_picture[::-1]
        scale = np.array([self.grid[1] / width, self.grid[0] / height, 1.0], dtype=np.float32)
        return points * scale, problem


def _some(clips: Sequence[Clip], total: int) -> str:
    names = ", ".join(clip.name for clip in clips[:3])
    return f"{len(clips)} of {total} clips ({names}{', ...' if len(clips) > 3 else ''})"


class FootageDataset(SampleSet):
    """Batches of clips by request, read into memory that is given.

    Args:
        clips: of one split.
        reader: of the clips.
        check: whether the clips are there, so that a missing one ends the run before it starts.

    A clip that cannot be read is replaced by another one in training, which the draw of the request decides, and left
    out in evaluation.
    """

    def __init__(self, clips: Sequence[Clip], reader: FootageReader, check: bool = True):
        if check:
            reader.check(clips)
        self.clips, self.reader = clips, reader

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def names(self) -> list[str]:
        return [clip.name for clip in self.clips]

    @property
    def reads_frames(self) -> bool:
        return self.reader.source is not None

    def room(self, clips: int) -> tuple[int, ...]:
        """Shape of the frames of so many clips, at most."""
        picture = self.reader.config.picture
        return self.most_frames(clips) if self.reads_frames else 0, picture.height, picture.width, 3

    @abstractmethod
    def most_frames(self, clips: int) -> int:
        """How many different frames so many clips can have."""

    @abstractmethod
    def choose(self, request: Request) -> Choose:
        """Which frames of the clip are read."""

    @abstractmethod
    def read(self, requests: list[Request], room: np.ndarray) -> FootageBatch:
        """One clip after the other; the frames are a part of `room`."""

    def __getitem__(self, requests: list[Request]) -> FootageBatch:
        return self.read(requests, np.empty(self.room(len(requests)), np.uint8))

    def read_together(self, requests: list[Request], room: np.ndarray) -> tuple[list[Sample], dict[str, Any]]:
        """The clips, their windows counted in the frames of all of them; and what a batch has of them but `windows`."""
        samples: list[Sample] = []
        clips: list[int] = []
        problems: list[Problem] = []
        first = 0
        for request in requests:
            for candidate in candidates(request, len(self)):
                choose = self.choose(candidate)
                try:
                    sample = self.reader.read(self.clips[candidate.sample], choose, room[first:])
                except UserError as reason:
                    problems.append(Problem(candidate.sample, str(reason), unreadable=True))
                    continue
                if sample.problem is not None:
                    problems.append(Problem(candidate.sample, sample.problem))
                sample.windows += first
                first = int(sample.windows.max()) + 1
                samples.append(sample)
                clips.append(candidate.sample)
                break
        error = None
        if requests and requests[0].draw is not None and len(samples) < len(requests):
            error = f"{REPLACEMENTS + 1} clips one after the other cannot be read, the last one: {problems[-1].text}"
        points = [sample.keypoints for sample in samples if sample.keypoints is not None]
        return samples, {
            "samples": clips,
            "frames": torch.from_numpy(room[:first]) if self.reads_frames else None,
            "keypoints": torch.from_numpy(np.concatenate(points)) if points else None,
            "problems": problems,
            "error": error,
        }


def candidates(request: Request, samples: int) -> Iterator[Request]:
    """The request, and in training those that replace it, should its clip be unreadable: one after the other."""
    yield request
    if request.draw is not None:
        seed, *place = request.draw
        for sample in generator(seed, "replacement", *place).integers(samples, size=REPLACEMENTS):
            yield Request(int(sample), request.draw)
