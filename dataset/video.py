"""Clip bytes -> frames: mp4 files or numbered images, in a zip or in a folder, decoded from memory to uint8.

Files are decoded with PyAV, single-threaded (parallelism comes from several loading processes), and only as far as
the last frame that is wanted. Damage is reported, never hidden.
"""

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from utils.errors import UserError


@dataclass
class Decoded:
    """frames: uint8 RGB [wanted, size, size, 3]. problem: what was wrong with the clip, None if nothing."""

    frames: np.ndarray
    problem: str | None = None


class FileSource:
    """Files by relative path, from a zip (opened once per process) or from a folder.

    Raises:
        UserError: there is no such zip or folder.
    """

    def __init__(self, path: Path):
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._owner = 0  # the process that opened it: a handle must not be shared with a forked worker
        self._members: frozenset[str] = frozenset()
        if path.is_dir():
            return
        if not path.is_file():
            raise UserError(f"{path}: no such zip or folder of videos")
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = frozenset(archive.namelist())
        except zipfile.BadZipFile as error:
            raise UserError(f"{path}: not a zip file: {error}") from None

    def __contains__(self, name: str) -> bool:
        return (self.path / name).is_file() if self.path.is_dir() else name in self._members

    def read(self, name: str) -> bytes:
        if self.path.is_dir():
            return (self.path / name).read_bytes()
        if self._zip is None or self._owner != os.getpid():
            self._zip, self._owner = zipfile.ZipFile(self.path), os.getpid()
        return self._zip.read(name)


def count_frames(content: bytes) -> int:
    """Number of frames of a video file: its packets, counted without decoding. 0 for a broken file."""
    try:
        with av.open(io.BytesIO(content), "r", metadata_errors="ignore") as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.FFmpegError, IndexError):
        return 0


def decode_video(content: bytes, indices: np.ndarray, size: int) -> Decoded:
    """The frames of a video file at `indices`, resized to size x size.

    Args:
        content: the file.
        indices: frame numbers, int [wanted], in any order, repeats allowed.
        size: height and width of the result, pixels.

    Frames that cannot be decoded repeat the last one before them that could (black if none), and the result's
    `problem` says so.
    """
    wanted = np.unique(indices)
    decoded: dict[int, np.ndarray] = {}
    problem = None
    try:
        with av.open(io.BytesIO(content), "r", metadata_errors="ignore") as container:
            problem = _decode_stream(container, wanted, size, decoded)
    except (av.FFmpegError, IndexError) as error:
        problem = f"cannot be decoded: {error}"
    missing = [int(index) for index in wanted if index not in decoded]
    if missing and problem is None:
        problem = f"ends before frame {missing[0]}"
    filled: dict[int, np.ndarray] = {}
    frame = np.zeros((size, size, 3), np.uint8)
    for index in wanted:
        frame = filled[int(index)] = decoded.get(int(index), frame)
    return Decoded(np.stack([filled[int(index)] for index in indices]), problem)


def _decode_stream(
    container: av.container.InputContainer, wanted: np.ndarray, size: int, decoded: dict[int, np.ndarray]
) -> str | None:
    """Decode packet by packet up to the last wanted frame; a damaged packet is noted and skipped."""
    stream = container.streams.video[0]
    stream.thread_count = 1
    reformatter = VideoReformatter()
    remaining = set(wanted.tolist())
    problem = None
    number = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            problem = problem or f"frame {number} is damaged: {error}"
            continue
        for frame in frames:
            if frame.is_corrupt:  # the decoder patched it up from its neighbours
                problem = problem or f"frame {number} is damaged"
            if number in remaining:
                # One thread: more cost twice the time at such sizes, and the loader's workers share the cores.
                picture = reformatter.reformat(
                    frame, size, size, "rgb24", interpolation="BILINEAR", threads=1
                )
                decoded[number] = picture.to_ndarray()
                remaining.discard(number)
            number += 1
        if not remaining:
            break
    return problem


def decode_images(contents: dict[int, bytes | None], indices: np.ndarray, size: int) -> Decoded:
    """The same from image files: `contents` maps each wanted frame number to its file, None if it is missing."""
    problem = None
    pictures: dict[int, np.ndarray] = {}
    picture: np.ndarray = np.zeros((size, size, 3), np.uint8)
    for index in sorted(contents):
        content = contents[index]
        bgr = None if not content else cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            problem = problem or f"image of frame {index} is {'missing' if content is None else 'damaged'}"
        else:
            if bgr.shape[:2] != (size, size):
                bgr = cv2.resize(bgr, (size, size), interpolation=cv2.INTER_LINEAR)
            picture = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        pictures[index] = picture
    return Decoded(np.stack([pictures[int(index)] for index in indices]), problem)
