"""A page that names the sign in a video that somebody drops there or records with the camera.

    python -m inference.webdemo runs/demo/nla_slr

It needs no network and is served to this machine alone. Uploads are deleted after an hour.
"""

import argparse
import itertools
import json
import math
import os
import re
import signal
import socket
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from utils.errors import UserError, run_entry_point

if TYPE_CHECKING:
    import gradio

    from dataset.glosses.embeddings import GlossSimilarity
    from inference.sign_recognizer import Guess, SignRecognizer, Video

STYLE = Path(__file__).with_suffix(".css")

MAX_SIDE = 4096  # pixels
MAX_RATE = 60  # frames per second; a faster video may be shorter
OVERLAY_SIDE = 640  # pixels, at most
NAMED = 5  # glosses
DELETED_AFTER = 3600  # seconds, the age of files
LOOKED_AFTER = 600  # seconds between looks for such files

# What the page asks for. All else of gradio's is closed: it runs ffmpeg on uploads or fetches from other servers.
ADDRESSES = re.compile(
    r"/((assets|static|svelte)/.*|config|theme\.css|favicon\.ico"
    r"|gradio_api/(startup-events|heartbeat/\w+|upload|upload_progress|queue/(join|data)|cancel|reset|file=/.*))?"
)


class Limits(NamedTuple):
    """What a video may have at most: megabytes (of 2^20 bytes), and seconds."""

    megabytes: int
    seconds: float


class Results(NamedTuple):
    """What the page shows of a video: HTML, the file of an overlay, HTML; None: nothing."""

    answer: str
    overlay: Path | None = None
    view: str | None = None


def main() -> int:
    arguments = parse()
    check_address(arguments.host, arguments.port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, so that nothing is left behind
    with TemporaryDirectory(prefix="webdemo_", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary).resolve()
        prepare_gradio(folder)
        from inference.sign_recognizer import SignRecognizer

        limits = Limits(arguments.max_megabytes, arguments.max_seconds)
        demo = WebDemo(SignRecognizer.load(arguments.run), limits, folder)
        page = start(demo, arguments.host, arguments.port)
        print(f"{page.local_url} is the page; Ctrl-C ends it", file=sys.stderr)
        try:
            threading.Event().wait()
        finally:
            page.close(verbose=False)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder, checkpoint or export")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at; default: this machine only")
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    parser.add_argument("--max_megabytes", type=int, default=100, help="of a video; default: %(default)s")
    parser.add_argument("--max_seconds", type=float, default=60, help="of a video; default: %(default)s")
    arguments = parser.parse_args()
    for name in ("max_megabytes", "max_seconds"):
        if not 0 < getattr(arguments, name) < math.inf:
            raise UserError(f"--{name}: must be above 0")
    return arguments


def check_address(host: str, port: int) -> None:
    """Raise a `UserError` if the page cannot be served there, before anything is loaded."""
    try:
        socket.create_server((host, port)).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port}: cannot be served: {error}; choose --port or --host") from None


