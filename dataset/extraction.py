"""Around the extraction of keypoints: whole clips in their own size, and a store that grows clip by clip."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dataset.annotations import Clip
from dataset.clip_parts import ClipParts
from dataset.config import FootageConfig
from dataset.keypoints import SafetensorsKeypoints, write_keypoints
from dataset.video import FileSource, ImageFrames, VideoFrames, count_frames
from utils.errors import UserError


class RawClips:
    """The clips of a data set as they were recorded.

    Raises:
        UserError: the configuration names no videos, or they are not there.
    """

    def __init__(self, config: FootageConfig):
        if config.videos is None:
            raise UserError("data.videos: missing; keypoints are found in videos")
        self.config, self.source = config, FileSource(Path(config.videos))

    def frames(
        self, clip: Clip, size: Callable[[int, int], tuple[int, int]] | None = None
    ) -> VideoFrames | ImageFrames:
        """All frames of a clip, videos scaled to `size` (see `VideoFrames`); a missing file shows as a problem."""
        start, end = clip.start_frame or 0, clip.end_frame
        if not self.config.is_images:
            return VideoFrames(self._content(clip), start, end, size)
        if end is None and clip.frames is not None:
            end = start + clip.frames
        return ImageFrames(lambda frame: self._content(clip, frame), start, end)

    def contents(self, clip: Clip) -> list[bytes]:
        """The video file of a clip, or its images; empty if there are none."""
        if not self.config.is_images:
            content = self._content(clip)
            return [] if content is None else [content]
        start, count = clip.start_frame or 0, clip.length
        numbers = itertools.count(start) if count is None else range(start, start + count)
        contents = (self._content(clip, number) for number in numbers)
        return list(itertools.takewhile(lambda content: content is not None, contents))  # type: ignore[arg-type]

    def length(self, clip: Clip) -> int:
        """About how many frames a clip has, to divide the work: as annotated, else counted in the video."""
        if clip.length is not None or self.config.is_images:
            return clip.length or 0
        return max(0, count_frames(self._content(clip) or b"") - (clip.start_frame or 0))

    def path(self, clip: Clip, frame: int = 0) -> str:
        """Of a clip inside the videos, or of its image at a frame, counted from the beginning of the video."""
        return self.config.path_of(clip.name, clip.video, frame)

    def _content(self, clip: Clip, frame: int = 0) -> bytes | None:
        return self.source.read_if_there(self.path(clip, frame))


class KeypointParts(ClipParts):
    """A keypoint store in the making. `merge` makes the parts the store, together with what it held before.

    Args:
        store: the .safetensors file to make or to extend.
        estimator, version: what finds the keypoints.

    Raises:
        UserError: the store, or what an earlier run left, is of another estimator.
    """

    def __init__(self, store: Path, estimator: str, version: str):
        super().__init__(store)
        self._estimator, self._version = estimator, version
        self._names: frozenset[str] = frozenset()
        if store.is_file():
            self._names = self._ours(store).names
        for part in self.files()[:1]:
            self._ours(part)

    def __contains__(self, name: str) -> bool:
        """Whether a clip is done."""
        return name in self._names or super().__contains__(name)

    def keep(
        self, name: str, keypoints: np.ndarray, frame_size: tuple[int, int], problem: str | None
    ) -> None:
        """Keep the keypoints [frames, 133, 3] of a clip."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(
            self.part(name), {name: keypoints}, {name: frame_size}, {name: problem} if problem else {}
        )

    def merge(self) -> None:
        """Make all clips that are done the store; needs the memory of all their keypoints."""
        parts = self.files()
        if not parts:
            return
        keypoints: dict[str, np.ndarray] = {}
        sizes: dict[str, tuple[int, int]] = {}
        problems: dict[str, str] = {}
        for path in [self.store, *parts] if self.store.is_file() else parts:
            part = self._ours(path)
            problems |= part.problems
            for name in part.names:
                keypoints[name], sizes[name] = part.read(name), part.frame_size(name)
        self._write(self.store, keypoints, sizes, problems)
        self.remove()

    def _write(
        self,
        path: Path,
        keypoints: dict[str, np.ndarray],
        sizes: dict[str, tuple[int, int]],
        problems: dict[str, str],
    ) -> None:
        write_keypoints(path, keypoints, sizes, self._estimator, self._version, problems)

    def _ours(self, path: Path) -> SafetensorsKeypoints:
        store = SafetensorsKeypoints(path)
        if store.estimator != f"{self._estimator} {self._version}":
            raise UserError(
                f"{path}: holds keypoints of '{store.estimator}', not of '{self._estimator} {self._version}'; "
                "name another file with --out, or remove it"
            )
        return store
