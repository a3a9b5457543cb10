"""What the page of `inference.webdemo` says of a video, without the page. Light to import."""

import itertools
import traceback
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from utils.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from dataset.glosses.embeddings import GlossSimilarity
    from inference.recognizers import Recognizer
    from inference.sentence_recognizer import SentenceRecognizer
    from inference.sentence_translator import SentenceTranslator
    from inference.sign_recognizer import SignRecognizer
    from inference.video_recognizer import Video
    from report.overlay import Caption

MAX_SIDE = 4096  # pixels
MAX_RATE = 60  # frames per second; a faster video may be shorter
OVERLAY_SIDE = 640  # pixels, at most
NAMED = 5  # glosses


class Limits(NamedTuple):
    """What a video may have at most: megabytes (of 2^20 bytes), and seconds."""

    megabytes: int
    seconds: float


class Results(NamedTuple):
    """What the page shows of a video: HTML, the file of an overlay, HTML; None: nothing."""

    answer: str
    overlay: Path | None = None
    view: str | None = None


class WebDemo(ABC):
    """It answers one question at a time.

    Args:
        recognizer: what recognises the videos; its estimator is made now, which takes seconds.
        limits: of the videos.
        folder: to leave the overlays in.

    Attributes:
        unit: what a video should show.
        lead: what the page does with it, in a sentence.
        glosses: that it knows.

    Raises:
        UserError: the estimator is not as configured.
    """

    unit: ClassVar[str]
    lead: ClassVar[str]
    glosses: list[str]

    def __init__(self, recognizer: "SignRecognizer | SentenceRecognizer", limits: Limits, folder: Path):
        self.recognizer, self.limits, self.folder = recognizer, limits, folder
        self.name = Path(recognizer.config.run).name
        if recognizer.reads_keypoints:
            _ = recognizer.estimator

    @abstractmethod
    def recognise(self, video: "Video") -> "tuple[str, list[Caption]]":
        """What is seen in a video, as HTML and as captions."""

    @abstractmethod
    def picture(self, video: "Video") -> "np.ndarray":
        """The video as the network reads it: uint8 RGB [height, width, 3]."""

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
        from report.pictures import jpeg

        frames = check_video(path, self.limits, self.unit)
        done = itertools.count(1)
        video = self.recognizer.read(
            path, count=lambda _: report(next(done) / frames, "finding keypoints"), look_up=False
        )
        report(1, "recognising")
        answer, captions = self.recognise(video)
        picture = image(jpeg(self.picture(video)), "frames and heatmaps from left to right", "jpeg")
        view = f'<div class="view"><h3>What the network saw</h3><div>{picture}</div></div>'
        report(1, "drawing")
        return Results(answer, self._overlay(video, captions), view)

    def _overlay(self, video: "Video", captions: "list[Caption]") -> Path:
        from dataset.video import VideoFrames
        from report.overlay import write_overlay

        keypoints = video.keypoints
        if keypoints is not None and video.frame_size is not None:
            width, height = video.frame_size
            new_height, new_width = _overlay_size(height, width)
            keypoints = keypoints * [new_width / width, new_height / height, 1]
        path = self.folder / f"{uuid.uuid4().hex}.mp4"
        frames = VideoFrames(video.content, size=_overlay_size)
        write_overlay(path, frames, keypoints, video.rate, captions)
        return path


class SignDemo(WebDemo):
    """Names the sign of a video, and those of nearest meaning.

    Raises:
        UserError: the word embeddings are not as configured.
    """

    unit = "sign"
    lead = "Names the sign in a video of one single sign."
    recognizer: "SignRecognizer"

    def __init__(self, recognizer: "SignRecognizer", limits: Limits, folder: Path):
        super().__init__(recognizer, limits, folder)
        self.glosses = recognizer.vocabulary
        self.similarity = _similarity(recognizer)

    def recognise(self, video: "Video") -> "tuple[str, list[Caption]]":
        from report.overlay import Caption

        guesses = self.recognizer.best(self.recognizer.probabilities(video), NAMED)
        rows = [(guess.gloss, guess.probability, f"{100 * guess.probability:.0f} %") for guess in guesses]
        parts = [_bars("Likeliest signs", rows)]
        if self.similarity is not None:
            best = guesses[0].gloss
            rows = [(gloss, near, f"{near:.2f}") for gloss, near in self.similarity.nearest(best, NAMED)]
            note = "Similarity of the word embeddings, which the language parts of the training go by."
            parts.append(_bars(f"Nearest in meaning to “{best}”", rows, note))
        return f'<div class="parts">{"".join(parts)}</div>', [Caption(0, video.frames, guesses)]

    def picture(self, video: "Video") -> "np.ndarray":
        from report.pictures import filmstrip

        return filmstrip(*self.recognizer.view(video))


class SentenceDemo(WebDemo):
    """Reads the glosses of a sentence, with their times."""

    unit = "sentence"
    lead = "Reads the sentence in a video, sign by sign."
    recognizer: "SentenceRecognizer"

    def __init__(self, recognizer: "SentenceRecognizer", limits: Limits, folder: Path):
        super().__init__(recognizer, limits, folder)
        self.glosses = recognizer.vocabulary[1:]  # without the blank

    def recognise(self, video: "Video") -> "tuple[str, list[Caption]]":
        from inference.timeline import timed
        from report.overlay import Caption

        segments = self.recognizer.glosses(video)
        rows = [
            (gloss, probability, f"{start:.2f} to {end:.2f} s, {100 * probability:.0f} %")
            for gloss, start, end, probability in timed(segments, video.rate)
        ]
        left_out = self.recognizer.left_out(video) or ""
        answer = _bars(
            "Signs in their order" if rows else "No sign was read",
            rows,
            left_out.replace(str(video.path), video.path.name),
        )
        return answer, [Caption(s.start, s.end, [(s.gloss, s.probability)]) for s in segments]

    def picture(self, video: "Video") -> "np.ndarray":
        return self.recognizer.picture(video)


class TranslationDemo(SentenceDemo):
    """Says the text of a sentence, and reads its glosses."""

    lead = "Translates the sentence in a video, and reads its signs."

    def __init__(self, translator: "SentenceTranslator", limits: Limits, folder: Path):
        super().__init__(translator.recognizer, limits, folder)
        self.translator, self.name = translator, Path(translator.config.run).name

    def recognise(self, video: "Video") -> "tuple[str, list[Caption]]":
        glosses, captions = super().recognise(video)
        text = self.translator.text(video) or "Nothing was understood"
        return f'<p class="text">{escape(text)}</p>{glosses}', captions


def web_demo(recognizer: "Recognizer", limits: Limits, folder: Path) -> WebDemo:
    """The one for the task of a recognizer."""
    from inference.sentence_recognizer import SentenceRecognizer
    from inference.sentence_translator import SentenceTranslator

    if isinstance(recognizer, SentenceTranslator):
        return TranslationDemo(recognizer, limits, folder)
    if isinstance(recognizer, SentenceRecognizer):
        return SentenceDemo(recognizer, limits, folder)
    return SignDemo(recognizer, limits, folder)


def check_video(path: Path, limits: Limits, unit: str) -> int:
    """The number of frames of a video, which should show one `unit`; nothing is decoded.

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
            f"{path}: lasts {round(frames / rate, 1):g} s, but at most {limits.seconds:g} s are taken; "
            f"cut out a {unit}"
        )
    if frames > limits.seconds * MAX_RATE:
        raise UserError(
            f"{path}: has {frames} frames, but at most {limits.seconds * MAX_RATE:.0f} are taken; "
            f"cut out a {unit}"
        )
    return frames


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
