"""Clip bytes -> frames: mp4 files or numbered images, in a zip or in a folder, decoded from memory to uint8.

Files are decoded with PyAV, single-threaded (parallelism comes from several loading processes), and only as far as
the last frame that is wanted. Damage is reported, never hidden.
"""

import io
import itertools
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from dataset.config import Picture
from utils.errors import UserError

# Containers that are read, by FFmpeg's names: those that hold their own frames. Others make FFmpeg open further files
# of this machine; a list of files to join (ffconcat) is one.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,ivf,gif"

# Bounds on what a file may ask for, far beyond what a recording of signing needs: pixels of a picture (8K has 33
# million), bytes of a file, and how often larger than packed a file in a zip may be.
MOST_PIXELS, MOST_BYTES, MOST_UNPACKED = 40_000_000, 4 << 30, 50

# What a damaged zip makes its reader raise; RuntimeError: it wants a password or an unknown packing.
BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)

# Options of libx264 for the same bytes on every processor; its code for AVX-512 does not even repeat its own.
REPRODUCIBLE = {"x264-params": "cpu-independent=1"}


@dataclass
class Decoded:
    """frames: uint8 RGB [wanted, height, width, 3], of which `found` could be decoded. problem: what was wrong with
    the clip, None if nothing."""

    frames: np.ndarray
    found: int
    problem: str | None = None


class FileSource:
    """Files by relative path, from a zip (opened once per process) or from a folder, which paths cannot leave.

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
            raise UserError(f"{path}: neither a folder nor a zip file: {error}") from None

    def __contains__(self, name: str) -> bool:
        if not self.path.is_dir():
            return name in self._members
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        return inside and (self.path / name).is_file()

    def names(self) -> list[str]:
        """All files, sorted; without what operating systems leave beside them."""
        names: Iterable[str] = self._members
        if self.path.is_dir():
            names = (p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file())
        hidden = (".", "__MACOSX")
        return sorted(
            name
            for name in names
            if not name.endswith("/") and not any(p.startswith(hidden) for p in name.split("/"))
        )

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            UserError: it is missing, damaged, or absurdly large.
        """
        if name not in self:
            raise UserError(f"{self.path}: no file {name!r}")
        try:
            if self.path.is_dir():
                file = self.path / name
                _refuse_large(file.stat().st_size)
                return file.read_bytes()
            member = self._archive().getinfo(name)
            _refuse_large(member.file_size, member.compress_size)
            return self._archive().read(name)
        except (OSError, ValueError, *BAD_ZIP) as error:
            raise UserError(f"{self.path}: {name} cannot be read: {error}") from None

    def stamp(self, name: str) -> tuple[int, int]:
        """What tells whether a file has changed: its size, and its time or checksum."""
        if self.path.is_dir():
            stat = (self.path / name).stat()
            return stat.st_size, stat.st_mtime_ns
        info = self._archive().getinfo(name)
        return info.file_size, info.CRC

    def _archive(self) -> zipfile.ZipFile:
        if self._zip is None or self._owner != os.getpid():
            self._zip, self._owner = zipfile.ZipFile(self.path), os.getpid()
        return self._zip

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_zip": None}  # a copy in another process opens its own

    def read_if_there(self, name: str) -> bytes | None:
        """The content of a file, empty if it cannot be read; None if it is missing."""
        try:
            return self.read(name) if name in self else None
        except UserError:
            return b""


