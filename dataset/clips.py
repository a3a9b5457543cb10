"""The Dataset: from a clip of the annotations to raw frames, keypoints and a label, and the loaders around it.

What is random is decided by the request for a clip, not by the process that serves it: a seed and a position
determine every batch, on any number of workers and processes.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from dataset.annotations import Clip
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


class Request(NamedTuple):
    """One clip of one batch; `draw` is (seed, epoch, place in the epoch) of its random window, None in evaluation."""

    clip: int
    draw: tuple[int, int, int] | None


Array = TypeVar("Array", np.ndarray, Tensor)


def _at(windows: Array, values: Array | None) -> Array | None:
    """The values of each crop, [C, T, ...], from those of the frames, [F, ...]."""
    return None if values is None else values[windows]


@dataclass
class Sample:
    """One clip as read, every frame once.

    frames: uint8 [F, H, W, 3]. keypoints: float32 [F, J, 3]. windows: int64 [C, T], the frames of each crop.
    problem: what was wrong with it. error: a user's mistake found while reading, for the main process to raise.
    """

    clip: int
    label: int
    frames: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    windows: np.ndarray | None = None
    problem: str | None = None
    error: str | None = None

    def crops(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Frames [C, T, H, W, 3] and keypoints [C, T, J, 3] of every crop."""
        assert self.windows is not None
        return _at(self.windows, self.frames), _at(self.windows, self.keypoints)


