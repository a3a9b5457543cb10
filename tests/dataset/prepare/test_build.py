"""Prepared data sets: the right frames of the right clips, stopped and continued, and the report."""

import fcntl
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from dataset.annotations import read_annotations
from dataset.config import DataConfig
from dataset.prepare.build import build
from dataset.prepare.cutting import Size, cut_video, part_of
from dataset.prepare.recordings import Plan, Recording, SourceFiles
from dataset.prepare.wlasl import plan_wlasl
from dataset.video import VideoFrames
from tests.conftest import grey_of, number_of
from tests.dataset.test_video import turned, video_of
from utils.errors import UserError

ROOT = Path(__file__).parents[3]
SQUARE = Size(64, keep_shape=False)


def prepared(wlasl: Path, out: Path, processes: int = 1) -> str:
    files = SourceFiles(wlasl / "videos")
    plan = plan_wlasl(wlasl / "WLASL_v0.3.json", 100, files)
    return build(plan, files, out, SQUARE, processes)[0].summary()


def content_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def frames_of(content: bytes) -> list[int]:
    return [number_of(frame) for frame in VideoFrames(content)]


def test_prepared_wlasl_is_a_data_set_of_the_right_frames(wlasl: Path) -> None:
    out = wlasl / "out"
    summary = prepared(wlasl, out)
    data = DataConfig(**yaml.safe_load((out / "data.yaml").read_text()))
    annotations = read_annotations(data)
    assert annotations.vocabulary == ["book", "lose"]
    assert {(c.name, c.gloss, c.split, c.frames, c.signer) for c in annotations.clips} == {
        ("a1", "lose", "train", 9, "7"),
        ("a2", "lose", "test", 10, "7"),
        ("b1", "book", "train", 12, "7"),
        ("b2", "book", "dev", 10, "8"),
        ("x1", "book", "train", 11, None),
    }
    with zipfile.ZipFile(out / "clips.zip") as archive:
        assert frames_of(archive.read("b1.mp4")) == list(range(12))  # a file that had been cut before
        assert frames_of(archive.read("b2.mp4")) == list(range(10, 20))  # cut out of the long one
    rows = [line.split() for line in summary.splitlines()]
    assert ["train", "4", "3", "0", "1"] in rows and ["dev", "2", "1", "1", "0"] in rows
    report = (out / "report.md").read_text()
    assert (
        "- b3 (b3.mp4): cannot be decoded" in report
        and "| book | 2 / 0 / 1 | 1 / 0 / 0 | 0 / 0 / 0 |" in report
    )


def test_the_same_output_whoever_makes_it_and_nothing_done_twice(wlasl: Path) -> None:
    first, second = wlasl / "out", wlasl / "data" / ".." / "data" / "out"
    summary = prepared(wlasl, first)
    prepared(wlasl, second, processes=2)
    one, two = content_of(first), content_of(second)
    assert one.pop("data.yaml") != two.pop("data.yaml")  # the folder's own name
    assert one == two
    before = (first / "clips.zip").stat().st_mtime_ns
    assert prepared(wlasl, first) == summary
    assert (first / "clips.zip").stat().st_mtime_ns == before


def test_what_was_added_or_replaced_is_taken_in_and_the_rest_kept(
    wlasl: Path, mp4: Callable[[int], bytes]
) -> None:
    def cut_now(out: Path) -> int:
        files = SourceFiles(wlasl / "videos")
        return build(plan_wlasl(wlasl / "WLASL_v0.3.json", 100, files), files, out, SQUARE, 1)[1]

    out = wlasl / "out"
    assert cut_now(out) == 5 and cut_now(out) == 0  # b3 is broken
    (out / "keypoints.safetensors").write_bytes(b"found before")
    (wlasl / "videos" / "a3.mp4").write_bytes(mp4(13))  # downloaded since
    (wlasl / "videos" / "b3.mp4").write_bytes(mp4(14))  # mended
    (wlasl / "videos" / "a1.mp4").write_bytes(mp4(15))  # another
    assert cut_now(out) == 3
    assert "their keypoints were found; remove" in (out / "report.md").read_text()
    assert (out / "keypoints.safetensors").read_bytes() == b"found before"
    assert cut_now(wlasl / "anew") == 7
    for name in ("clips.zip", "clips.csv", "vocabulary.json", "preparation.json"):
        assert (out / name).read_bytes() == (wlasl / "anew" / name).read_bytes()
    (out / "clips.zip").write_bytes(b"")
    assert cut_now(out) == 7
    (out / "clips.csv").unlink()
    assert cut_now(out) == 0 and (out / "clips.csv").read_bytes() == (wlasl / "anew/clips.csv").read_bytes()