def prepare_gradio(folder: Path) -> None:
    """Import gradio so that it keeps its files in `folder` and reports to nobody.

    Raises:
        UserError: it is not installed.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["GRADIO_EXAMPLES_CACHE"] = str(folder)  # else one in the current folder, which it would serve
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError:
        raise UserError(
            "the page needs gradio: pip install -c requirements.txt -r requirements-webdemo.txt"
        ) from None


class WebDemo:
    """What the page says, without the page. It answers one question at a time.

    Args:
        recognizer: names the signs; its estimator is made now, which takes seconds.
        limits: of the videos.
        folder: to leave the overlays in.

    Raises:
        UserError: the estimator or the word embeddings are not as configured.
    """

    def __init__(self, recognizer: "SignRecognizer", limits: Limits, folder: Path):
        self.recognizer, self.limits, self.folder = recognizer, limits, folder
        self.name = Path(recognizer.config.run).name
        self.similarity = _similarity(recognizer)
        self.reads_keypoints = recognizer.format.keypoint_indices is not None
        if self.reads_keypoints:
            _ = recognizer.estimator

    def answer(self, path: Path | None, report: Callable[[float, str], object]) -> Results:
        """What there is to say about a video, or why it cannot be recognised.

        Args:
            path: the video; None: none was chosen.
            report: called with the share of the work that is done, and with what is going on.
        """
        if path is None:
            return Results(_problem("Choose or record a video first."))
        try:
            return self._results(path, report)
        except UserError as error:
            return Results(_problem(str(error).replace(str(path), path.name)))
        except Exception:
            traceback.print_exc()
            return Results(_problem(f"{path.name}: something went wrong on the server, which noted it down"))

    def _results(self, path: Path, report: Callable[[float, str], object]) -> Results:
        from report.page import image
        from report.pictures import filmstrip, jpeg

        frames = check_video(path, self.limits)
        done = itertools.count(1)
        video = self.recognizer.read(
            path, count=lambda _: report(next(done) / frames, "finding keypoints"), look_up=False
        )
        report(1, "recognising")
        guesses = self.recognizer.best(self.recognizer.probabilities(video), NAMED)
        strip = filmstrip(*self.recognizer.view(video))
        picture = image(jpeg(strip), "frames and heatmaps from left to right", "jpeg")
        view = f'<div class="view"><h3>What the network saw</h3><div>{picture}</div></div>'
        report(1, "drawing")
        return Results(self._names(guesses), self._overlay(video, guesses), view)

    def _names(self, guesses: "list[Guess]") -> str:
        rows = [(guess.gloss, guess.probability, f"{100 * guess.probability:.0f} %") for guess in guesses]
        parts = [_bars("Likeliest signs", rows)]
        if self.similarity is not None:
            best = guesses[0].gloss
            rows = [(gloss, near, f"{near:.2f}") for gloss, near in self.similarity.nearest(best, NAMED)]
            note = "Similarity of the word embeddings, which the language parts of the training go by."
            parts.append(_bars(f"Nearest in meaning to “{best}”", rows, note))
        return f'<div class="parts">{"".join(parts)}</div>'

    def _overlay(self, video: "Video", guesses: "list[Guess]") -> Path:
        from dataset.video import VideoFrames
        from report.overlay import Caption, write_overlay

        keypoints = video.keypoints
        if keypoints is not None and video.frame_size is not None:
            width, height = video.frame_size
            new_height, new_width = _overlay_size(height, width)
            keypoints = keypoints * [new_width / width, new_height / height, 1]
        path = self.folder / f"{uuid.uuid4().hex}.mp4"
        frames = VideoFrames(video.content, size=_overlay_size)
        write_overlay(path, frames, keypoints, video.rate, [Caption(0, video.frames, guesses)])
        return path


def check_video(path: Path, limits: Limits) -> int:
    """The number of frames of a video; nothing is decoded.

    Raises:
        UserError: it is no video, or beyond the limits.
    """
    from dataset.video import video_facts

    content = path.read_bytes()
    if not content:
        raise UserError(f"{path}: is an empty file")
    frames, rate, *sides = video_facts(content)
    if not frames:
        raise UserError(f"{path}: is no video that can be read; choose an mp4, mov, webm, mkv, avi or mpeg")
    if max(sides) > MAX_SIDE:
        raise UserError(f"{path}: is {max(sides)} pixels wide or high, but at most {MAX_SIDE} are taken")
    if frames / rate > limits.seconds:
        raise UserError(
            f"{path}: lasts {round(frames / rate, 1):g} s, but at most {limits.seconds:g} s are taken; cut out a sign"
        )
    if frames > limits.seconds * MAX_RATE:
        raise UserError(
            f"{path}: has {frames} frames, but at most {limits.seconds * MAX_RATE:.0f} are taken; cut out a sign"
        )
    return frames


def start(demo: WebDemo, host: str, port: int) -> "gradio.Blocks":
    """Serve the page from threads of this process; after `prepare_gradio`."""
    import gradio
    from fastapi import Depends, HTTPException, Request

    def recognise(path: str | None, progress: Any = gradio.Progress()) -> list[dict[str, Any]]:  # noqa: B008
        def report(share: float, doing: str) -> None:
            progress(share, desc=doing)

        answer, overlay, view = demo.answer(None if path is None else Path(path), report)
        return [
            gradio.update(value=answer),
            gradio.update(value=None if overlay is None else str(overlay), visible=overlay is not None),
            gradio.update(value=view, visible=view is not None),
        ]

    async def refuse_others(request: Request) -> None:
        def check(fields: dict[str, Any]) -> None:
            if "://" in str(fields.get("path")):  # something to fetch instead of an upload
                raise HTTPException(403)

        address = request.scope["path"]
        if not ADDRESSES.fullmatch(address):
            raise HTTPException(403)
        if address.endswith("/queue/join"):
            json.loads(await request.body(), object_hook=check)

    signs, limits = f"{len(demo.recognizer.vocabulary)} signs", demo.limits
    with gradio.Blocks(title=f"{demo.name}: {signs}", delete_cache=(LOOKED_AFTER, DELETED_AFTER)) as page:
        gradio.HTML(
            f"<h1>{escape(demo.name)}: {signs}</h1><p>Names the sign in a video of one single sign. It knows the "
            f"{signs} below and takes everything for one of them. A video may last {limits.seconds:g} s and have "
            f"{limits.megabytes} MB; it goes to nobody but this server, which deletes it after an hour.</p>"
        )
        with gradio.Accordion(f"The {signs}", open=False):
            items = "".join(f"<li>{escape(gloss)}</li>" for gloss in demo.recognizer.vocabulary)
            gradio.HTML(f'<ul class="glosses">{items}</ul>')
        with gradio.Row():
            with gradio.Column(scale=2, min_width=300):
                camera = gradio.WebcamOptions(
                    constraints={"video": {"width": {"ideal": 640}}, "audio": False}
                )
                # Without `include_audio` gradio would pass uploads through ffmpeg.
                video = gradio.Video(
                    label="Video", sources=["upload", "webcam"], webcam_options=camera, include_audio=True
                )
                button = gradio.Button("Recognise", variant="primary")
            with gradio.Column(scale=3, min_width=300):
                answer = gradio.HTML('<p class="note">The answer appears here.</p>', min_height=120)
                label = "Keypoints found" if demo.reads_keypoints else "What was recognised"
                overlay = gradio.Video(label=label, visible=False, autoplay=True, loop=True, buttons=[])
                view = gradio.HTML(visible=False)
        gradio.on(
            [video.upload, video.stop_recording, button.click],
            recognise,
            inputs=video,
            outputs=[answer, overlay, view],
            show_progress_on=answer,
            concurrency_limit=1,
            api_visibility="private",
        )
    page.queue(api_open=False).launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        max_file_size=limits.megabytes * 2**20,
        app_kwargs={"dependencies": [Depends(refuse_others)], "openapi_url": None},
        css_paths=STYLE,
        # The other themes load fonts from elsewhere.
        theme=gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
    )
    return page


def _similarity(recognizer: "SignRecognizer") -> "GlossSimilarity | None":
    """By the embeddings that the network was trained with, else those of its configuration, if there are any."""
    from configs.build import gloss_similarity
    from dataset.glosses.embeddings import GlossSimilarity

    kept = recognizer.network.gloss_embeddings
    if kept is None:
        return gloss_similarity(recognizer.config, recognizer.vocabulary)
    return GlossSimilarity(recognizer.vocabulary, kept.cpu().numpy())


def _overlay_size(height: int, width: int) -> tuple[int, int]:
    scale = min(1, OVERLAY_SIDE / max(height, width))
    return max(2, round(scale * height)), max(2, round(scale * width))


def _problem(text: str) -> str:
    return f'<p class="problem" role="alert">{escape(text)}</p>'


def _bars(title: str, rows: Iterable[tuple[str, float, str]], note: str = "") -> str:
    """Glosses with a bar each, of a share that is also written out."""
    items = "".join(
        f"<li><span>{escape(gloss)}</span><span>{escape(text)}</span>"
        f'<div><div style="width: {100 * max(0, share):.1f}%"></div></div></li>'
        for gloss, share, text in rows
    )
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    return f'<section><h3>{escape(title)}</h3><ol class="bars">{items}</ol>{below}</section>'


if __name__ == "__main__":
    run_entry_point(main)
