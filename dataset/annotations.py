"""Which clips there are, what they show, and in which split: the published split files and our own index."""

import csv
from collections import Counter
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Generic, Literal, TypeVar, get_args

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


class NoClips(UserError):
    """A split has none."""


C = TypeVar("C", bound=Clip)


@dataclass(frozen=True)
class Annotations(Generic[C]):
    """All clips of a data set and its glosses in class order. left_out: clips of glosses outside the vocabulary."""

    clips: list[C]
    vocabulary: list[str]
    left_out: list[C] = field(default_factory=list)

    def split(self, split: Split) -> list[C]:
        """The clips of one split, in file order.

        Raises:
            NoClips: there are none.
        """
        chosen = [clip for clip in self.clips if clip.split == split]
        if not chosen:
            found = sorted({clip.split for clip in self.clips})
            raise NoClips(
                f"the {split} split has no clips; the annotations have: {', '.join(found) or 'none'}"
            )
        return chosen


def read_annotations(config: DataConfig) -> Annotations[Clip]:
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
    if not path.is_file():
        raise UserError(f"{path}: no such file; python -m dataset.prepare makes it")
    return [index_row(where, row) for where, row in read_table(path, ("name", "gloss", "split", "video"))]


def read_table(path: Path, required: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    """The rows of a UTF-8 CSV file with a header, each with where it stands; missing cells are empty.

    Raises:
        UserError: the file cannot be read or lacks a required column, or a cell of it other than `split` is empty.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            columns = list(reader.fieldnames or [])
            rows = [(f"{path}, line {line}", row) for line, row in enumerate(reader, start=2)]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a UTF-8 CSV file: {error}") from None
    if missing := [name for name in required if name not in columns]:
        raise UserError(
            f"{path}: needs the columns {','.join(required)}, separated by commas; missing: {', '.join(missing)}; "
            f"found: {', '.join(map(repr, columns)) or 'nothing'}"
        )
    for where, row in rows:
        for name in required:
            if not row[name] and name != "split":
                raise UserError(f"{where}: {name} is empty")
    return rows


def split_cell(where: str, text: str) -> Split:
    """A cell that names a split."""
    for split in SPLITS:
        if text == split:
            return split
    raise UserError(f"{where}: split is {text!r}; it must be one of {', '.join(SPLITS)}")


def part_cells(where: str, row: dict[str, str]) -> tuple[int | None, int | None]:
    """The cells start_frame and end_frame, None where they are empty."""
    start, end = (number_cell(where, row, name) for name in ("start_frame", "end_frame"))
    if end is not None and end <= (start or 0):
        raise UserError(f"{where}: the clip has no frames")
    return start, end


def number_cell(where: str, row: dict[str, str], name: str) -> int | None:
    """A cell with a whole number, None where it is empty or there is no such column."""
    text = row.get(name) or ""
    if text and not text.isdecimal():
        raise UserError(f"{where}: {name} is {text!r}; it must be a whole number or empty")
    return int(text) if text else None


def index_row(where: str, row: dict[str, str], gloss: str = "gloss") -> Clip:
    """The clip of a row of an index; `gloss`: the column that says what it shows."""
    split, frames = split_cell(where, row["split"]), number_cell(where, row, "frames")
    start, end = part_cells(where, row)
    if frames == 0:
        raise UserError(f"{where}: the clip has no frames")
    return Clip(row["name"], row[gloss], split, row["video"], frames, row.get("signer") or None, start, end)


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
