"""Decoded frames kept on disk: a set that fits there is decoded once, not in every epoch of every run.

Each video is one .npy file, named after the content of the video file and the frame size, so that it is never out
of date and any number of processes and runs can share the folder.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np

from dataset.config import Picture
from dataset.video import MOST_BYTES, Decoded, count_frames, decode_video
from utils.errors import UserError


class FrameCache:
    """Reads like `decode_video`, from `folder` where a video was decoded before.

    Args:
        folder: made if it does not exist.
        picture: what frames are made.

    Raises:
        UserError: the folder cannot be made.
    """

    def __init__(self, folder: Path, picture: Picture):
        self.folder, self.picture = folder, picture
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"data.frame_cache: {folder} cannot be made ({error.strerror}); name another folder"
            ) from None

    def decode(self, content: bytes, indices: np.ndarray, room: np.ndarray | None = None) -> Decoded:
        """As `decode_video`; a damaged video is decoded anew each time and reported, and so is one of absurd length.

        Raises:
            UserError: the folder cannot be written.
        """
        path = self._path(content)
        if not path.is_file():
            count = count_frames(content)
            size = count * self.picture.height * self.picture.width * 3
            usable = indices.max() < count and size < MOST_BYTES
            whole = decode_video(content, np.arange(count), self.picture) if usable else None
            if whole is None or whole.problem is not None:
                return decode_video(content, indices, self.picture, room)
            self._keep(path, whole.frames)
        kept = np.load(path, mmap_mode="r")
        if indices[-1] >= len(kept):
            return decode_video(content, indices, self.picture, room)
        out = None if room is None else room[: len(indices)]
        return Decoded(np.take(kept, indices, axis=0, out=out, mode="clip"), len(indices))

    def announcement(self, frames: int) -> str:
        """One line about what so many frames will take on disk."""
        needed, free = (
            frames * self.picture.height * self.picture.width * 3,
            shutil.disk_usage(self.folder).free,
        )
        return f"{self.folder}: decoded frames are kept here, {needed / 1e9:.2f} GB ({free / 1e9:.1f} GB are free)"

    def _path(self, content: bytes) -> Path:
        digest = hashlib.sha256(content).hexdigest()[:32]
        height, width, resizing = self.picture
        size = f"{height}" if height == width else f"{height}x{width}"
        return self.folder / f"{digest}_{size}{'' if resizing == 'bilinear' else '_' + resizing}.npy"

    def _keep(self, path: Path, frames: np.ndarray) -> None:
        """Written beside and renamed, so that no process ever reads half a file."""
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                np.save(file, frames)
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise UserError(
                f"data.frame_cache: {self.folder} cannot be written ({error.strerror}); make room or name another "
                "folder, or none"
            ) from None
