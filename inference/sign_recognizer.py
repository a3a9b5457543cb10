"""A trained model as somebody uses it: a video goes in, signs come out.

from modeling import load_recognizer
recognizer = load_recognizer("runs/demo/nla_slr")
recognizer.predict("clip.mp4", top_k=5)
"""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from configs.build import build_estimator, clip_format
from configs.schema import IsolatedConfig
from dataset.annotations import Clip, read_annotations
from dataset.clips import ClipReader
from dataset.footage import Sample
from dataset.keypoints import ClipKeypoints, KeypointStore, open_keypoints
from dataset.sampling import Crop, evaluation_indices
from dataset.video import FileSource, VideoFrames, video_facts
from inference.accuracy import EVAL_SETTINGS
from inference.timeline import Segment, find_segments, moving_frames
from inference.trained_model import TrainedModel, load_model
from modeling.pose.estimator import Estimator, estimate_clip
from modeling.recognition import Predictor
from modeling.recognizer import reported_prediction
from report.network_view import NetworkView, network_view
from utils.distributed import choose_device
from utils.errors import UserError

LENGTHS_DIFFER = 2  # a damaged frame or two may lack its keypoints


class Guess(NamedTuple):
    """A gloss of the vocabulary and its probability in [0, 1]."""

    gloss: str
    probability: float


@dataclass
class Video:
    """A video that is ready to be recognised.

    name: of the file, without folder and suffix. content: the file. frames: how many. rate: frames per second.
    keypoints: float32 [frames, 133, 3] in pixels of `frame_size` (width, height), None for a model that reads none.
    source: where they are from.
    """

    path: Path
    content: bytes
    frames: int
    rate: float
    keypoints: np.ndarray | None = None
    frame_size: tuple[int, int] | None = None
    source: str = ""

    @property
    def name(self) -> str:
        return self.path.stem


class SignRecognizer:
    """Names the signs in videos.

    Args:
        model: what was trained.
        config: where keypoints are looked for (`data.keypoints`), which estimator finds them otherwise (`pose`), and
            how videos are read; default: the configuration of the training.
        device: to compute on; `auto` takes CUDA if there is one.
    """

    def __init__(
        self,
        model: TrainedModel,
        config: IsolatedConfig | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ):
        self.config = config or model.config
        self.device = choose_device(device)
        self.vocabulary, self.network = model.vocabulary, model.recognizer.to(self.device)
        self.format = clip_format(self.network.config)
        self.reported = reported_prediction(self.network.config)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], device: Literal["auto", "cpu", "cuda"] = "auto"
    ) -> "SignRecognizer":
        """The model of a run folder, a checkpoint of ours or an export.

        Raises:
            UserError: there is none, or it is damaged.
        """
        return cls(load_model(Path(path)), device=device)

    @cached_property
    def estimator(self) -> Estimator:
        """What finds keypoints where there are none yet; made when first needed, for it takes seconds."""
        return build_estimator(self.config.pose, self.device)

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

    def read(
        self,
        path: Path,
        keypoints: Path | None = None,
        count: Callable[[int], object] = lambda frames: None,
        look_up: bool = True,
    ) -> Video:
        """A video with its keypoints: those given, else those that `data.keypoints` has if the video is a clip of the
        data set (unless not to `look_up`), else those that the configured estimator finds (`count(1)` is called after
        each frame).

        Raises:
            UserError: the video cannot be read, the keypoints given are of another one, or there is no person in it.
        """
        if not path.is_file():
            raise UserError(f"{path}: no such video")
        content = path.read_bytes()
        facts = video_facts(content)
        if not facts.frames:
            problem = "is an empty file" if not content else "is no video that can be decoded"
            raise UserError(f"{path}: {problem}")
        video = Video(path, content, facts.frames, facts.rate)
        if self.format.keypoint_indices is None:
            return video
        if keypoints is not None:
            return self._with_stored(video, open_keypoints(keypoints))
        if look_up and (store := self._stored_keypoints(video)) is not None:
            return self._with_stored(video, store)
        return self._with_estimated(video, count)

    def _stored_keypoints(self, video: Video) -> KeypointStore | None:
        """Those of the data set, if it has this very file, under its name, and keypoints of it."""
        data = self.config.data
        if data.keypoints is None or data.videos is None or data.is_images:
            return None
        if not (Path(data.keypoints).is_file() and Path(data.videos).exists()):
            return None
        clips = [clip for clip in read_annotations(data).clips if clip.name == video.name]
        store = open_keypoints(Path(data.keypoints))
        if not clips or video.name not in store or not self._fits(video, len(store.read(video.name))):
            return None
        content = FileSource(Path(data.videos)).read_if_there(data.path_of(clips[0].name, clips[0].video))
        return store if content == video.content else None

    @staticmethod
    def _fits(video: Video, frames: int) -> bool:
        return abs(video.frames - frames) <= LENGTHS_DIFFER

    def _with_stored(self, video: Video, store: KeypointStore) -> Video:
        if video.name not in store:
            raise UserError(
                f"{store.path}: no keypoints for {video.name!r}; find them with gen_pose.py --video"
            )
        found = store.read(video.name)
        if not self._fits(video, len(found)):
            raise UserError(
                f"{store.path}: keypoints of {len(found)} frames, but {video.path} has {video.frames}: "
                "of another video?"
            )
        return replace(
            video, keypoints=found, frame_size=store.frame_size(video.name), source=str(store.path)
        )

    def _with_estimated(self, video: Video, count: Callable[[int], object]) -> Video:
        frames = VideoFrames(video.content)
        found, size = estimate_clip(self.estimator, frames, count)
        if not len(found):
            raise UserError(f"{video.path}: {frames.problem}")
        if not found[..., 2].any():
            raise UserError(f"{video.path}: no person found in any of its {len(found)} frames")
        return replace(video, keypoints=found, frame_size=size, source=self.estimator.name)

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
        sample = self._reader(video).read_crops(self._clip(video), crops)
        if sample.problem is not None:
            raise UserError(f"{video.path}: {sample.problem}")
        return sample

    def _reader(self, video: Video) -> ClipReader:
        """Reads the video as if it were a data set of one clip."""
        data = replace(self.config.data, videos=str(video.path.parent), clip_path="{video}", frame_cache=None)
        store = None
        if video.keypoints is not None:
            store = ClipKeypoints(video.name, video.keypoints, video.frame_size, video.path)
        return ClipReader(data, self.format, store)

    @staticmethod
    def _clip(video: Video) -> Clip:
        return Clip(video.name, "", "test", video.path.name)

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
