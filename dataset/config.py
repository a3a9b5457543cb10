"""Configuration of the data. Free of heavy imports."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from utils.config import ConfigError


@dataclass(frozen=True)
class SplitFilesConfig:
    """The published split files: pickles of clip lists."""

    train: str
    test: str
    dev: str | None = None
    subset: str | None = None  # JSON whose keys are the clip names to keep (WLASL-1000/300/100)


class Picture(NamedTuple):
    """Size of frames in pixels, and how those of another size are resized to it."""

    height: int
    width: int
    resizing: Literal["bilinear", "bicubic"] = "bilinear"


@dataclass(frozen=True)
class FootageConfig:
    """Where videos and keypoints are and how they are read, whatever they show."""

    # Our index: name,gloss,split,video (clips.csv) or name,glosses,split,video and optional text (sentences.csv), both
    # with optional frames,signer,start_frame,end_frame.
    index: str | None = None
    videos: str | None = None  # a zip or a folder; not needed by keypoint streams
    # Path of a clip inside `videos`, from its {name} and {video}; with {frame} it names numbered images.
    clip_path: str = "{video}"
    first_frame: int = 0  # number of the first image, where clips are images
    # Folder to keep decoded frames in, for sets that fit there uncompressed; null decodes anew in every epoch.
    frame_cache: str | None = None
    keypoints: str | None = None  # published pickle or our .safetensors; not needed by RGB streams
    # What a keypoint of confidence 0, one that was not found, becomes: a peak where the file has it, mostly in the
    # corner of its heatmap, as in the published runs; or an empty heatmap.
    missing_keypoints: Literal["published", "empty"] = "published"
    max_damaged_share: float = 0.01  # stop when more than this share of the clips read were damaged
    workers: int = 2  # loading processes of each training process; 0 loads in the training process

    def __post_init__(self) -> None:
        for name in ("workers", "first_frame"):
            if getattr(self, name) < 0:
                raise ConfigError(name, "must not be negative")
        if self.frame_cache is not None and self.is_images:
            raise ConfigError("frame_cache", "is for video files, not for numbered images")
        if not 0 <= self.max_damaged_share <= 1:
            raise ConfigError("max_damaged_share", "must be between 0 and 1")
        try:
            self.clip_path.format(name="", video="", frame=0)
        except (KeyError, ValueError, IndexError, AttributeError, TypeError):
            raise ConfigError(
                "clip_path", "may hold {name}, {video} and {frame} (e.g. {frame:04d})"
            ) from None

    @property
    def is_images(self) -> bool:
        """Whether a clip is a series of numbered images rather than a video file."""
        return "{frame" in self.clip_path

    @property
    def picture(self) -> "Picture":
        """What frames are made when they are read."""
        raise NotImplementedError

    @property
    def keypoints_picture(self) -> tuple[int, int]:
        """Height and width of the raw frames of keypoint files that do not say it."""
        raise NotImplementedError

    def path_of(self, name: str, video: str, frame: int = 0) -> str:
        """Where a clip, or one of its images, lies inside `videos`; `frame` counts from 0."""
        return self.clip_path.format(name=name, video=video, frame=frame + self.first_frame)


@dataclass(frozen=True)
class DataConfig(FootageConfig):
    """Clips of single signs.

    Annotations come either from `index` (our clips.csv) or from `split_files` (the published pickles).
    """

    split_files: SplitFilesConfig | None = None
    # JSON list of glosses in class order, as dataset.prepare writes it (or MSASL_classes.json); clips of other
    # glosses are left out. null: the sorted glosses of the training split.
    vocabulary: str | None = None
    vocabulary_size: int | None = None  # keep the first so many of `vocabulary`
    frame_size: int = 256  # frames are resized to this height and width on reading, pixels
    drop_last_frames: int = 0  # ignore so many frames at each clip's end; the published WLASL protocol has 2
    keypoints_frame_size: int = 256  # raw frame side of keypoint files that do not say it, pixels
    word_embeddings: str | None = None  # published pickle or our .safetensors; needed by the language parts

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.index is None) == (self.split_files is None):
            raise ConfigError("index", "give either index (clips.csv) or split_files (published pickles)")
        if self.vocabulary_size is not None and (self.vocabulary is None or self.vocabulary_size < 1):
            raise ConfigError("vocabulary_size", "must be at least 1 and needs vocabulary")
        for name in ("frame_size", "keypoints_frame_size"):
            if getattr(self, name) < 1:
                raise ConfigError(name, "must be at least 1")
        if self.drop_last_frames < 0:
            raise ConfigError("drop_last_frames", "must not be negative")

    @property
    def picture(self) -> Picture:
        return Picture(self.frame_size, self.frame_size)

    @property
    def keypoints_picture(self) -> tuple[int, int]:
        return self.keypoints_frame_size, self.keypoints_frame_size


@dataclass(frozen=True)
class SentenceFilesConfig:
    """The published annotations: gzipped pickles of sentence lists."""

    train: str
    dev: str
    test: str


@dataclass(frozen=True)
class SentenceDataConfig(FootageConfig):
    """Clips of whole sentences.

    Annotations come either from `index` (our sentences.csv) or from `split_files` (the published pickles).
    """

    split_files: SentenceFilesConfig | None = None
    # The published gloss ids (a pickle), or a JSON list of classes whose first one is the blank. null: the blank, then
    # the sorted glosses of the training split.
    vocabulary: str | None = None
    lower_case: bool = False  # glosses are made lower-case before they are looked up
    # How references and predictions are cleaned before they are compared; see dataset/gloss_cleanup.py.
    cleanup: Literal["none", "phoenix2014", "phoenix2014t"] = "none"
    frame_size: tuple[int, int] = (260, 210)  # height and width; other frames are resized to it on reading
    keypoints_frame_size: tuple[int, int] = (260, 210)  # the same, of keypoint files that do not say it
    max_frames: int = 400  # of a longer sentence only so many are read
    speed: tuple[float, float] = (0.5, 1.5)  # training sees between so many times the frames of a sentence
    # Sentences of so many batches are sorted by length before they are cut into batches, so that less is padding; 1
    # leaves them in their random order.
    bucket_batches: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.index is None) == (self.split_files is None):
            raise ConfigError("index", "give either index (sentences.csv) or split_files (published pickles)")
        for name in ("frame_size", "keypoints_frame_size"):
            if min(getattr(self, name)) < 1:
                raise ConfigError(name, "must be at least 1")
        if self.max_frames < 4 or self.max_frames % 4:
            raise ConfigError("max_frames", "must be a multiple of 4")
        if not 0 < self.speed[0] <= self.speed[1]:
            raise ConfigError("speed", "two positive numbers, the smaller first")
        if self.bucket_batches < 1:
            raise ConfigError("bucket_batches", "must be at least 1")

    @property
    def annotations(self) -> str:
        """The file that names the training sentences."""
        return self.index or cast(SentenceFilesConfig, self.split_files).train

    @property
    def picture(self) -> Picture:
        return Picture(*self.frame_size, "bicubic")

    @property
    def keypoints_picture(self) -> tuple[int, int]:
        return self.keypoints_frame_size
