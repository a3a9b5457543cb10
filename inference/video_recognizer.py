"""What every recognizer of videos does, whatever its task: it reads a file and finds the keypoints in it.

A video is then read as a data set of one clip, so that what is predicted is what an evaluation predicts.
"""

import os
from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Generic, Literal, Self, TypeVar, cast

import numpy as np
from torch import nn

from configs.build import build_estimator
from configs.schema import RecognitionConfig
from dataset.annotations import Clip
from dataset.footage import Sample
from dataset.keypoints import ClipKeypoints, KeypointStore, open_keypoints
from dataset.sentences import read_clips
from dataset.video import FileSource, VideoFrames, video_facts
from inference.trained_model import TrainedModel, load_model
from modeling.pose.estimator import Estimator, estimate_clip
from utils.distributed import choose_device
from utils.errors import UserError

LENGTHS_DIFFER = 2  # a damaged frame or two may lack its keypoints

Device = Literal["auto", "cpu", "cuda"]
N = TypeVar("N", bound=nn.Module)
C = TypeVar("C", bound=RecognitionConfig)


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


class VideoRecognizer(ABC, Generic[N, C]):
    """Reads videos for a network.

    Args:
        model: what was trained.
        config: where keypoints are looked for (`data.keypoints`), which estimator finds them otherwise (`pose`), and
            how videos are read; default: the configuration of the training.
        device: to compute on; `auto` takes CUDA if there is one.

    Attributes:
        vocabulary: what the network's classes mean, in their order.
        task: that the network must have learned.
        least_frames: of a video.
        reads_keypoints: whether the network does.
    """

    task: ClassVar[str]
    least_frames: ClassVar[int] = 1

    def __init__(self, model: TrainedModel[N, C], config: C | None = None, device: Device = "auto"):
        self.config = config or model.config
        self.device = choose_device(device)
        self.vocabulary, self.network = model.vocabulary, model.recognizer.to(self.device)
        self.reads_keypoints = "keypoint" in model.config.model.modalities

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: Device = "auto") -> Self:
        """The model of a run folder, a checkpoint of ours or an export.

        Raises:
            UserError: there is none, or it is damaged or of another task.
        """
        model = load_model(Path(path))
        if model.config.task != cls.task:
            raise UserError(f"{path}: a model of {model.config.kind}; expected one of {cls.task} recognition")
        return cls(cast(TrainedModel[N, C], model), device=device)

    @cached_property
    def estimator(self) -> Estimator:
        """What finds keypoints where there are none yet; made when first needed, for it takes seconds."""
        return build_estimator(self.config.pose, self.device)

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
            UserError: the video cannot be read or is too short, the keypoints given are of another one, or there is no
                person in it.
        """
        if not path.is_file():
            raise UserError(f"{path}: no such video")
        content = path.read_bytes()
        facts = video_facts(content)
        if not facts.frames:
            problem = "is an empty file" if not content else "is no video that can be decoded"
            raise UserError(f"{path}: {problem}")
        if facts.frames < self.least_frames:
            raise UserError(
                f"{path}: has {facts.frames} frames; the network needs at least {self.least_frames}"
            )
        video = Video(path, content, facts.frames, facts.rate)
        if not self.reads_keypoints:
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
        clips = [clip for clip in read_clips(data).clips if clip.name == video.name]
        store = open_keypoints(Path(data.keypoints))
        if not clips or video.name not in store or not self._fits(video, store.length(video.name)):
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

    def _alone(self, video: Video) -> tuple[C, KeypointStore | None]:
        """The configuration whose data set is this video alone, and its keypoints."""
        data = replace(self.config.data, videos=str(video.path.parent), clip_path="{video}", frame_cache=None)
        store = None
        if video.keypoints is not None:
            store = ClipKeypoints(video.name, video.keypoints, video.frame_size, video.path)
        return replace(self.config, data=data), store

    @staticmethod
    def _clip(video: Video) -> Clip:
        return Clip(video.name, "", "test", video.path.name)

    @staticmethod
    def _undamaged(video: Video, sample: Sample) -> Sample:
        """What was read of the video.

        Raises:
            UserError: it is damaged.
        """
        if sample.problem is not None:
            raise UserError(f"{video.path}: {sample.problem}")
        return sample
