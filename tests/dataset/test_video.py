"""Decoding: exact frames from mp4 files and numbered images, in a zip or a folder; damage is reported."""

import io
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset.config import Picture
from dataset.video import (
    FileSource,
    ImageFrames,
    VideoFrames,
    count_frames,
    decode_images,
    decode_video,
    video_facts,
)
from tests.conftest import SIDE, grey_of, number_of
from utils.errors import UserError

Writer = Callable[[int], bytes]


def numbers(frames: np.ndarray) -> list[int]:
    return [number_of(frame) for frame in frames]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.sets(st.integers(0, 14), min_size=1).map(sorted))
def test_exactly_the_wanted_frames(mp4: Writer, wanted: list[int]) -> None:
    decoded = decode_video(mp4(15), np.array(wanted), Picture(SIDE, SIDE))
    assert decoded.problem is None
    assert decoded.frames.shape == (len(wanted), SIDE, SIDE, 3) and decoded.frames.dtype == np.uint8
    assert numbers(decoded.frames) == wanted


def video_of(picture: np.ndarray) -> bytes:
    """An mp4 of one frame, uint8 RGB [H, W, 3]."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.height, stream.width, _ = picture.shape
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def test_frames_are_decoded_into_the_room_for_them(mp4: Writer) -> None:
    for content, shown in ((mp4(15), [2, 6, 9]), (mp4(8), [2, 6, 6]), (b"junk", [0, 0, 0])):
        room = np.full((5, SIDE, SIDE, 3), 77, np.uint8)
        frames = decode_video(content, np.array([2, 6, 9]), Picture(SIDE, SIDE), room).frames
        assert np.shares_memory(frames, room) and (room[3:] == 77).all()
        assert (content == b"junk" and not frames.any()) or numbers(frames) == shown


def test_frames_are_rgb_and_resized() -> None:
    picture = np.zeros((48, 96, 3), np.uint8)
    picture[:, :48] = (220, 20, 40)  # left half red
    picture[:, 48:] = (20, 40, 220)  # right half blue
    frame = decode_video(video_of(picture), np.array([0]), Picture(64, 64)).frames[0]
    assert np.abs(frame[:, :24].astype(int) - (220, 20, 40)).max() < 12
    assert np.abs(frame[:, -24:].astype(int) - (20, 40, 220)).max() < 12


@pytest.mark.parametrize("frames", [1, 2, 9, 15])
def test_counted_frames_are_the_decoded_ones(mp4: Writer, frames: int) -> None:
    assert count_frames(mp4(frames)) == frames
    with av.open(io.BytesIO(mp4(frames))) as container:
        assert sum(1 for _ in container.decode(video=0)) == frames


def test_a_frame_past_the_end_repeats_the_last_and_is_reported(mp4: Writer) -> None:
    decoded = decode_video(mp4(9), np.array([7, 8, 9, 12]), Picture(SIDE, SIDE))
    assert numbers(decoded.frames)[:2] == [7, 8]
    assert (decoded.frames[2:] == decoded.frames[1]).all()
    assert decoded.problem is not None and "ends before frame 9" in decoded.problem


@pytest.mark.parametrize("keep", [0, 1, 100, 0.3, 0.6, 0.9])
def test_truncated_files_are_reported_not_hidden(mp4: Writer, keep: float) -> None:
    content = mp4(15)
    size = keep if isinstance(keep, int) else int(keep * len(content))
    decoded = decode_video(content[:size], np.arange(15), Picture(SIDE, SIDE))
    assert decoded.problem and "\n" not in decoded.problem
    assert decoded.frames.shape == (15, SIDE, SIDE, 3)


def fragmented(frames: int, side: int = 64) -> bytes:
    """An mp4 that can be read up to where it is cut, with noise so that frames have many bytes."""
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    flags = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(buffer, "w", format="mp4", options=flags) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "5", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for _ in range(frames):
            picture = rng.integers(0, 256, (side, side, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def test_a_file_cut_in_the_middle_gives_its_beginning_and_a_problem() -> None:
    content = fragmented(20)
    whole = decode_video(content, np.arange(20), Picture(64, 64))
    cut = decode_video(content[: len(content) // 2], np.arange(20), Picture(64, 64))
    assert whole.problem is None
    assert cut.problem
    assert np.array_equal(cut.frames[:4], whole.frames[:4])
    assert (cut.frames[-1] == cut.frames[-2]).all()


def test_a_packet_that_cannot_be_decoded_is_named() -> None:
    content = bytearray(fragmented(20))
    content[1500:1560] = np.random.default_rng(1).bytes(60)
    problem = decode_video(bytes(content), np.arange(20), Picture(64, 64)).problem
    assert problem is not None and "is damaged" in problem


def test_zeros_within_a_packet_are_reported() -> None:
    """What an interrupted download leaves; the decoder takes them for pixels."""
    whole = fragmented(20)
    unnoticed = 0
    for start in range(1500, len(whole) - 300, 500):
        content = bytearray(whole)
        content[start : start + 60] = bytes(60)
        decoded, plain = decode_video(bytes(content), np.arange(20), Picture(64, 64)), 0
        with suppress(av.FFmpegError), av.open(io.BytesIO(content)) as container:
            plain = sum(not frame.is_corrupt for frame in container.decode(video=0))
        unnoticed += plain == 20
        assert decoded.problem is not None
    assert unnoticed


def test_frames_that_the_decoder_patched_up_are_reported() -> None:
    """A few bytes overwritten: the decoder conceals them, gives all frames, and marks one as corrupt."""
    whole = fragmented(20)
    patched = 0
    for start in range(1500, len(whole) - 300, 1750):
        content = bytearray(whole)
        content[start : start + 60] = np.random.default_rng(1).bytes(60)
        try:
            with av.open(io.BytesIO(content)) as container:
                frames = list(container.decode(video=0))
        except av.FFmpegError:
            continue
        if len(frames) == 20 and any(frame.is_corrupt for frame in frames):
            patched += 1
            assert decode_video(bytes(content), np.arange(20), Picture(64, 64)).problem is not None
    assert patched


@pytest.mark.parametrize("content", [b"", b"\x00" * 300, b"no video at all", pickle.dumps({"a": 1})])
def test_files_that_are_no_videos(content: bytes) -> None:
    decoded = decode_video(content, np.array([0, 3]), Picture(16, 16))
    assert decoded.problem and (decoded.frames == 0).all() and decoded.frames.shape == (2, 16, 16, 3)
    assert count_frames(content) == 0


def test_header_without_frames(mp4: Writer) -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    assert len(buffer.getvalue()) > 0
    decoded = decode_video(buffer.getvalue(), np.array([0]), Picture(16, 16))
    assert decoded.problem and (decoded.frames == 0).all()
    assert count_frames(buffer.getvalue()) == 0


def test_audio_alone_is_no_video() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    decoded = decode_video(buffer.getvalue(), np.array([0]), Picture(16, 16))
    assert decoded.problem and count_frames(buffer.getvalue()) == 0


def image(number: int, side: int = SIDE) -> bytes:
    picture = np.full((side, side, 3), grey_of(number), np.uint8)
    return cv2.imencode(".png", picture)[1].tobytes()


def test_images_are_those_given() -> None:
    decoded = decode_images([image(n) for n in (2, 5, 7)], np.array([2, 5, 7]), Picture(SIDE, SIDE))
    assert numbers(decoded.frames) == [2, 5, 7] and decoded.problem is None


def test_images_are_rgb_and_resized() -> None:
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    decoded = decode_images([cv2.imencode(".png", red)[1].tobytes()], np.array([0]), Picture(16, 16))
    assert decoded.frames.shape == (1, 16, 16, 3) and (decoded.frames[0] == (255, 0, 0)).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "frame 5 is missing"), (b"junk", "frame 5 is damaged"), (b"", "frame 5 is damaged")],
)
def test_missing_and_damaged_images_repeat_the_one_before(content: bytes | None, message: str) -> None:
    decoded = decode_images([image(2), content, image(6)], np.array([2, 5, 6]), Picture(SIDE, SIDE))
    assert numbers(decoded.frames) == [2, 2, 6]
    assert decoded.problem is not None and message in decoded.problem


def test_a_file_damaged_in_its_zip_is_like_an_empty_one(tmp_path: Path, mp4: Writer) -> None:
    with zipfile.ZipFile(tmp_path / "videos.zip", "w") as archive:
        archive.writestr("a.mp4", mp4(9))
    content = bytearray((tmp_path / "videos.zip").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "videos.zip").write_bytes(content)
    source = FileSource(tmp_path / "videos.zip")
    with pytest.raises(UserError, match=r"videos\.zip: a\.mp4 cannot be read: Bad CRC-32"):
        source.read("a.mp4")
    frames = VideoFrames(source.read_if_there("a.mp4"))
    assert list(frames) == [] and frames.problem == "is empty or cannot be read"
    assert (
        VideoFrames(source.read_if_there("b.mp4")).problem is None and source.read_if_there("b.mp4") is None
    )


def test_zip_and_folder_hold_the_same_files(clip_set: Path, mp4: Writer) -> None:
    for path in (clip_set / "clips.zip", clip_set / "videos"):
        source = FileSource(path)
        assert "c3.mp4" in source and "c9.mp4" not in source and "" not in source
        assert source.read("c3.mp4") == mp4(12)


def test_sources_can_be_sent_to_other_processes_after_reading(clip_set: Path, mp4: Writer) -> None:
    source = FileSource(clip_set / "clips.zip")
    source._owner = 1  # as after a fork: the handle belongs to somebody else
    source._zip = zipfile.ZipFile(clip_set / "clips.zip")
    source._zip.close()
    assert source.read("c0.mp4") == mp4(9)


def test_missing_and_broken_sources(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such zip or folder"):
        FileSource(tmp_path / "nothing.zip")
    (tmp_path / "broken.zip").write_bytes(b"PK damaged")
    with pytest.raises(UserError, match=r"broken\.zip: neither a folder nor a zip file"):
        FileSource(tmp_path / "broken.zip")


def cut_by_edit_list(content: bytes, frames: int) -> bytes:
    """The same video without its first frames: they stay in the file, and an edit list skips them."""
    out = io.BytesIO()
    with av.open(io.BytesIO(content)) as source, av.open(out, "w", format="mp4") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
                shift = round(frames / 25 / packet.time_base)
                packet.stream, packet.pts, packet.dts = copy, packet.pts - shift, packet.dts - shift
                target.mux(packet)
    return out.getvalue()


def test_frames_that_an_edit_list_cuts_off_do_not_count(mp4: Writer) -> None:
    content = cut_by_edit_list(mp4(12), 2)
    assert count_frames(content) == 10
    decoded = decode_video(content, np.arange(10), Picture(SIDE, SIDE))
    assert decoded.problem is None and numbers(decoded.frames) == list(range(2, 12))


def turned(content: bytes) -> bytes:
    """The same video with a note that it is to be shown a quarter turn clockwise, as phones write it."""
    matrix = content.index(b"tkhd") + 44
    values = [0, 1 << 16, 0, -1 << 16, 0, 0, SIDE << 16, 0, 1 << 30]
    return (
        content[:matrix]
        + b"".join(v.to_bytes(4, "big", signed=True) for v in values)
        + content[matrix + 36 :]
    )


def test_a_video_recorded_lying_is_turned_upright() -> None:
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :32] = 255  # top left
    content = turned(video_of(picture))
    (whole,) = VideoFrames(content)
    assert whole.shape == (64, 32, 3)
    square = decode_video(content, np.array([0]), Picture(32, 32)).frames[0]
    for frame in (whole, square):
        height, width = frame.shape[0] // 2, frame.shape[1] // 2
        assert frame[:height, width:].mean() > 240 and frame[:height, :width].mean() < 15
        assert frame[height:].mean() < 15


def test_whole_videos_frame_by_frame(mp4: Writer) -> None:
    frames = VideoFrames(mp4(9))
    assert numbers(np.stack(list(frames))) == list(range(9)) and frames.problem is None
    part = VideoFrames(mp4(9), start=2, end=5)
    assert numbers(np.stack(list(part))) == [2, 3, 4] and part.problem is None
    long = VideoFrames(mp4(9), start=7, end=12)
    assert numbers(np.stack(list(long))) == [7, 8] and long.problem == "ends before frame 9"


def test_facts_without_decoding(mp4: Writer) -> None:
    assert video_facts(mp4(9)) == (9, 25, SIDE, SIDE)
    assert video_facts(b"no video") == video_facts(b"") == (0, 25, 0, 0)


def test_a_list_of_files_is_no_video(mp4: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg would read the files that it names, from the current folder."""
    (tmp_path / "secret.mp4").write_bytes(mp4(9))
    monkeypatch.chdir(tmp_path)
    content = b"ffconcat version 1.0\nfile secret.mp4\n"
    with av.open(io.BytesIO(content), "r", format="concat") as container:
        assert container.streams.video[0].width == SIDE  # so it does if it may
    assert video_facts(content).frames == 0
    frames = VideoFrames(content)
    assert list(frames) == [] and frames.problem is not None and "cannot be decoded" in frames.problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is missing"),
        (b"", "is empty or cannot be read"),
        (b"no video at all" * 20, "cannot be decoded: Invalid data"),
    ],
)
def test_whole_videos_that_are_none(content: bytes | None, problem: str) -> None:
    frames = VideoFrames(content)
    assert list(frames) == []
    assert frames.problem is not None and frames.problem.startswith(problem)


def test_whole_clips_from_numbered_images() -> None:
    def read(frame: int) -> bytes | None:
        picture = np.full((6, 8, 3), grey_of(frame), np.uint8)
        return cv2.imencode(".png", picture)[1].tobytes() if frame < 5 else None

    frames = ImageFrames(read)
    assert numbers(np.stack(list(frames))) == list(range(5)) and frames.problem is None
    part = ImageFrames(read, 1, 3)
    assert numbers(np.stack(list(part))) == [1, 2] and part.problem is None
    long = ImageFrames(read, 3, 9)
    assert numbers(np.stack(list(long))) == [3, 4] and long.problem == "image of frame 5 is missing"
    damaged = ImageFrames(lambda frame: b"no image" if frame == 2 else read(frame))
    assert numbers(np.stack(list(damaged))) == [0, 1, 1, 3, 4]
    assert damaged.problem == "image of frame 2 is damaged"
    nothing = ImageFrames(lambda frame: None)
    assert list(nothing) == [] and nothing.problem == "image of frame 0 is missing"
