"""A trained model as somebody uses it: a video goes in, signs come out.

from modeling import load_recognizer
recognizer = load_recognizer("runs/demo/nla_slr")
recognizer.predict("clip.mp4", top_k=5)
"""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from configs.build import clip_format
from configs.schema import IsolatedConfig
from dataset.clips import ClipReader
from dataset.footage import Sample
from dataset.sampling import Crop, evaluation_indices
from dataset.video import VideoFrames
from inference.accuracy import EVAL_SETTINGS
from inference.timeline import Segment, find_segments, moving_frames
from inference.trained_model import IsolatedModel
from inference.video_recognizer import Device, Video, VideoRecognizer
from modeling.recognition import Predictor
from modeling.recognizer import Recognizer, reported_prediction
from report.network_view import NetworkView, network_view
from utils.errors import UserError


class Guess(NamedTuple):
    """A gloss of the vocabulary and its probability in [0, 1]."""

    gloss: str
    probability: float


class SignRecognizer(VideoRecognizer[Recognizer, IsolatedConfig]):
    """Names the signs in videos; see `VideoRecognizer` for the arguments."""

    task = "isolated"

    def __init__(self, model: IsolatedModel, config: IsolatedConfig | None = None, device: Device = "auto"):
        super().__init__(model, config, device)
        self.format = clip_format(self.network.config)
        self.reported = reported_prediction(self.network.config)

    def predict(
        self,
        video: str | os.PathLike[str],
        top_k: int = 5,
        keypoints: str | os.PathLike[str] | None = None,
        eval_setting: Literal["origin", "3x_pad"] = "origin",
    ) -> list[Guess]:
        """The likeliest glosses of a video of a single sign, best first.

        Args:
            video: file of any length, size and frame rate.
            top_k: how many glosses.
            keypoints: file with those of the video, as gen_pose.py writes it; see `read` for where they are from
                otherwise.
            eval_setting: `origin` looks at the middle of the video, `3x_pad` also at its start and its end.

        Raises:
            UserError: the video cannot be read, or there is no person in it.
        """
        read = self.read(Path(video), None if keypoints is None else Path(keypoints))
        return self.best(self.probabilities(read, eval_setting), top_k)

    def best(self, probabilities: np.ndarray, top_k: int) -> list[Guess]:
        """The `top_k` likeliest glosses, from probabilities [glosses]."""
        order = np.argsort(-probabilities, kind="stable")[:top_k]
        return [Guess(self.vocabulary[i], float(probabilities[i])) for i in order]

    def probabilities(self, video: Video, eval_setting: str = "origin") -> np.ndarray:
        """The probability of every gloss for a video of a single sign: float32 [glosses].

        Raises:
            UserError: the video is damaged.
        """
        if eval_setting not in EVAL_SETTINGS:
            raise ValueError(f"eval_setting must be one of {', '.join(EVAL_SETTINGS)}, not {eval_setting!r}")
        crops = EVAL_SETTINGS[eval_setting]
        sample = self._sample(video, crops)
        assert sample.windows is not None
        predicted = self._predict(sample.frames, sample.keypoints, sample.windows, len(crops))
        return predicted[0].mean(axis=0)

    def view(self, video: Video) -> NetworkView:
        """The middle of a video as the network reads it.

        Raises:
            UserError: the video is damaged.
        """
        return network_view(self._sample(video, ["central"]), self.network.config)

    def timeline(
        self,
        video: Video,
        length: int | None = None,
        min_probability: float = 0.15,
        count: Callable[[int], object] = lambda frames: None,
    ) -> list[Segment]:
        """The signs of a long video, in order.

        Args:
            video: see `read`. Pauses are told from signing by its keypoints: without any, everything counts as signing.
            length: of the sliding window in frames; default: as many as the network reads.
            min_probability: below it nothing is named, see `inference.timeline.find_segments`.
            count: see `window_probabilities`.

        Raises:
            UserError: the video is damaged.
        """
        starts, probabilities = self.window_probabilities(video, length, count=count)
        moving = None if video.keypoints is None else moving_frames(video.keypoints, video.rate)
        length = min(length or self.format.frames, video.frames)
        return find_segments(starts, length, probabilities, moving, self.vocabulary, min_probability)

    def window_probabilities(
        self,
        video: Video,
        length: int | None = None,
        stride: int | None = None,
        batch_size: int = 16,
        count: Callable[[int], object] = lambda frames: None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """What a window that slides over a long video sees.

        Args:
            video: of any length; its frames are never all in memory.
            length: frames of the window; default: as many as the network reads.
            stride: frames from one window to the next; default: an eighth of the window.
            batch_size: windows at a time.
            count: called after each batch with the number of frames it went on.

        Returns:
            First frame of each window int [windows], probabilities float32 [windows, glosses].

        Raises:
            UserError: the video is damaged.
        """
        length = min(length or self.format.frames, video.frames)
        stride = stride or max(1, length // 8)
        starts = list(range(0, video.frames - length + 1, stride))
        batches = [starts[i : i + batch_size] for i in range(0, len(starts), batch_size)]
        offsets = evaluation_indices(length, self.format.frames, "central")
        spans = [(batch[0], batch[-1] + length) for batch in batches]
        found = []
        for batch, span, frames in zip(batches, spans, self._frames(video, spans), strict=True):
            keypoints = None
            if video.keypoints is not None:
                clip, places = self._clip(video), np.arange(*span)
                keypoints, _ = self._reader(video).keypoints_at(clip, places, video.frames)
            windows = np.stack([offsets + start - span[0] for start in batch])
            found.append(self._predict(frames, keypoints, windows, 1)[:, 0])
            count(stride * len(batch))
        return np.array(starts), np.concatenate(found)

    def _frames(self, video: Video, spans: list[tuple[int, int]]) -> Iterator[np.ndarray | None]:
        """uint8 RGB [frames, side, side, 3] of each span (first, end), which may overlap; the video is read once."""
        if not self.format.rgb:
            yield from itertools.repeat(None, len(spans))
            return
        side = self.config.data.frame_size
        frames = VideoFrames(video.content, size=lambda height, width: (side, side))
        waiting, recent = deque(spans), deque[np.ndarray](maxlen=max(end - first for first, end in spans))
        for number, frame in enumerate(frames):
            recent.append(frame)
            while waiting and waiting[0][1] == number + 1:
                first, end = waiting.popleft()
                yield np.stack(list(recent)[first - end :])
        if frames.problem is not None or waiting:
            raise UserError(f"{video.path}: {frames.problem or 'ends too early'}")

    def _sample(self, video: Video, crops: list[Crop]) -> Sample:
        return self._undamaged(video, self._reader(video).read_crops(self._clip(video), crops))

    def _reader(self, video: Video) -> ClipReader:
        alone, store = self._alone(video)
        return ClipReader(alone.data, self.format, store)

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor(self.network, self.config.runtime)

    def _predict(
        self, frames: np.ndarray | None, keypoints: np.ndarray | None, windows: np.ndarray, crops: int
    ) -> np.ndarray:
        """float32 [clips, crops, glosses], as `modeling.recognition.Predictor` of the reported prediction."""

        def on_device(array: np.ndarray | None) -> Tensor | None:
            return None if array is None else torch.from_numpy(array).to(self.device)

        places = torch.from_numpy(windows).to(self.device)
        predicted = self._predictor(on_device(frames), on_device(keypoints), places, crops)
        return predicted[self.reported].float().cpu().numpy()
