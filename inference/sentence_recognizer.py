"""A trained model of continuous recognition as somebody uses it: a video goes in, its glosses come out, with times.

from modeling import load_recognizer
recognizer = load_recognizer("runs/demo_sentences/two_stream")
recognizer.predict("sentence.mp4")
"""

import os
import warnings
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from configs.build import sentence_reader
from configs.schema import ContinuousConfig
from dataset.sentence_clips import STRIDE
from dataset.sentence_sampling import evaluation_frames
from inference.timeline import Segment, TimedGloss, segments, timed
from inference.trained_model import ContinuousModel
from inference.video_recognizer import Device, Video, VideoRecognizer
from modeling.continuous.augment import central_draw, prepare_sentences
from modeling.continuous.decoding import beam_search
from modeling.continuous.network import ContinuousRecognizer, reported_prediction
from modeling.continuous.recognition import SentencePredictor
from report.sentence_views import inputs_filmstrip


class SentenceRecognizer(VideoRecognizer[ContinuousRecognizer, ContinuousConfig]):
    """Reads the glosses of sentences in videos; see `VideoRecognizer` for the arguments."""

    task = "continuous"
    least_frames = STRIDE

    def __init__(
        self, model: ContinuousModel, config: ContinuousConfig | None = None, device: Device = "auto"
    ):
        super().__init__(model, config, device)
        self.reported = reported_prediction(self.network.config)

    def predict(
        self, video: str | os.PathLike[str], keypoints: str | os.PathLike[str] | None = None
    ) -> list[TimedGloss]:
        """The glosses of a sentence in their order, with the seconds in which each is signed.

        Args:
            video: file of any size and frame rate; of a long one the middle is read, which a warning tells.
            keypoints: file with those of the video, as gen_pose.py writes it; see `read` for where they are from
                otherwise.

        Raises:
            UserError: the video cannot be read, has fewer than 4 frames, or there is no person in it.
        """
        read = self.read(Path(video), None if keypoints is None else Path(keypoints))
        if (left_out := self.left_out(read)) is not None:
            warnings.warn(left_out, stacklevel=2)
        return timed(self.glosses(read), read.rate)

    def left_out(self, video: Video) -> str | None:
        """One line that says which part of a long video is not read; None: all of it is."""
        read = self._frames(video)
        if video.frames - len(read) < STRIDE:
            return None
        first, last = read[0] / video.rate, (read[-1] + 1) / video.rate
        return (
            f"{video.path}: read from {first:.2f} s to {last:.2f} s only, {len(read)} of its {video.frames} frames; "
            "data.max_frames allows no more"
        )

    def glosses(self, video: Video, beam: int | None = None) -> list[Segment]:
        """The glosses of a sentence in their order, with the frames in which each is signed.

        Read by beam search in the reported prediction; then the best path through these glosses gives each a span and
        its probability (`modeling.continuous.alignment`).

        Args:
            video: see `read`.
            beam: prefixes that are kept; default: `decoding.beam` of the configuration.

        Raises:
            UserError: the video is damaged.
        """
        frames, keypoints = self._sample(video)
        output = self._predictor(*(None if x is None else x.to(self.device) for x in (frames, keypoints)))
        logits, steps = output.logits[self.reported].cpu(), output.steps[self.reported].cpu()
        (found,) = beam_search(logits, steps, beam or self.config.decoding.beam)
        return segments(logits[0], found, self.vocabulary, int(self._frames(video)[0]))

    def features(self, video: Video) -> dict[str, Tensor]:
        """What the heads on block 4 read of a sentence: {stream: float [T / 4, C]} on the device.

        Raises:
            UserError: the video is damaged.
        """
        frames, keypoints = self._sample(video)
        return self._predictor.features(
            *(None if x is None else x.to(self.device) for x in (frames, keypoints))
        )

    def picture(self, video: Video) -> np.ndarray:
        """Some frames and heatmaps of a video as the network reads them, side by side: uint8 RGB [height, width, 3].

        Raises:
            UserError: the video is damaged.
        """
        frames, keypoints = (None if x is None else x[None] for x in self._sample(video))
        model = self.network.config
        draw = central_draw(model, self.config.data.frame_size)
        inputs = prepare_sentences(frames, keypoints, model, [draw])
        return inputs_filmstrip(inputs, model.streams, len(self._frames(video)))

    def _frames(self, video: Video) -> np.ndarray:
        """Which of its frames are read, int64 [frames]."""
        return evaluation_frames(video.frames, self.config.data.max_frames)

    def _sample(self, video: Video) -> tuple[Tensor | None, Tensor | None]:
        """Frames uint8 [T, H, W, 3] and keypoints float32 [T, J, 3], each None where the network reads none."""
        alone, store = self._alone(video)
        reader = sentence_reader(replace(alone, model=self.network.config), store)
        sample = self._undamaged(video, reader.read(self._clip(video), lambda length: [self._frames(video)]))
        frames, keypoints = (None if x is None else torch.from_numpy(x[0]) for x in sample.crops())
        return frames, keypoints

    @cached_property
    def _predictor(self) -> SentencePredictor:
        return SentencePredictor(self.network, self.config.runtime, pyramid=False)
