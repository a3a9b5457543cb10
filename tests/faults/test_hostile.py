"""Files made to do harm are refused: nothing is executed, nothing written, no memory taken, no other file shown."""

import gzip
import io
import json
import multiprocessing
import os
import pickle
import resource
import struct
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from dataset.config import Picture
from dataset.keypoints import open_keypoints
from dataset.pickles import load_data_pickle
from dataset.video import FileSource, decode_images, decode_video
from tests.conftest import write_mp4
from tests.dataset.test_pickles import Hostile
from tests.faults.conftest import Report
from utils.checkpoint import load_checkpoint
from utils.config_files import parse_yaml
from utils.errors import UserError
from utils.files import read_json

MOST_MEMORY = 512  # MiB that reading one may take beside what the program has
SECRET, MARK = "secret.mp4", "executed"


class Refused(Exception):
    """It was seen that there is nothing to read."""


def reads_nothing(content: bytes) -> None:
    """Decode a video; what it names must not be shown."""
    decoded = decode_video(content, np.arange(3), Picture(64, 64))
    assert not decoded.found and not decoded.frames.any()
    raise Refused(decoded.problem)


def reads_no_image(content: bytes) -> None:
    decoded = decode_images([content], np.arange(1), Picture(64, 64))
    assert not decoded.found
    raise Refused(decoded.problem)


def file_of(read: Callable[[Path], Any], name: str) -> Callable[[Path, bytes], None]:
    def of(folder: Path, content: bytes) -> None:
        (folder / name).write_bytes(content)
        read(folder / name)

    return of


def member(name: str) -> Callable[[Path, bytes], None]:
    """Read a file of that name from a zip."""
    return file_of(lambda path: FileSource(path).read(name), "videos.zip")


