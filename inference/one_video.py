"""What `prediction.py --video` does: a video is recognised, and what was found is printed, written and drawn."""

import argparse
import json
import sys
from pathlib import Path

from configs.schema import Config
from dataset.video import VideoFrames, count_frames
from inference.recognizers import recognizer_of
from inference.sentence_recognizer import SentenceRecognizer
from inference.sign_recognizer import Guess, SignRecognizer
from inference.timeline import Segment, timed, webvtt
from inference.trained_model import load_model
from inference.video_recognizer import Video
from report.overlay import Caption, check_overlay, write_overlay
from utils.errors import UserError
from utils.files import write_json
from utils.progress import progress_bar


def recognise(config: Config, source: Path, arguments: argparse.Namespace) -> int:
    """Name the sign of a video, the signs of a long one, or the glosses of a sentence; returns the exit code.

    Args:
        source: of the model, see `load_model`.
        arguments: of prediction.py.
    """
    path, overlay = arguments.video, arguments.overlay
    if not path.is_file():
        raise UserError(f"{path}: no such video")
    if overlay is not None:
        check_overlay(overlay, path)
    recognizer = recognizer_of(load_model(source, config), config, config.runtime.device)
    with progress_bar(count_frames(path.read_bytes()), 0, "frame", shown=True, delay=1) as progress:
        video = recognizer.read(path, arguments.keypoints, progress.update)
    if video.source:
        print(f"keypoints: {video.source}", file=sys.stderr)
    if isinstance(recognizer, SentenceRecognizer):
        captions = read_sentence(recognizer, video, arguments)
    elif arguments.window is None:
        guesses = recognizer.best(recognizer.probabilities(video, arguments.eval_setting), arguments.top_k)
        print_guesses(guesses, arguments.json)
        captions = [Caption(0, video.frames, guesses)]
    else:
        captions = find_signs(recognizer, video, arguments)
    if overlay is not None:
        write_overlay(overlay, VideoFrames(video.content), video.keypoints, video.rate, captions)
        print(f"{overlay}: the video with what was recognised", file=sys.stderr)
    return 0


def read_sentence(
    recognizer: SentenceRecognizer, video: Video, arguments: argparse.Namespace
) -> list[Caption]:
    """The glosses of a sentence."""
    if (left_out := recognizer.left_out(video)) is not None:
        print(left_out, file=sys.stderr)
    beam = int(arguments.eval_setting.removeprefix("beam_"))
    return tell(recognizer.glosses(video, beam), video, "no gloss was read", arguments)


def find_signs(recognizer: SignRecognizer, video: Video, arguments: argparse.Namespace) -> list[Caption]:
    """The signs of a long video."""
    least = arguments.min_probability
    with progress_bar(video.frames, 0, "frame", shown=True, delay=1) as progress:
        segments = recognizer.timeline(video, arguments.window or None, least, progress.update)
    return tell(segments, video, f"no sign found that is at least {100 * least:g} % likely", arguments)


def tell(segments: list[Segment], video: Video, nothing: str, arguments: argparse.Namespace) -> list[Caption]:
    """Print segments with their times, or `nothing` if there are none, and, with --out, write them; give them as
    captions."""
    glosses = timed(segments, video.rate)
    content = [gloss._asdict() for gloss in glosses]
    if arguments.json:
        print(json.dumps(content, ensure_ascii=False))
    else:
        if not glosses:
            print(nothing, file=sys.stderr)
        for gloss, start, end, probability in glosses:
            print(f"{start:8.2f} s {end:8.2f} s {100 * probability:6.1f} %  {gloss}")
    if arguments.out is not None:
        written, subtitles = (arguments.out.with_suffix(suffix) for suffix in (".json", ".vtt"))
        write_json(written, content)
        subtitles.write_text(webvtt(glosses), encoding="utf-8")
        print(f"written to {written} and {subtitles}", file=sys.stderr)
    return [Caption(s.start, s.end, [(s.gloss, s.probability)]) for s in segments]


def print_guesses(guesses: list[Guess], as_json: bool) -> None:
    if as_json:
        print(json.dumps([guess._asdict() for guess in guesses], ensure_ascii=False))
    else:
        for gloss, probability in guesses:
            print(f"{100 * probability:6.2f} %  {gloss}")
