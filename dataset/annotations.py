"""Which clips there are, what they show, and in which split: the published split files and our own index."""

import csv
from collections import Counter
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args

from dataset.config import DataConfig, SplitFilesConfig
from dataset.pickles import load_data_pickle
from utils.errors import UserError
from utils.files import read_json

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Clip:
    """One clip.

    name: key of everything else, unique. gloss: what it shows. video: as the annotations name its file.
    frames: number of frames, None if the annotations do not say. start_frame, end_frame: the part of the video
    that is the clip, first frame 0, end exclusive; None for the whole video.
    """

    name: str
    gloss: str
    split: Split
    video: str
    frames: int | None = None
    signer: str | None = None
    start_frame: int | None = None
    end_frame: int | None = None

    @property
    def length(self) -> int | None:
        """Frames of the clip itself, None if the annotations do not say."""
        return self.frames if self.end_frame is None else self.end_frame - (self.start_frame or 0)


@dataclass(frozen=True)
class Annotations:
    """All clips of a data set and its glosses in class order. left_out: clips of glosses outside the vocabulary."""

    clips: list[Clip]
    vocabulary: list[str]
    left_out: list[Clip] = field(default_factory=list)

    def split(self, split: Split) -> list[Clip]:
        """The clips of one split, in file order.

        Raises:
            UserError: there are none.
        """
        chosen = [clip for clip in self.clips if clip.split == split]
        if not chosen:
            found = sorted({clip.split for clip in self.clips})
            raise UserError(
                f"the {split} split has no clips; the annotations have: {', '.join(found) or 'none'}"
            )
        return chosen


def read_annotations(config: DataConfig) -> Annotations:
    """The annotations a configuration names.

    Raises:
        UserError: a file is missing or malformed, a name occurs twice, or a gloss outside the vocabulary occurs.
    """
    if config.split_files is not None:
        clips = _read_split_files(config.split_files)
        source = config.split_files.train
    else:
        assert config.index is not None
        clips = read_index(Path(config.index))
        source = config.index
    names: set[str] = set()
    for clip in clips:
        if clip.name in names:
            raise UserError(f"{source}: clip {clip.name!r} occurs twice; names must be unique")
        names.add(clip.name)
    if config.vocabulary is not None:
        listed = read_json(Path(config.vocabulary), list)
        vocabulary = [str(gloss) for gloss in listed][: config.vocabulary_size]
        if twice := [gloss for gloss, count in Counter(vocabulary).items() if count > 1]:
            raise UserError(f"{config.vocabulary}: {twice[0]!r} occurs twice; every gloss is one class")
        known = set(vocabulary)
        left_out = [clip for clip in clips if clip.gloss not in known]
        return Annotations([clip for clip in clips if clip.gloss in known], vocabulary, left_out)
    vocabulary = sorted({clip.gloss for clip in clips if clip.split == "train"})
    if not vocabulary:
        raise UserError(f"{source}: the train split has no clips; it defines the vocabulary")
    known = set(vocabulary)
    for clip in clips:
        if clip.gloss not in known:
            raise UserError(
                f"{source}: {clip.split} clip {clip.name!r} shows {clip.gloss!r}, which no training clip shows"
            )
    return Annotations(clips, vocabulary)


def read_index(path: Path) -> list[Clip]:
    """Our index, clips.csv: UTF-8, a header, columns name,gloss,split,video and optionally
    frames,signer,start_frame,end_frame (empty cells mean unknown)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        raise UserError(f"{path}: no such file; python -m dataset.prepare makes it") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a UTF-8 CSV file: {error}") from None
    columns = rows[0].keys() if rows else []
    missing = [name for name in ("name", "gloss", "split", "video") if name not in columns]
    if missing:
        hint = "; the separator must be a comma" if any(";" in str(name) for name in columns) else ""
        raise UserError(
            f"{path}: needs the columns name,gloss,split,video; missing: {', '.join(missing)}{hint}"
        )
    return [_index_row(path, line, row) for line, row in enumerate(rows, start=2)]


def _index_row(path: Path, line: int, row: dict[str, Any]) -> Clip:
    where = f"{path}, line {line}"
    for name in ("name", "gloss", "video"):
        if not row[name]:
            raise UserError(f"{where}: {name} is empty")
    if row["split"] not in SPLITS:
        raise UserError(f"{where}: split is {row['split']!r}; it must be one of {', '.join(SPLITS)}")
    numbers: dict[str, int | None] = {}
    for name in ("frames", "start_frame", "end_frame"):
        text = row.get(name) or ""
        if text and not text.isdecimal():
            raise UserError(f"{where}: {name} is {text!r}; it must be a whole number or empty")
        numbers[name] = int(text) if text else None
    start, end = numbers["start_frame"], numbers["end_frame"]
    if numbers["frames"] == 0 or (end is not None and end <= (start or 0)):
        raise UserError(f"{where}: the clip has no frames")
    return Clip(
        row["name"],
        row["gloss"],
        row["split"],
        row["video"],
        numbers["frames"],
        row.get("signer") or None,
        start,
        end,
    )


def _read_split_files(config: SplitFilesConfig) -> list[Clip]:
    clips = [
        clip
        for split in SPLITS
        if (file := getattr(config, split)) is not None
        for clip in _read_split_file(Path(file), split)
    ]
    if config.subset is not None:
        kept = read_json(Path(config.subset), dict)
        clips = [clip for clip in clips if clip.name in kept]
    return clips


def _read_split_file(path: Path, split: Split) -> list[Clip]:
    entries = load_data_pickle(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path}: expected a list of clips, each a dict")
    clips = []
    for entry in entries:
        missing = [key for key in ("name", "label", "seq_len", "video_file") if key not in entry]
        if missing:
            raise UserError(f"{path}: clip {entry.get('name', '?')!r} lacks {', '.join(missing)}")
        kinds = {"label": str, "seq_len": Integral, "video_file": str}
        wrong = [key for key, kind in kinds.items() if not isinstance(entry[key], kind)]
        if wrong:
            raise UserError(f"{path}: clip {entry['name']!r}: {wrong[0]} is {entry[wrong[0]]!r}")
        if "augmentation" not in entry["video_file"]:
            frames = int(entry["seq_len"])
            clips.append(Clip(str(entry["name"]), entry["label"], split, entry["video_file"], frames))
    return clips