def saved(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def zipped(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def claiming(size: int) -> bytes:
    """A zip whose directory says that a member has so many bytes."""
    content = bytearray(zipped("clip.mp4", bytes(2**20)))
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = struct.pack("<I", size)
    return bytes(content)


def repacked(content: bytes) -> bytes:
    """A zip with its members compressed."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as plain,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    return buffer.getvalue()


def huge_video() -> bytes:
    """Two pictures of 128 million pixels each, in 30 kB."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 16000, 8000, "yuv420p"
        frame = av.VideoFrame(16000, 8000, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def huge_png() -> bytes:
    """The header of a picture of 900 million pixels, and what zeros are packed to."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(10**7))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def smuggled(mark: str) -> bytes:
    array = np.empty(1, dtype=object)
    array[0] = Hostile(os.system, f"touch {mark}")
    return pickle.dumps(array)


def text_of(parse: Callable[[str], Any]) -> Callable[[Path, bytes], None]:
    return lambda folder, content: parse(content.decode())


def aliases() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    return "\n".join(lines).encode()


def hostile_files(mark: str, secret: Path) -> dict[str, tuple[Callable[[Path, bytes], None], bytes]]:
    """How each is read, and what it holds."""
    pickled, checkpoint = file_of(load_data_pickle, "data.pkl"), file_of(load_checkpoint, "last.pt")
    keypoints = file_of(open_keypoints, "keypoints.safetensors")
    yaml, video = text_of(parse_yaml), lambda folder, content: reads_nothing(content)
    touch = f"touch {mark}"
    touches = f"open({mark!r}, 'w')"
    code = {"model": Hostile(os.system, touch)}
    claim = struct.pack("<Q", 2**60) + b"{}"
    overlap = json.dumps({n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in "ab"}).encode()
    escaping = file_of(lambda path: FileSource(path.parent).read(f"../{SECRET}"), "x.mp4")
    absolute = file_of(lambda path: FileSource(path.parent).read(str(secret)), "x.mp4")
    return {
        "pickle: os.system": (pickled, pickle.dumps(Hostile(os.system, touch))),
        "pickle: os.system, protocol 0": (pickled, pickle.dumps(Hostile(os.system, touch), 0)),
        "pickle: eval": (pickled, pickle.dumps(Hostile(eval, touches))),
        "pickle: exec, gzipped": (pickled, gzip.compress(pickle.dumps(Hostile(exec, touches)))),
        "pickle: subprocess": (pickled, pickle.dumps([Hostile(subprocess.Popen, ["touch", mark])])),
        "pickle: getattr": (pickled, pickle.dumps(Hostile(getattr, "x", "upper"))),
        "pickle: numpy.load": (pickled, pickle.dumps(Hostile(np.load, str(secret)))),
        "pickle: within an object array": (pickled, smuggled(mark)),
        "pickle: a method of what is admitted": (
            pickled,
            b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        ),
        "pickle: gzip bomb": (pickled, gzip.compress(bytes(2**28))),
        "pickle: a length of 2**40": (pickled, b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"abc."),
        "checkpoint: code": (checkpoint, saved(code)),
        "checkpoint: code, old format": (checkpoint, saved(code, _use_new_zipfile_serialization=False)),
        "checkpoint: a plain pickle": (checkpoint, pickle.dumps(code)),
        "checkpoint: bomb": (checkpoint, repacked(saved({"w": torch.zeros(2**26)}))),
        "checkpoint: one number as 10**12": (checkpoint, saved({"w": torch.zeros(1).expand(10**12)})),
        "zip: a path that leaves it": (member("clip.mp4"), zipped(f"../{SECRET}", b"x")),
        "zip: bomb": (member("clip.mp4"), zipped("clip.mp4", bytes(2**28))),
        "zip: a member of 4 GiB, it says": (member("clip.mp4"), claiming(2**32 - 2)),
        "folder: ../": (escaping, b""),
        "folder: an absolute path": (absolute, b""),
        "playlist: ffconcat": (video, f"ffconcat version 1.0\nfile '{secret}'\n".encode()),
        "playlist: m3u8 of a file": (
            video,
            f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode(),
        ),
        "playlist: m3u8 of an address": (
            video,
            b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        ),
        "playlist: mpd": (video, f"<MPD><Period><BaseURL>file://{secret}</BaseURL></Period></MPD>".encode()),
        "playlist: sdp": (
            video,
            b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        ),
        "video: 128 million pixels": (video, huge_video()),
        "image: 900 million pixels": (lambda folder, content: reads_no_image(content), huge_png()),
        "YAML: a call": (yaml, f"a: !!python/object/apply:os.system ['{touch}']".encode()),
        "YAML: an object": (yaml, b"a: !!python/object:subprocess.Popen {}"),
        "YAML: 9**10 aliases": (yaml, aliases()),
        "YAML: merged again and again": (yaml, b"a: &a {x: 1}\nb: {<<: [*a, *a]}"),
        "YAML: 100,000 deep": (yaml, b"[" * 100_000),
        "JSON: 100,000 deep": (file_of(lambda path: read_json(path, list), "x.json"), b"[" * 100_000),
        "safetensors: a header of 2**60": (keypoints, claim),
        "safetensors: overlapping": (keypoints, struct.pack("<Q", len(overlap)) + overlap + bytes(8)),
    }


def most_memory() -> float:
    """MiB that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_child(read: Callable[[], None]) -> float:
    """Read in a process of its own, where it must be refused: the memory that it took, MiB."""
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def work() -> None:
        before = most_memory()
        with pytest.raises((UserError, ValueError, Refused)):
            read()
        sender.send(most_memory() - before)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    return receiver.recv()


def test_hostile_files_are_refused(tmp_path: Path, report: Report) -> None:
    outside, mark = tmp_path / SECRET, tmp_path / MARK
    outside.write_bytes(write_mp4(10))
    files = hostile_files(str(mark), outside)
    most, slowest = 0.0, 0.0
    for number, (name, (read, content)) in enumerate(files.items()):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        started = time.monotonic()
        memory = in_child(partial(read, folder, content))
        slowest = max(slowest, time.monotonic() - started)
        assert memory < MOST_MEMORY, (name, memory)
        most = max(most, memory)
    assert not mark.exists()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {SECRET, *map(str, range(len(files)))}  # nothing was written outside of the folders
    assert sum(len(list((tmp_path / f"{i}").iterdir())) <= 1 for i in range(len(files))) == len(files)
    report(
        f"{len(files)} hostile files: pickles and checkpoints that execute, bombs, paths that leave their folder, "
        "playlists that name other files, huge pictures, YAML, JSON, safetensors",
        f"{len(files)} refused, nothing executed, nothing written, no other file shown; at most {most:.0f} MiB of "
        f"memory and {slowest:.1f} s for one",
    )
