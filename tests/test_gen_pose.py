"""The keypoint extraction as its users run it: whole sets, killed runs, several processes, single videos."""

import os
import pickle
import pickletools
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

import gen_pose
from dataset.keypoints import SafetensorsKeypoints, open_keypoints
from tests.conftest import SIDE, grey_of
from tests.fake_gen_pose import FakeEstimator
from utils.errors import UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("configs.build.build_estimator", lambda config, device: FakeEstimator())


def write_config(folder: Path, clip_set: Path, videos: str = "clips.zip", **more: str) -> Path:
    data = {
        "index": clip_set / "clips.csv",
        "videos": clip_set / videos,
        "keypoints": folder / "k.safetensors",
        **more,
    }
    path = folder / "c.yaml"
    path.write_text(f"run: {folder / 'run'}\ndata:\n" + "".join(f"  {k}: {v}\n" for k, v in data.items()))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["gen_pose.py", *map(str, arguments)])
    return gen_pose.main()


@pytest.mark.usefixtures("fake")
def test_a_data_set(
    tmp_path: Path, clip_set: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, clip_set)
    assert run(monkeypatch, "--config", config, "--split", "test") == 0
    store = SafetensorsKeypoints(tmp_path / "k.safetensors")
    assert sorted(store.names) == ["c5", "c6"] and store.frame_size("c5") == (SIDE, SIDE)
    assert run(monkeypatch, "--config", config) == 0
    out = capsys.readouterr().out
    assert "5 of 7 clips to do" in out and "7 clips, 84 frames; 0 frames without a person" in out
    store = SafetensorsKeypoints(tmp_path / "k.safetensors")
    for i in range(7):
        keypoints = store.read(f"c{i}")
        assert keypoints[:, 0, 1].tolist() == list(range(9 + i))
        np.testing.assert_allclose(keypoints[:, 0, 0], [grey_of(n) for n in range(9 + i)], atol=3)
    before = (tmp_path / "k.safetensors").stat().st_mtime_ns
    assert run(monkeypatch, "--config", config) == 0  # nothing to do
    assert (tmp_path / "k.safetensors").stat().st_mtime_ns == before