@dataclass
class Batch:
    """B clips with C crops each.

    clips: index of each clip in its list. labels: int64 [B]. frames: uint8 [F, H, W, 3], every frame of all clips
    once, or None. keypoints: float32 [F, J, 3], x and y in pixels of the grid, or None. windows: int64 [B * C, T], the
    frames that each crop is made of. problems: (clip, what was wrong).
    """

    clips: list[int]
    labels: Tensor
    frames: Tensor | None
    keypoints: Tensor | None
    windows: Tensor
    problems: list[tuple[int, str]]
    error: str | None = None

    def crops(self) -> tuple[Tensor | None, Tensor | None]:
        """Frames [B * C, T, H, W, 3] and keypoints [B * C, T, J, 3] of every crop."""
        return _at(self.windows, self.frames), _at(self.windows, self.keypoints)

    def pin_memory(self) -> "Batch":
        self.frames = None if self.frames is None else self.frames.pin_memory()
        self.keypoints = None if self.keypoints is None else self.keypoints.pin_memory()
        return self

    def to(self, device: torch.device) -> "Batch":
        def move(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(device, non_blocking=True)

        return Batch(
            self.clips,
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

    def read(self, clip: Clip, crops: list[Crop] | None, rng: np.random.Generator | None) -> Sample:
        """A clip at the frames of each evaluation crop, or of one random window drawn from `rng`."""
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
        sample = Sample(clip=-1, label=-1, windows=windows.reshape(len(indices), -1))
        if self.source is not None:
            decoded = self._decode(clip, content, wanted + (clip.start_frame or 0))
            sample.frames, sample.problem = decoded.frames, decoded.problem
        if self.keypoints is not None:
            sample.keypoints, problem = self.keypoints_at(clip, wanted, length)
            sample.problem = sample.problem or problem
        return sample

    def _decode(self, clip: Clip, content: bytes | None, indices: np.ndarray) -> Decoded:
        size = self.config.frame_size
        if content is not None:
            return self.cache.decode(content, indices) if self.cache else decode_video(content, indices, size)
        assert self.source is not None
        images: dict[int, bytes | None] = {}
        for index in np.unique(indices):
            images[int(index)] = self.source.read_if_there(self._path(clip, int(index)))
        return decode_images(images, indices, size)

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


class ClipDataset(Dataset[Sample]):
    """Clips by request.

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

    def __getitem__(self, request: Request) -> Sample:
        rng = None if request.draw is None else generator(request.draw[0], "window", *request.draw[1:])
        try:
            sample = self.reader.read(self.clips[request.clip], self.crops, rng)
        except UserError as error:
            sample = Sample(request.clip, -1, error=str(error))
        sample.clip, sample.label = request.clip, self.labels[request.clip]
        return sample


def collate(samples: list[Sample]) -> Batch:
    """One clip after the other; crops of one clip follow one another."""
    errors = [sample.error for sample in samples if sample.error is not None]
    if errors:
        return Batch([], torch.empty(0), None, None, torch.empty(0), [], errors[0])

    def join(arrays: list[np.ndarray | None]) -> Tensor | None:
        return None if arrays[0] is None else torch.from_numpy(np.concatenate(arrays))  # type: ignore[arg-type]

    windows, first = [], 0
    for sample in samples:
        assert sample.windows is not None
        windows.append(sample.windows + first)
        first += int(sample.windows.max()) + 1
    return Batch(
        [sample.clip for sample in samples],
        torch.tensor([sample.label for sample in samples]),
        join([sample.frames for sample in samples]),
        join([sample.keypoints for sample in samples]),
        torch.from_numpy(np.concatenate(windows)),
        [(sample.clip, sample.problem) for sample in samples if sample.problem is not None],
    )


class TrainingSchedule(Sampler[list[Request]]):
    """All batches of a training run, epoch after epoch, from any point on.

    Each epoch goes through the clips in a new order; the last batch is filled up from the epoch's beginning. The
    global batch is cut into equal consecutive parts, one a process.
    """

    def __init__(
        self,
        clips: int,
        batch_size: int,
        epochs: int,
        seed: int,
        first_step: int = 0,
        rank: int = 0,
        processes: int = 1,
    ):
        self.clips, self.batch_size, self.epochs, self.seed = clips, batch_size, epochs, seed
        self.first_step, self.rank, self.processes = first_step, rank, processes
        self.steps_per_epoch = -(-clips // batch_size)

    def __len__(self) -> int:
        return self.epochs * self.steps_per_epoch - self.first_step

    def __iter__(self) -> Iterator[list[Request]]:
        local = self.batch_size // self.processes
        for epoch in range(self.first_step // self.steps_per_epoch, self.epochs):
            order = generator(self.seed, "order", epoch).permutation(self.clips)
            filled = np.resize(order, self.steps_per_epoch * self.batch_size)
            skipped = max(0, self.first_step - epoch * self.steps_per_epoch)
            for step in range(skipped, self.steps_per_epoch):
                first = step * self.batch_size + self.rank * local
                yield [Request(int(filled[p]), (self.seed, epoch, p)) for p in range(first, first + local)]


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; only the training process decides what to do about it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def training_loader(
    dataset: ClipDataset, schedule: TrainingSchedule, workers: int, pin: bool
) -> DataLoader[Sample]:
    """Batches of the whole run; its workers live as long as it is iterated."""
    return DataLoader(
        dataset,
        batch_sampler=schedule,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        worker_init_fn=_ignore_interrupt,
    )


def evaluation_loader(
    dataset: ClipDataset, batch_size: int, workers: int, pin: bool, rank: int = 0, processes: int = 1
) -> DataLoader[Sample]:
    """Every clip once, in batches whose make-up does not depend on the number of processes that share them."""
    batches = [
        [Request(i, None) for i in range(start, min(start + batch_size, len(dataset)))]
        for start in range(0, len(dataset), batch_size)
    ]
    return DataLoader(
        dataset,
        batch_sampler=batches[rank::processes],
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        persistent_workers=workers > 0,
        worker_init_fn=_ignore_interrupt,
    )


class DamageLog:
    """Counts damaged clips, reports each once, and stops the run when they are too many."""

    def __init__(self, clips: list[Clip], max_share: float):
        self.clips, self.max_share = clips, max_share
        self.damaged: set[int] = set()

    def note(self, batch: Batch) -> list[str]:
        """One line for each clip newly found damaged.

        Raises:
            UserError: more than the set share of all clips is damaged, or a clip could not be read at all.
        """
        if batch.error is not None:
            raise UserError(batch.error)
        lines = []
        for clip, problem in batch.problems:
            if clip not in self.damaged:
                self.damaged.add(clip)
                lines.append(f"damaged clip {self.clips[clip].name!r}: {problem}")
        if len(self.damaged) > self.max_share * len(self.clips):
            raise UserError(
                f"{len(self.damaged)} of {len(self.clips)} clips are damaged, more than data.max_damaged_share "
                f"{self.max_share:g} allows; the last: {lines[-1] if lines else ''}"
            )
        return lines
