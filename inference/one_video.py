"""What `prediction.py --video` does: a video is recognised, and what was found is printed, written and drawn."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.schema import Config, TranslationConfig
from dataset.video import VideoFrames, count_frames
from inference.recognizers import Recognizer, recognizer_of
from inference.sentence_recognizer import SentenceRecognizer
from inference.sentence_translator import SentenceTranslator
from inference.sign_recognizer import Guess, SignRecognizer
from inference.timeline import Cue, Segment, TimedGloss, cues, timed, webvtt
from inference.trained_model import load_model
from inference.video_recognizer import Video
from report.overlay import Caption, check_overlay, write_overlay
from utils.errors import UserError
from utils.files import write_json
from utils.progress import progress_bar


def recognise(config: Config, source: Path, arguments: argparse.Namespace) -> int:
    """Name the sign of a video, the signs of a long one, the glosses of a sentence, or also its text; returns the exit
    code.

    Args:
        source: of the model, see `load_model`.
        arguments: of prediction.py.
    """
    path, overlay = arguments.video, arguments.overlay
    if not path.is_file():
        raise UserError(f"{path}: no such video")
    if overlay is not None:
        check_overlay(overlay, path)
    recognizer = chosen_recognizer(config, source, arguments.ensemble)
    reader = recognizer.recognizer if isinstance(recognizer, SentenceTranslator) else recognizer
    with progress_bar(count_frames(path.read_bytes()), 0, "frame", shown=True, delay=1) as progress:
        video = reader.read(path, arguments.keypoints, progress.update)
    if video.source:
        print(f"keypoints: {video.source}", file=sys.stderr)
    if isinstance(recognizer, SentenceTranslator):
        captions = translate(recognizer, video, arguments)
    elif isinstance(recognizer, SentenceRecognizer):
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


def chosen_recognizer(config: Config, source: Path, ensemble: Sequence[Path]) -> Recognizer:
    """What recognises: the model at `source`, with those of an `ensemble`."""
    if not ensemble:
        return recognizer_of(load_model(source, config), config, config.runtime.device)
    assert isinstance(config, TranslationConfig)
    others = [load_model(path, config) for path in ensemble]
    return SentenceTranslator(load_model(source, config), config, config.runtime.device, others)


def read_sentence(
    recognizer: SentenceRecognizer, video: Video, arguments: argparse.Namespace
) -> list[Caption]:
    """The glosses of a sentence."""
    tell_left_out(recognizer, video)
    segments = recognizer.glosses(video, beam_of(arguments))
    return tell(segments, video, "no gloss was read", arguments)


def translate(translator: SentenceTranslator, video: Video, arguments: argparse.Namespace) -> list[Caption]:
    """The text of a sentence, and its glosses."""
    tell_left_out(translator.recognizer, video)
    text = translator.text(video, beam_of(arguments))
    segments = translator.recognizer.glosses(video)
    glosses = timed(segments, video.rate)
    content = {"text": text, "glosses": [gloss._asdict() for gloss in glosses]}
    if arguments.json:
        print(json.dumps(content, ensure_ascii=False))
    else:
        print(text)
        print_glosses(glosses)
    if arguments.out is not None:
        start, end = (glosses[0].start, glosses[-1].end) if glosses else (0, video.frames / video.rate)
        write(arguments.out, content, [Cue(text, start, end)])
    return captions_of(segments)


def tell_left_out(recognizer: SentenceRecognizer, video: Video) -> None:
    if (left_out := recognizer.left_out(video)) is not None:
        print(left_out, file=sys.stderr)


def beam_of(arguments: argparse.Namespace) -> int:
    return int(arguments.eval_setting.removeprefix("beam_"))


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
        print_glosses(glosses)
    if arguments.out is not None:
        write(arguments.out, content, cues(glosses))
    return captions_of(segments)


def print_glosses(glosses: Sequence[TimedGloss]) -> None:
    for gloss, start, end, probability in glosses:
        print(f"{start:8.2f} s {end:8.2f} s {100 * probability:6.1f} %  {gloss}")


def write(out: Path, content: Any, cues: Sequence[Cue]) -> None:
    """What was found as JSON, and as subtitles beside it."""
    written, subtitles = (out.with_suffix(suffix) for suffix in (".json", ".vtt"))
    write_json(written, content)
    subtitles.write_text(webvtt(cues), encoding="utf-8")
    print(f"written to {written} and {subtitles}", file=sys.stderr)


def captions_of(segments: Sequence[Segment]) -> list[Caption]:
    return [Caption(s.start, s.end, [(s.gloss, s.probability)]) for s in segments]


def print_guesses(guesses: list[Guess], as_json: bool) -> None:
    if as_json:
        print(json.dumps([guess._asdict() for guess in guesses], ensure_ascii=False))
    else:
        for gloss, probability in guesses:
            print(f"{100 * probability:6.2f} %  {gloss}")
