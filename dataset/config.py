"""Configuration of the data. Free of heavy imports."""

from dataclasses import dataclass

from utils.config import ConfigError


@dataclass(frozen=True)
class SplitFilesConfig:
    """The published split files: pickles of clip lists."""

    train: str
    test: str
    dev: str | None = None
    subset: str | None = None  # JSON whose keys are the clip names to keep (WLASL-1000/300/100)


@dataclass(frozen=True)
class DataConfig:
    """Where clips, labels, keypoints and word vectors are, and how clips are read.

    Annotations come either from `index` (our clips.csv) or from `split_files` (the published pickles).
    """

    # clips.csv: name,gloss,split,video and optional frames,signer,start_frame,end_frame
    index: str | None = None
    split_files: SplitFilesConfig | None = None
    # JSON list of glosses in class order, as dataset.prepare writes it (or MSASL_classes.json); clips of other
    # glosses are left out. null: the sorted glosses of the training split.
    vocabulary: str | None = None
    vocabulary_size: int | None = None  # keep the first so many of `vocabulary`
    videos: str | None = None  # a zip or a folder; not needed by keypoint streams
    # Path of a clip inside `videos`, from its {name} and {video}; with {frame} it names numbered images.
    clip_path: str = "{video}"
    first_frame: int = 0  # number of the first image, where clips are images
    frame_size: int = 256  # frames are resized to this height and width on reading, pixels
    # Folder to keep decoded frames in, for sets that fit there uncompressed; null decodes anew in every epoch.
    frame_cache: str | None = None
    drop_last_frames: int = 0  # ignore so many frames at each clip's end; the published WLASL protocol has 2
    keypoints: str | None = None  # published pickle or our .safetensors; not needed by RGB streams
    keypoints_frame_size: int = 256  # raw frame side of keypoint files that do not say it, pixels
    word_embeddings: str | None = None  # published pickle or our .safetensors; needed by the language parts
    max_damaged_share: float = 0.01  # stop when more than this share of the clips read were damaged
    workers: int = 2  # loading processes of each training process; 0 loads in the training process

    def __post_init__(self) -> None:
        if (self.index is None) == (self.split_files is None):
            raise ConfigError("index", "give either index (clips.csv) or split_files (published pickles)")
        if self.vocabulary_size is not None and (self.vocabulary is None or self.vocabulary_size < 1):
            raise ConfigError("vocabulary_size", "must be at least 1 and needs vocabulary")
        for name in ("frame_size", "keypoints_frame_size"):
            if getattr(self, name) < 1:
                raise ConfigError(name, "must be at least 1")
        for name in ("drop_last_frames", "workers", "first_frame"):
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

    def path_of(self, name: str, video: str, frame: int = 0) -> str:
        """Where a clip, or one of its images, lies inside `videos`; `frame` counts from 0."""
        return self.clip_path.format(name=name, video=video, frame=frame + self.first_frame)