def _refuse_large(size: int, packed: int | None = None) -> None:
    """Raise a `ValueError` for a file of so many bytes, if it is too large, or for so few in a zip."""
    if size > MOST_BYTES or (packed is not None and size > max(MOST_BYTES // 64, MOST_UNPACKED * packed)):
        raise ValueError(
            f"it has {size / 2**20:.0f} MiB" + ("" if packed is None else f", packed in {packed}")
        )


class VideoFacts(NamedTuple):
    """What a video file says of itself: number of frames, frames per second, and their size in pixels, as stored."""

    frames: int
    rate: float
    width: int
    height: int


def video_facts(content: bytes) -> VideoFacts:
    """Facts about a video file, without decoding; no frames for a broken file.

    Frames are its packets, but for those that an edit list cuts off. The rate is the mean by their time stamps, for
    recordings of a browser state none or a wrong one; else what the file states, else 25.
    """
    try:
        with _open(content) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
            rate = stream.average_rate
            stamps = [packet.dts if packet.pts is None else packet.pts for packet in packets]
            known = [stamp for stamp in stamps if stamp is not None]
            if known and max(known) > min(known) and stream.time_base:
                rate = (len(known) - 1) / ((max(known) - min(known)) * stream.time_base)
            return VideoFacts(len(packets), float(rate or 25), stream.width, stream.height)
    except (av.FFmpegError, IndexError):
        return VideoFacts(0, 25.0, 0, 0)


def count_frames(content: bytes) -> int:
    """Number of frames of a video file, see `video_facts`."""
    return video_facts(content).frames


def _open(content: bytes) -> av.container.InputContainer:
    options = {"format_whitelist": CONTAINERS, "max_pixels": str(MOST_PIXELS)}
    return av.open(io.BytesIO(content), "r", options=options, metadata_errors="ignore")


def decode_video(
    content: bytes, indices: np.ndarray, picture: Picture, room: np.ndarray | None = None
) -> Decoded:
    """The frames of a video file at `indices`, resized.

    Args:
        content: the file.
        indices: frame numbers, int [wanted], ascending, each once.
        picture: what they are made.
        room: uint8 [at least wanted, height, width, 3], to decode into; None: new memory.

    Frames that cannot be decoded repeat the last one before them that could (black if none), and the result's
    `problem` says so.
    """
    frames = _room(room, indices, picture)
    done, problem = 0, None
    try:
        with _open(content) as container:
            reformatter = VideoReformatter()
            for number, frame, damage in _walk(container):
                problem = problem or damage
                if frame is not None and number == indices[done]:
                    # One thread: more cost twice the time at such sizes, and the loader's workers share the cores.
                    resized = reformatter.reformat(
                        frame,
                        *_as_stored(picture, frame),
                        "rgb24",
                        interpolation=picture.resizing.upper(),
                        threads=1,
                    )
                    frames[done] = _upright(resized.to_ndarray(), frame)
                    done += 1
                if done == len(indices):
                    break
    except av.FFmpegError as error:
        problem = f"cannot be decoded: {error.strerror}"
    if done < len(indices):
        problem = problem or f"ends before frame {indices[done]}"
        frames[done:] = frames[done - 1] if done else 0
    return Decoded(frames, done, problem)


def _room(room: np.ndarray | None, indices: np.ndarray, picture: Picture) -> np.ndarray:
    if room is None:
        return np.empty((len(indices), picture.height, picture.width, 3), np.uint8)
    return room[: len(indices)]


def _walk(
    container: av.container.InputContainer,
) -> Iterator[tuple[int, av.VideoFrame | None, str | None]]:
    """Each frame of a video, packet by packet: its number, the frame (None if it cannot be decoded; the next one
    takes its number), and what was wrong."""
    if not container.streams.video:
        yield 0, None, "has no video stream"
        return
    stream = container.streams.video[0]
    if stream.width * stream.height > MOST_PIXELS:
        yield 0, None, f"has pictures of {stream.width} x {stream.height} pixels"
        return
    stream.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # of what the frames themselves say
    number, prefix = 0, _length_prefix(stream)
    for packet in container.demux(stream):
        if prefix and _has_hole(bytes(packet), prefix):
            yield (
                number,
                None,
                f"frame {number} or one soon after is damaged: zeros where there cannot be any",
            )
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            yield number, None, f"frame {number} is damaged: {error}"
            continue
        for frame in frames:
            # A corrupt frame was patched up from its neighbours by the decoder.
            yield number, frame, f"frame {number} is damaged" if frame.is_corrupt else None
            number += 1


def _length_prefix(stream: av.VideoStream) -> int:
    """Bytes of the length before each unit (NAL) of a packet, in H.264 and HEVC as mp4 files hold them; 0: none."""
    place = {"h264": 4, "hevc": 21}.get(stream.codec_context.name, 0)  # in the stream's description
    description = bytes(stream.codec_context.extradata or b"")
    described = place and len(description) > place and description[0] == 1
    return (description[place] & 3) + 1 if described else 0


def _has_hole(packet: bytes, prefix: int) -> bool:
    """Whether three zero bytes stand together within a unit, where both standards forbid them: what an interrupted
    download leaves. The decoder takes them for pixels."""
    start = 0
    while start + prefix <= len(packet):
        length = int.from_bytes(packet[start : start + prefix], "big")
        start += prefix
        if b"\0\0\0" in packet[start : start + length].rstrip(b"\0"):
            return True
        start += length
    return False


def _as_stored(picture: Picture, frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height before a frame is turned upright."""
    lying = round(frame.rotation / 90) % 2
    return (picture.height, picture.width) if lying else (picture.width, picture.height)


def _upright(picture: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """The picture as it is meant to be seen: phones store it lying and note the rotation beside it."""
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))


class VideoFrames:
    """The frames of a video file from `start` to `end`, one at a time, upright and all of one size.

    Iterating gives uint8 RGB [H, W, 3], numbered as in `decode_video`. Afterwards `problem` says what was wrong with
    the video, None if nothing.

    Args:
        content: the file, None if it is missing.
        start, end: frame numbers, the end exclusive; None for the end of the video.
        size: gives the height and width to scale to, from those of the first frame; None: its own.
    """

    def __init__(
        self,
        content: bytes | None,
        start: int = 0,
        end: int | None = None,
        size: Callable[[int, int], tuple[int, int]] | None = None,
    ):
        self._content, self._start, self._end = content, start, end
        self._size = size or (lambda height, width: (height, width))
        self.problem: str | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        self.problem = (
            None if self._content else "is missing" if self._content is None else "is empty or cannot be read"
        )
        if not self._content:
            return
        reformatter = VideoReformatter()
        size: tuple[int, int] | None = None
        number = -1
        try:
            with _open(self._content) as container:
                for number, frame, damage in _walk(container):
                    self.problem = self.problem or damage
                    if frame is None or number < self._start:
                        continue
                    if size is None:
                        height, width = frame.height, frame.width
                        if round(frame.rotation / 90) % 2:  # stored lying
                            width, height = self._size(width, height)
                        else:
                            height, width = self._size(height, width)
                        size = (width, height)
                    picture = reformatter.reformat(frame, *size, "rgb24", threads=1)
                    yield _upright(picture.to_ndarray(), frame)
                    if number + 1 == self._end:
                        return
        except av.FFmpegError as error:
            self.problem = f"cannot be decoded: {error.strerror}"
        if self._end is not None or size is None:
            self.problem = self.problem or f"ends before frame {max(number + 1, self._start)}"


def decode_images(
    contents: Iterable[bytes | None],
    indices: np.ndarray,
    picture: Picture,
    room: np.ndarray | None = None,
) -> Decoded:
    """The same from image files: `contents` are those at `indices`, None for one that is missing."""
    problem = None
    frames, found = _room(room, indices, picture), 0
    for place, (index, content) in enumerate(zip(indices, contents, strict=True)):
        bgr = _decode_image(content)
        if bgr is None:
            problem = problem or f"image of frame {index} is {'missing' if content is None else 'damaged'}"
            frames[place] = frames[place - 1] if place else 0
            continue
        frames[place] = _resized(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), picture)
        found += 1
    return Decoded(frames, found, problem)


def _resized(rgb: np.ndarray, picture: Picture) -> np.ndarray:
    size = (picture.width, picture.height)
    if rgb.shape[1::-1] == size:
        return rgb
    if picture.resizing == "bilinear":
        return cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)
    # The published preparation's own filter, which smooths where it makes smaller, as OpenCV's does not.
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


class ImageFrames:
    """The same from numbered image files.

    Args:
        read: the file of a frame, by its number; None if it is missing.
        start, end: frame numbers, the end exclusive; None: up to the first missing file.
    """

    def __init__(self, read: Callable[[int], bytes | None], start: int = 0, end: int | None = None):
        self._read, self._start, self._end = read, start, end
        self.problem: str | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        self.problem = None
        picture: np.ndarray | None = None
        for number in itertools.count(self._start):
            content = None if number == self._end else self._read(number)
            if content is None:
                if number == self._start or (self._end is not None and number < self._end):
                    self.problem = self.problem or f"image of frame {number} is missing"
                return
            bgr = _decode_image(content)
            if bgr is not None:
                picture = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            else:  # the one before stands in for it, as in `decode_images`
                self.problem = self.problem or f"image of frame {number} is damaged"
            if picture is not None:
                yield picture


def _decode_image(content: bytes | None) -> np.ndarray | None:
    """uint8 BGR [H, W, 3], or None; also for a picture that is absurdly large, before memory is taken for it."""
    if not content:
        return None
    try:
        with Image.open(io.BytesIO(content)) as header:
            width, height = header.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if width * height > MOST_PIXELS:
        return None
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
