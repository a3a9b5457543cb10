"""From one source file to the clips that lie in it, scaled and encoded anew."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np

from dataset.prepare.recordings import Recording
from dataset.video import REPRODUCIBLE, ImageFrames, VideoFrames, video_facts
from utils.errors import UserError

CUT_BEFORE = (
    2  # frames by which a file may differ from its clip's part and still be that part, cut out before
)
# Hardly visible loss at a tenth of the size; one thread, so that the same frames always give the same file.
_ENCODER = {"crf": "18", "preset": "veryfast", "threads": "1", **REPRODUCIBLE}


@dataclass(frozen=True)
class Size:
    """Of the pictures of all clips. side: of the square, or of the shorter edge where the shape is kept, pixels."""

    side: int
    keep_shape: bool

    def of(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of a picture of this size: even, and never enlarged where the shape is kept."""
        if not self.keep_shape:
            return self.side, self.side
        scale = min(1.0, self.side / min(height, width))
        return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


@dataclass(frozen=True)
class CutClip:
    """content: an mp4 file, None if the clip could not be made. problem: what was wrong, None if nothing."""

    recording: Recording
    content: bytes | None
    frames: int
    problem: str | None


class CannotCut(UserError):
    """The part of a recording is not in its file."""


def part_of(recording: Recording, frames: int, rate: float) -> tuple[int, int, str | None]:
    """First frame and end of a recording within a file of so many frames, and what is wrong with that.

    Where files may have been cut before, one that is as long as the part, or nearly, and ends before the part would, is
    the part: WLASL is often handed on so, under frame numbers that count from the start of the original.
    """
    start, end = recording.start, recording.end
    if recording.times is not None:
        start, end = (round(seconds * rate) for seconds in recording.times)
    if end is not None and end <= start:
        raise CannotCut(f"would be from frame {start} to {end}, which is nothing")
    if (
        recording.cut_before
        and end is not None
        and end > frames
        and abs(frames - (end - start)) <= CUT_BEFORE
    ):
        return 0, frames, None
    if start >= frames:
        raise CannotCut(f"has {frames} frames, the clip would begin at frame {start}")
    if end is None or end <= frames:
        return start, frames if end is None else end, None
    return start, frames, f"ends at frame {frames}, the clip at {end}"


def cut_video(content: bytes, recordings: list[Recording], size: Size) -> Iterator[CutClip]:
    """All clips that lie in one video, which is decoded once, up to the end of the last of them."""
    frames, rate, *_ = video_facts(content)
    if frames == 0:
        reason = "is empty or cannot be read" if not content else "cannot be decoded"
        yield from (CutClip(recording, None, 0, reason) for recording in recordings)
        return
    writers = []
    for recording in recordings:
        try:
            start, end, problem = part_of(recording, frames, rate)
        except CannotCut as error:
            yield CutClip(recording, None, 0, str(error))
            continue
        writers.append(_ClipWriter(recording, start, end, rate, size, problem))
    if writers:
        first = min(writer.start for writer in writers)
        last = max(writer.end for writer in writers)
        whole = all(writer.recording.box is None for writer in writers)
        video = VideoFrames(content, first, last, size.of if whole else None)
        for number, frame in enumerate(video, start=first):
            for writer in writers:
                writer.take(number, frame)
        yield from (writer.finish(video.problem) for writer in writers)


def cut_images(contents: list[bytes], recording: Recording, size: Size) -> CutClip:
    """The clip that numbered images make."""
    writer = _ClipWriter(recording, 0, len(contents), 25.0, size)
    images = ImageFrames(lambda number: contents[number], 0, len(contents))
    for number, frame in enumerate(images):
        writer.take(number, frame)
    return writer.finish(images.problem)


class _ClipWriter:
    """Takes the frames of one clip out of those of its file, and encodes them as they come."""

    def __init__(
        self, recording: Recording, start: int, end: int, rate: float, size: Size, problem: str | None = None
    ):
        self.recording, self.start, self.end, self.size = recording, start, end, size
        self._problem = problem
        self._rate = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 240 else Fraction(25)
        self._buffer = io.BytesIO()
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._frames = 0

    def take(self, number: int, frame: np.ndarray) -> None:
        """A frame of the file, uint8 RGB [H, W, 3], which need not be one of the clip's."""
        if not self.start <= number < self.end:
            return
        if self.recording.box is not None:
            frame = _cropped(frame, self.recording.box)
        if self._stream is None:
            self._open(*self.size.of(*frame.shape[:2]))
        assert self._stream is not None and self._container is not None
        shape = (self._stream.width, self._stream.height)
        if frame.shape[1::-1] != shape:
            smaller = frame.shape[0] > shape[1] or frame.shape[1] > shape[0]
            frame = cv2.resize(frame, shape, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        self._container.mux(self._stream.encode(picture))
        self._frames += 1

    def finish(self, problem: str | None) -> CutClip:
        """The clip. `problem`: what was wrong with the file."""
        if self._container is None or self._stream is None:
            return CutClip(self.recording, None, 0, problem or "has no frames where the clip should be")
        self._container.mux(self._stream.encode())
        self._container.close()
        problem = problem or self._problem
        expected = self.end - self.start
        if problem is None and self._frames < expected:
            problem = f"has {self._frames} frames of {expected}"
        return CutClip(self.recording, self._buffer.getvalue(), self._frames, problem)

    def _open(self, height: int, width: int) -> None:
        self._container = av.open(self._buffer, "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=self._rate, options=_ENCODER)
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"


def _cropped(frame: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    height, width = frame.shape[:2]
    top, left, bottom, right = box
    rows = slice(max(0, round(top * height)), max(1, round(bottom * height)))
    columns = slice(max(0, round(left * width)), max(1, round(right * width)))
    part = frame[rows, columns]
    return part if part.size else frame