def test_two_at_once_are_refused(wlasl: Path) -> None:
    (wlasl / "out").mkdir()
    handle = os.open(wlasl / "out", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="another process is preparing it"):
        prepared(wlasl, wlasl / "out")
    os.close(handle)
    (wlasl / "file").write_text("")
    with pytest.raises(UserError, match=r"--out .*file: cannot be made"):
        prepared(wlasl, wlasl / "file")


def test_killed_twice_it_ends_with_the_same_files(tmp_path: Path, mp4: Callable[[int], bytes]) -> None:
    videos = tmp_path / "videos"
    for gloss in ("sun", "moon"):
        (videos / gloss).mkdir(parents=True)
        for number in range(400):
            (videos / gloss / f"{number}.mp4").write_bytes(mp4(9 + number % 4))

    def command(out: Path) -> list[str]:
        arguments = ["folder", "--videos", str(videos), "--out", str(out), "--processes", "2"]
        return [sys.executable, "-m", "dataset.prepare", *arguments]

    def parts(out: Path) -> int:
        return len(list((out / "parts").glob("*.json")))

    whole, broken = tmp_path / "a" / "out", tmp_path / "b" / "out"
    assert subprocess.run(command(whole), cwd=ROOT, capture_output=True, timeout=100).returncode == 0
    for sign in (signal.SIGKILL, signal.SIGINT):
        already = parts(broken)
        # A shell in the background has its programs ignore Ctrl-C; this one must not inherit that.
        process = subprocess.Popen(
            command(broken),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 60
        while parts(broken) < already + 5 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.001)
        ended = process.poll()
        os.kill(process.pid, sign)
        _, errors = process.communicate(timeout=60)
        expected = 130 if sign == signal.SIGINT else -signal.SIGKILL
        assert process.returncode == expected, f"before the signal: {ended}; {errors[-2000:]!r}"
        assert not (broken / "clips.zip").exists()
    assert 10 <= parts(broken) < 800
    assert subprocess.run(command(broken), cwd=ROOT, capture_output=True, timeout=100).returncode == 0
    one, two = content_of(whole), content_of(broken)
    assert one.pop("data.yaml").replace(b"/a/", b"/b/") == two.pop("data.yaml")
    assert one == two
    assert sorted(p.name for p in videos.rglob("*.mp4")) == sorted([f"{n}.mp4" for n in range(400)] * 2)


def test_another_preparation_is_never_replaced(wlasl: Path) -> None:
    prepared(wlasl, wlasl / "out")
    files = SourceFiles(wlasl / "videos")
    plan = Plan("own recordings", [Recording("a1", "lose", "train", "a1.mp4")], ["lose"])
    with pytest.raises(UserError, match="holds WLASL-100, not own recordings"):
        build(plan, files, wlasl / "out", SQUARE, 1)
    with pytest.raises(UserError, match="lies within the videos"):
        build(plan, files, wlasl / "videos" / "out", SQUARE, 1)
    with pytest.raises(UserError, match="none of the 1 clips is there"):
        build(Plan("x", [Recording("q", "lose", "train", None)], ["lose"]), files, wlasl / "other", SQUARE, 1)
    assert not (wlasl / "other").exists()
    (wlasl / "own").mkdir()
    (wlasl / "own" / "clips.csv").write_text("made by hand")
    with pytest.raises(UserError, match="holds files that are not of a preparation"):
        build(plan, files, wlasl / "own", SQUARE, 1)
    assert (wlasl / "own" / "clips.csv").read_text() == "made by hand"