@pytest.mark.usefixtures("fake")
def test_a_broken_clip_is_reported_and_the_others_are_kept(
    tmp_path: Path, clip_set: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(clip_set / "videos", tmp_path / "videos")
    (tmp_path / "videos" / "c1.mp4").write_bytes(b"")
    (tmp_path / "videos" / "c3.mp4").unlink()
    whole = (tmp_path / "videos" / "c6.mp4").read_bytes()
    (tmp_path / "videos" / "c6.mp4").write_bytes(whole.replace(whole[-40:-20], bytes(20)))
    config = write_config(tmp_path, clip_set)
    override = f"data.videos={tmp_path / 'videos'}"
    assert run(monkeypatch, "--config", config, override) == 1
    out = capsys.readouterr().out
    assert (
        "c1 is empty or cannot be read; it has no keypoints" in out
        and "c3 is missing; it has no keypoints" in out
    )
    assert sorted(SafetensorsKeypoints(tmp_path / "k.safetensors").names) == ["c0", "c2", "c4", "c5", "c6"]
    shutil.copy(clip_set / "videos" / "c1.mp4", tmp_path / "videos")
    shutil.copy(clip_set / "videos" / "c3.mp4", tmp_path / "videos")
    run(monkeypatch, "--config", config, override)  # the mended clips are added
    assert len(SafetensorsKeypoints(tmp_path / "k.safetensors").names) == 7


@pytest.mark.usefixtures("fake")
def test_the_published_format(tmp_path: Path, clip_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_config(tmp_path, clip_set)
    assert run(monkeypatch, "--config", config, "--format", "pickle") == 0
    content = (tmp_path / "k.pkl").read_bytes()
    modules = {argument for opcode, argument, _ in pickletools.genops(content) if opcode.name == "GLOBAL"}
    assert "numpy.core.multiarray _reconstruct" in modules  # what numpy 1 can read
    arrays = pickle.loads(content)
    ours, published = open_keypoints(tmp_path / "k.safetensors"), open_keypoints(tmp_path / "k.pkl")
    assert sorted(arrays) == [f"c{i}" for i in range(7)]
    for name, array in arrays.items():
        assert array.dtype == np.float32
        scale = np.float32([256 / SIDE, 256 / SIDE, 1])  # it implies frames of 256 x 256
        np.testing.assert_allclose(array, ours.read(name) * scale, rtol=1e-6)
        assert np.array_equal(published.read(name), array)


def test_nothing_of_other_origin_is_written_over(
    tmp_path: Path, clip_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "k.pkl").write_bytes(b"published")
    config = write_config(tmp_path, clip_set, keypoints=str(tmp_path / "k.pkl"))
    with pytest.raises(
        UserError, match=r"k\.pkl: give --out with the suffix \.safetensors, or --format pickle"
    ):
        run(monkeypatch, "--config", config)
    with pytest.raises(UserError, match=r"k\.pkl: is there already and was not made by this program"):
        run(monkeypatch, "--config", config, "--format", "pickle")
    assert (tmp_path / "k.pkl").read_bytes() == b"published"


def start(config: Path, *before: str, pause: float = 0.0) -> "subprocess.Popen[str]":
    command = [sys.executable, *before, "-m", "tests.fake_gen_pose", "--pause", str(pause)]
    return subprocess.Popen(
        [*command, "--config", str(config)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: "subprocess.Popen[str]") -> str:
    out = process.communicate(timeout=120)[0]
    assert process.returncode == 0, out
    return out


@pytest.mark.processes
def test_killed_twice_it_ends_with_the_same_store_as_two_processes_and_one(
    tmp_path: Path, clip_set: Path
) -> None:
    stores = {}
    for name in ("once", "killed", "two"):
        (tmp_path / name).mkdir()
        config = write_config(tmp_path / name, clip_set)
        stores[name] = tmp_path / name / "k.safetensors"
        if name == "killed":
            parts = stores[name].with_name("k.safetensors.parts")
            for round in (1, 2):
                process = start(config, pause=0.1)
                deadline = time.monotonic() + 60
                while len(list(parts.glob("*.safetensors"))) < round:
                    assert time.monotonic() < deadline and process.poll() is None
                    time.sleep(0.02)
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
            assert not stores[name].exists() and len(list(parts.glob("*.safetensors"))) < 7
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        out = finish(start(config, *(launcher if name == "two" else [])))
        if name == "killed":
            assert "7 of 7 clips" not in out
    assert stores["killed"].read_bytes() == stores["once"].read_bytes() == stores["two"].read_bytes()


@pytest.mark.usefixtures("fake")
def test_one_video_with_its_overlay(tmp_path: Path, clip_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video, out, overlay = (
        clip_set / "videos" / "c0.mp4",
        tmp_path / "o" / "c0.safetensors",
        tmp_path / "o.mp4",
    )
    assert run(monkeypatch, "--video", video, "--out", out, "--overlay", overlay) == 0
    assert SafetensorsKeypoints(out).read("c0").shape == (9, 133, 3)
    with av.open(str(overlay)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 9
    before = video.read_bytes()
    with pytest.raises(UserError, match=r"the overlay must be another file than the video"):
        run(monkeypatch, "--video", video, "--out", out, "--overlay", video)
    assert video.read_bytes() == before
    with pytest.raises(UserError, match=r"c0\.safetensors: is there already and holds other clips"):
        run(monkeypatch, "--video", video.with_name("c1.mp4"), "--out", out)
    assert run(monkeypatch, "--video", video, "--out", out) == 0  # its own may be made anew


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--config or --video: give one of them"),
        (["--video", "x.mp4"], "--out: missing"),
        (
            ["--video", "x.mp4", "--out", "k.safetensors", "--format", "pickle"],
            "--split and --format: are for data sets",
        ),
        (["--config", "c.yaml", "--overlay", "o.mp4"], "--overlay: is for one video"),
        (["--video", "x.mp4", "--out", "k.safetensors"], "x.mp4: no such video"),
        (
            ["--video", __file__, "--out", "k.pkl"],
            r"k\.pkl: the file for the keypoints must end in \.safetensors",
        ),
        (
            ["--video", __file__, "--out", "k.safetensors", "--estimator", "hrnet"],
            r"pose\.checkpoint: missing; hrnet",
        ),
        (["--video", "x.mp4", "--out", "k.safetensors", "pose.batches=2"], r"pose\.batches: unknown key"),
        (
            ["--video", __file__, "--out", "k.safetensors", "pose.checkpoint=no.pth"],
            r"no\.pth: no such checkpoint",
        ),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=message):
        run(monkeypatch, *arguments)


@pytest.mark.usefixtures("fake")
def test_a_video_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(UserError, match=r"text\.mp4: cannot be decoded"):
        run(monkeypatch, "--video", tmp_path / "text.mp4", "--out", tmp_path / "k.safetensors")
