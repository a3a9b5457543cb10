"""A page that recognises a video that somebody drops there or records with the camera: its sign, or its sentence.

    python -m inference.webdemo runs/demo/nla_slr

It needs no network and is served to this machine alone. Uploads are deleted after an hour.
"""

import argparse
import json
import math
import os
import re
import signal
import socket
import sys
import threading
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from inference.webdemo_answers import Limits, WebDemo, web_demo
from utils.errors import UserError, run_entry_point

if TYPE_CHECKING:
    import gradio

STYLE = Path(__file__).with_suffix(".css")

DELETED_AFTER = 3600  # seconds, the age of files
LOOKED_AFTER = 600  # seconds between looks for such files

# What the page asks for. All else of gradio's is closed: it runs ffmpeg on uploads or fetches from other servers.
ADDRESSES = re.compile(
    r"/((assets|static|svelte)/.*|config|theme\.css|favicon\.ico"
    r"|gradio_api/(startup-events|heartbeat/\w+|upload|upload_progress|queue/(join|data)|cancel|reset|file=/.*))?"
)


def main() -> int:
    arguments = parse()
    check_address(arguments.host, arguments.port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, so that nothing is left behind
    with TemporaryDirectory(prefix="webdemo_", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary).resolve()
        prepare_gradio(folder)
        from modeling import load_recognizer

        limits = Limits(arguments.max_megabytes, arguments.max_seconds)
        demo = web_demo(load_recognizer(arguments.run), limits, folder)
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

    signs, limits = f"{len(demo.glosses)} signs", demo.limits
    with gradio.Blocks(title=f"{demo.name}: {signs}", delete_cache=(LOOKED_AFTER, DELETED_AFTER)) as page:
        gradio.HTML(
            f"<h1>{escape(demo.name)}: {signs}</h1><p>{demo.lead} It knows the {signs} below and takes everything for "
            f"one of them. A video may last {limits.seconds:g} s and have {limits.megabytes} MB; it goes to nobody but "
            "this server, which deletes it after an hour.</p>"
        )
        with gradio.Accordion(f"The {signs}", open=False):
            items = "".join(f"<li>{escape(gloss)}</li>" for gloss in demo.glosses)
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
                label = "Keypoints found" if demo.recognizer.reads_keypoints else "What was recognised"
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


if __name__ == "__main__":
    run_entry_point(main)
