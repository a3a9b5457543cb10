"""The page, served in this process and asked over HTTP, and what it says without a server.

The model is untrained and its estimator a fake one that reports nobody in black frames.
"""

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import httpx
import numpy as np
import pytest
import torch

from configs.build import build_recognizer
from configs.schema import IsolatedConfig
from dataset.config import DataConfig
from dataset.video import video_facts
from inference import webdemo
from inference.sentence_recognizer import SentenceRecognizer
from inference.sign_recognizer import SignRecognizer
from inference.trained_model import IsolatedModel
from inference.webdemo_answers import Limits, WebDemo, check_video, web_demo
from modeling import load_recognizer
from modeling.config import ModelConfig
from tests.fake_gen_pose import FakeEstimator
from tests.inference.runs import GLOSSES as SENTENCE_GLOSSES
from tests.inference.runs import make_sentence_run
from utils.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.*")

GLOSSES = ["<b>cold</b>", "table & chair", "winter"]
ESCAPED = ["&lt;b&gt;cold&lt;/b&gt;", "table &amp; chair", "winter"]
LIMITS = Limits(megabytes=1, seconds=0.5)


class CountingEstimator(FakeEstimator):
    """Notes how often it was asked, and how often at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = self.now = self.most = 0

    def estimate(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        self.asked, self.now = self.asked + 1, self.now + 1
        self.most = max(self.most, self.now)
        yield from super().estimate(frames)
        self.now -= 1


def make_recognizer(clip_set: Path, modality: str = "keypoint", embeddings: bool = True) -> SignRecognizer:
    """Untrained, of three glosses; its configuration has keypoints of clips named c0..c6."""
    data = DataConfig(
        index=str(clip_set / "clips.csv"),
        videos=str(clip_set / "clips.zip"),
        keypoints=str(clip_set / "keypoints.safetensors"),
        frame_size=32,
    )
    model = ModelConfig(modalities=[modality], frames=[8], width=0.05, rgb_size=32, heatmap_size=32)
    config = IsolatedConfig(run=str(clip_set / "a <run>"), data=data, model=model)
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.5]]) if embeddings else None
    network = build_recognizer(config, len(GLOSSES), vectors, auxiliary=False)
    recognizer = SignRecognizer(IsolatedModel(network, GLOSSES, config), device="cpu")
    recognizer.estimator = CountingEstimator()
    return recognizer


def write_video(
    path: Path,
    frames: int = 9,
    size: tuple[int, int] = (32, 32),
    codec: str = "libx264",
    stamps: list[int] | None = None,
    grey: int = 120,
) -> Path:
    """A grey video at 25 frames per second, or with time stamps in ms and without a duration, as a browser's camera
    makes them."""
    with av.open(str(path), "w", options={"live": "1"} if stamps else {}) as container:
        stream = container.add_stream(codec, rate=1000 if stamps else 25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), grey, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = stamps[number] if stamps else number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class Client:
    """Asks the page as a browser does."""

    def __init__(self, url: str, demo: WebDemo):
        self.demo = demo
        self.http = httpx.Client(base_url=url, timeout=60)

    def upload(self, path: Path) -> httpx.Response:
        return self.http.post("/gradio_api/upload", files={"files": (path.name, path.read_bytes())})

    def ask(self, video: object) -> list[Any] | None:
        """The new values of the three parts of the page; None if gradio refused the input."""
        session = uuid.uuid4().hex
        question = {"data": [video], "fn_index": 0, "session_hash": session}
        joined = self.http.post("/gradio_api/queue/join", json=question)
        if joined.status_code == 403:
            return None
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line else {"msg": ""}
                if message["msg"] == "process_completed":
                    output = message["output"]
                    assert message["success"] == ("data" in output)
                    return [part["value"] for part in output["data"]] if message["success"] else None
        raise AssertionError("no answer")

    def recognise(self, path: Path) -> list[Any]:
        uploaded = self.upload(path).json()[0]
        answer = self.ask({"path": uploaded, "meta": {"_type": "gradio.FileData"}})
        assert answer is not None
        return answer


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def served(clip_set: Path, folder: Path) -> Iterator[Client]:
    """The page, from a process whose current folder is `clip_set`."""
    port = free_port()
    with patch.dict(os.environ), chdir(clip_set):
        webdemo.prepare_gradio(folder)
        demo = web_demo(make_recognizer(clip_set), LIMITS, folder)
        page = webdemo.start(demo, "127.0.0.1", port)
        client = Client(f"http://127.0.0.1:{port}", demo)
        yield client
        client.http.close()
        page.close(verbose=False)


@pytest.fixture(scope="module")
def page(clip_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(clip_set, tmp_path_factory.mktemp("served")) as client:
        yield client


@pytest.fixture
def demo(clip_set: Path, tmp_path: Path) -> WebDemo:
    return web_demo(make_recognizer(clip_set), LIMITS, tmp_path)


def test_upload_is_recognised(page: Client, clip_set: Path) -> None:
    answer, overlay, view = page.recognise(clip_set / "videos" / "c0.mp4")
    for gloss in ESCAPED:
        assert f"<span>{gloss}</span>" in answer
    assert "<b>cold" not in answer
    assert len(re.findall(r"\d+ %</span>", answer)) == 3
    assert view.count("data:image/jpeg;base64,") == 1
    shown = page.http.get(f"/gradio_api/file={overlay['path']}").content
    with av.open(io.BytesIO(shown)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 9


def test_look_alikes_are_those_of_nearest_meaning(demo: WebDemo, clip_set: Path) -> None:
    answer = demo.answer(clip_set / "videos" / "c0.mp4", nothing).answer
    likeliest, nearest = (
        re.findall(r"<span>(.*?)</span>", part) for part in answer.split("Nearest in meaning")
    )
    assert (
        nearest
        == {
            ESCAPED[0]: ["winter", "0.89", ESCAPED[1], "0.00"],
            ESCAPED[1]: ["winter", "0.45", ESCAPED[0], "0.00"],
            "winter": [ESCAPED[0], "0.89", ESCAPED[1], "0.45"],
        }[likeliest[0]]
    )


def test_keypoints_are_estimated_whatever_the_name(demo: WebDemo, clip_set: Path) -> None:
    path = clip_set / "videos" / "c0.mp4"
    shares: list[float] = []
    demo.answer(path, lambda share, doing: shares.append(share) if doing == "finding keypoints" else None)
    assert demo.recognizer.estimator.asked == 1
    assert shares == pytest.approx(np.arange(1, 10) / 9)
    assert demo.recognizer.read(path).source.endswith("keypoints.safetensors")  # elsewhere the name counts


def test_model_of_frames_alone_needs_no_estimator(clip_set: Path, tmp_path: Path) -> None:
    demo = web_demo(make_recognizer(clip_set, "rgb", embeddings=False), LIMITS, tmp_path)
    results = demo.answer(clip_set / "videos" / "c0.mp4", nothing)
    assert demo.recognizer.estimator.asked == 0
    assert "Likeliest signs" in results.answer and "Nearest in meaning" not in results.answer
    assert results.overlay is not None and results.overlay.is_file()


@pytest.fixture(scope="module")
def sentence_demo(clip_set: Path, tmp_path_factory: pytest.TempPathFactory) -> WebDemo:
    """Of a network that reads 8 frames at most."""
    folder = tmp_path_factory.mktemp("sentence_demo")
    make_sentence_run(folder / "run", clip_set, ["keypoint"], max_frames=8)
    recognizer = load_recognizer(folder / "run")
    recognizer.estimator = CountingEstimator()
    return web_demo(recognizer, LIMITS, folder)


def test_sentence_is_read_with_times(sentence_demo: WebDemo, clip_set: Path) -> None:
    path = clip_set / "videos" / "c0.mp4"
    results = sentence_demo.answer(path, nothing)
    recognizer = sentence_demo.recognizer
    assert isinstance(recognizer, SentenceRecognizer)
    segments = recognizer.glosses(recognizer.read(path, look_up=False))
    assert segments
    for segment in segments:
        times = f"{segment.start / 25:.2f} to {segment.end / 25:.2f} s, {100 * segment.probability:.0f} %"
        assert f"<span>{segment.gloss}</span><span>{times}</span>" in results.answer
    assert "only" not in results.answer
    assert results.overlay is not None and video_facts(results.overlay.read_bytes()).frames == 9
    assert results.view is not None and "data:image/jpeg;base64," in results.view


def test_what_is_not_read_of_a_long_sentence_is_said(sentence_demo: WebDemo, clip_set: Path) -> None:
    answer = sentence_demo.answer(clip_set / "videos" / "c3.mp4", nothing).answer
    assert ">c3.mp4: read from 0.08 s to 0.40 s only, 8 of its 12 frames" in answer


def test_page_of_sentences(sentence_demo: WebDemo, tmp_path: Path) -> None:
    assert sentence_demo.glosses == SENTENCE_GLOSSES[1:]  # what can be signed: not the blank
    assert (
        "cut out a sentence" in sentence_demo.answer(write_video(tmp_path / "long.mp4", 50), nothing).answer
    )
    short = sentence_demo.answer(write_video(tmp_path / "short.mp4", 3), nothing).answer
    assert "short.mp4: has 3 frames; the network needs at least 4" in short


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.mp4": (lambda path: path.write_bytes(b""), "is an empty file"),
    "text.mp4": (lambda path: path.write_text("a letter\n" * 100), "is no video that can be read"),
    "long.mp4": (lambda path: write_video(path, 50), "lasts 2 s, but at most 0.5 s"),
    "fast.webm": (
        lambda path: write_video(path, 40, codec="libvpx", stamps=list(range(40))),
        "has 40 frames, but at most 30",
    ),
    "wide.mp4": (lambda path: write_video(path, 1, (4100, 16)), "is 4100 pixels wide"),
    "nobody.mp4": (lambda path: write_video(path, grey=0), "no person found in any of its 9 frames"),
    # What makes FFmpeg read other files of this machine.
    "joined.mp4": (
        lambda path: path.write_text("ffconcat version 1.0\nfile videos/c0.mp4\n"),
        "is no video that can be read",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_video_is_explained(page: Client, tmp_path: Path, name: str) -> None:
    write, problem = BAD[name]
    write(tmp_path / name)
    answer, overlay, view = page.recognise(tmp_path / name)
    assert 'role="alert"' in answer and f"{name}: {problem}" in answer
    assert str(page.demo.folder) not in answer
    assert overlay is None and view is None


def test_nothing_chosen(page: Client) -> None:
    answer = page.ask(None)
    assert answer is not None and "Choose or record a video first" in answer[0]


def test_defect_is_noted_down_on_the_server_only(
    demo: WebDemo, clip_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with patch.object(demo.recognizer, "read", side_effect=RuntimeError("a secret")):
        results = demo.answer(clip_set / "videos" / "c0.mp4", nothing)
    assert "c0.mp4: something went wrong" in results.answer
    assert "secret" not in str(results)
    assert "RuntimeError: a secret" in capsys.readouterr().err


def test_recording_of_a_browser(page: Client, tmp_path: Path) -> None:
    stamps = [0, 35, 68, 100, 135, 262, 327, 420]
    path = write_video(tmp_path / "sample.webm", len(stamps), codec="libvpx", stamps=stamps)
    rate = video_facts(path.read_bytes()).rate
    assert check_video(path, LIMITS, "sign") == 8 and rate == pytest.approx(7 / 0.42)
    answer, overlay, _ = page.recognise(path)
    assert "Likeliest signs" in answer
    with av.open(overlay["path"]) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(rate, rel=1e-3)


def test_large_file_is_refused_when_uploaded(page: Client, tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    path.write_bytes(bytes(1_100_000))
    response = page.upload(path)
    assert response.status_code == 413
    assert "maximum allowed size" in response.text


def test_ten_at_once_are_answered_one_after_another(page: Client, clip_set: Path) -> None:
    answers: list[list[Any]] = []
    path = clip_set / "videos" / "c1.mp4"
    threads = [threading.Thread(target=lambda: answers.append(page.recognise(path))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["Likeliest signs" in answer for answer, _, _ in answers] == [True] * 10
    assert page.demo.recognizer.estimator.most == 1


@pytest.mark.parametrize(
    "address",
    [
        "file=/etc/passwd",
        "file=%2Fetc%2Fpasswd",
        "file=%252Fetc%252Fpasswd",
        "file=//etc/passwd",
        "file=../../../../../../etc/passwd",
        "file=FOLDER/../../../../../../etc/passwd",
        "file=clips.csv",
        "file=CLIPS/clips.csv",
        "file=file:///etc/passwd",
        "file=https://example.com/",
        "file=http://127.0.0.1/",
        "proxy=https://example.com/",
        "info",
        "deep_link",
    ],
)
def test_nothing_of_the_host_is_served(page: Client, clip_set: Path, address: str) -> None:
    address = address.replace("FOLDER", str(page.demo.folder)).replace("CLIPS", str(clip_set))
    connection = http.client.HTTPConnection(page.http.base_url.netloc.decode())
    connection.request("GET", f"/gradio_api/{address}")  # as it is; httpx would resolve the dots itself
    response = connection.getresponse()
    assert response.status == 403
    assert set(json.loads(response.read())) == {"detail"}


@pytest.mark.parametrize("address", ["process_recording", "run/recognise", "call/recognise", "api/recognise"])
def test_other_services_are_closed(page: Client, address: str) -> None:
    assert page.http.post(f"/gradio_api/{address}", json={"data": []}).status_code == 403


@pytest.mark.parametrize("path", ["CLIPS/videos/c0.mp4", "videos/c0.mp4", "file://CLIPS/videos/c0.mp4"])
@pytest.mark.parametrize("more", [{}, {"meta": {"_type": "gradio.FileData"}}, {"is_stream": True}])
def test_only_uploads_are_recognised(page: Client, clip_set: Path, path: str, more: dict[str, Any]) -> None:
    asked = page.demo.recognizer.estimator.asked
    assert page.ask({"path": path.replace("CLIPS", str(clip_set)), **more}) is None
    assert page.demo.recognizer.estimator.asked == asked


def test_nothing_is_fetched_for_a_visitor(page: Client) -> None:
    with patch("gradio.processing_utils.async_ssrf_protected_download") as fetch:
        assert page.ask({"path": "https://example.com/c0.mp4", "meta": {"_type": "gradio.FileData"}}) is None
    fetch.assert_not_called()


def test_page_loads_nothing_from_elsewhere(page: Client) -> None:
    content = page.http.get("/").text
    assert "&lt;run&gt;: 3 signs" in page.http.get("/config").json()["components"][0]["props"]["value"]
    assert re.findall(r"""(?:src|href)=["']?(?:https?:)?//[^"' >]*""", content) == []
    style = page.http.get("/theme.css").text + page.http.get("/config").json()["css"]
    assert "@import" not in style and "@font-face" not in style
    assert [url for url in re.findall(r"""url\(["']?([^)]*)""", style) if not url.startswith("data:")] == []


def test_files_are_deleted_after_a_while(
    clip_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdemo, "DELETED_AFTER", 1)
    monkeypatch.setattr(webdemo, "LOOKED_AFTER", 1)
    with served(clip_set, tmp_path) as client:
        _, overlay, _ = client.recognise(clip_set / "videos" / "c0.mp4")
        assert Path(overlay["path"]).parent == tmp_path
        end = time.monotonic() + 20
        while files := [path for path in tmp_path.rglob("*") if path.is_file()]:
            assert time.monotonic() < end, files
            time.sleep(0.1)


def test_address_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UserError, match=f"127.0.0.1:{port}: cannot be served.*in use.*choose --port"):
            webdemo.check_address("127.0.0.1", port)


def test_without_gradio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with patch.dict(os.environ), pytest.raises(UserError, match=r"-r requirements-webdemo\.txt"):
        webdemo.prepare_gradio(tmp_path)


def test_nothing_is_left_behind(
    clip_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("modeling.load_recognizer", lambda path: make_recognizer(clip_set))
    monkeypatch.setattr(sys, "argv", ["webdemo", "a run", "--port", str(free_port())])
    seen: list[str] = []

    wait = threading.Event.wait

    def ended(event: threading.Event, timeout: float | None = None) -> bool:
        if timeout is not None:  # that of a progress bar
            return wait(event, timeout)
        (folder,) = tmp_path.iterdir()
        seen.append(folder.name)
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        signal.raise_signal(signal.SIGTERM)
        return True

    monkeypatch.setattr(threading.Event, "wait", ended)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with patch.dict(os.environ), pytest.raises(KeyboardInterrupt):
            webdemo.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen[0].startswith("webdemo_")
    assert list(tmp_path.iterdir()) == []


def test_help_needs_nothing_heavy() -> None:
    code = "import sys, inference.webdemo; print([m for m in ('torch', 'gradio', 'av', 'numpy') if m in sys.modules])"
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


def nothing(share: float, doing: str) -> None:
    pass