@pytest.mark.parametrize(
    ("part", "frames", "expected"),
    [
        ((0, None), 40, (0, 40)),
        ((10, 20), 40, (10, 20)),
        ((10, 20), 20, (10, 20)),
        ((500, 512), 12, (0, 12)),  # cut before
        ((500, 512), 13, (0, 13)),
        ((5, 60), 30, (5, 30)),  # shorter than it should be
    ],
)
def test_part_of_a_file(part: tuple[int, int | None], frames: int, expected: tuple[int, int]) -> None:
    recording = Recording("a", "sun", "train", "a.mp4", start=part[0], end=part[1], cut_before=True)
    assert part_of(recording, frames, 25.0)[:2] == expected


def test_a_part_that_is_not_all_in_the_file_is_said() -> None:
    recording = Recording("a", "sun", "train", "a.mp4", start=5, end=60)
    assert part_of(recording, 30, 25.0) == (5, 30, "ends at frame 30, the clip at 60")
    with pytest.raises(UserError, match="has 30 frames, the clip would begin at frame 500"):
        part_of(Recording("a", "sun", "train", "a.mp4", start=500, end=600), 30, 25.0)
    with pytest.raises(UserError, match="from frame 25 to 25, which is nothing"):
        part_of(Recording("a", "sun", "train", "a.mp4", times=(1.0, 1.0)), 30, 25.0)


def test_times_count_by_the_rate_of_the_file() -> None:
    recording = Recording("a", "sun", "train", "a.mp4", times=(1.0, 2.0))
    assert part_of(recording, 100, 30.0) == (30, 60, None)


def test_all_clips_of_a_video_in_one_pass_cropped_to_their_boxes(mp4: Callable[[int], bytes]) -> None:
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:32, 64:] = (200, 40, 20)
    recordings = [
        Recording("red", "sun", "train", "v", box=(0, 0.5, 0.5, 1)),
        Recording("black", "sun", "train", "v", box=(0.5, 0, 1, 0.5)),
    ]
    red, black = cut_video(video_of(picture), recordings, SQUARE)
    (frame,) = VideoFrames(red.content)
    assert frame.shape == (64, 64, 3)
    inner = frame[:56, 8:].astype(int)  # colours run over the edges of what was cut
    assert np.abs(inner - (200, 40, 20)).max() < 8
    (frame,) = VideoFrames(black.content)
    assert frame[8:, :56].max() < 8


def test_own_recordings_keep_their_shape_and_stand_upright() -> None:
    (cut,) = cut_video(
        turned(video_of(np.full((96, 192, 3), 90, np.uint8))),
        [Recording("a", "sun", "train", "v")],
        Size(64, keep_shape=True),
    )
    (frame,) = VideoFrames(cut.content)
    assert frame.shape == (128, 64, 3)


def test_a_clip_made_of_images(tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        (tmp_path / "frames" / name).mkdir(parents=True)
        for number in range(1, 6):
            cv2.imwrite(
                str(tmp_path / "frames" / name / f"image_{number:05d}.jpg"),
                np.full((32, 32, 3), grey_of(number), np.uint8),
            )
    (tmp_path / "frames" / "v2" / "image_00003.jpg").write_bytes(b"damaged")
    plan = Plan("x", [Recording(name, "sun", "train", name) for name in ("v1", "v2")], ["sun"])
    summary = build(plan, SourceFiles(tmp_path / "frames"), tmp_path / "out", SQUARE, 1)[0].summary()
    with zipfile.ZipFile(tmp_path / "out" / "clips.zip") as archive:
        assert frames_of(archive.read("v1.mp4")) == [1, 2, 3, 4, 5]
        assert frames_of(archive.read("v2.mp4")) == [1, 2, 2, 4, 5]
    assert "damaged clips: 1: v2 (image of frame 2 is damaged)" in summary
