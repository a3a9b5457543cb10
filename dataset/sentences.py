"""Which sentences there are, what is signed in them, and in which split: our own index, and the published files."""

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from dataset.annotations import SPLITS, Annotations, Clip, Split, index_row, read_annotations, read_table
from dataset.config import DataConfig, FootageConfig, SentenceDataConfig, SentenceFilesConfig
from dataset.pickles import load_data_pickle
from utils.errors import UserError
from utils.files import read_json

BLANK = "<s>"  # the first class: no gloss
BLANKS = (BLANK, "<si>")  # as published vocabularies call it
UNKNOWN = "<unk>"  # the class of glosses that are not in the vocabulary


@dataclass(frozen=True)
class Sentence(Clip):
    """One sentence; `gloss` holds its glosses, separated by spaces. text: in the spoken language, if known."""

    text: str | None = None

    @property
    def glosses(self) -> list[str]:
        return self.gloss.split()


class GlossClasses:
    """The class of every gloss.

    Args:
        vocabulary: names of the classes; the first one is the blank.
        lower_case: make glosses lower-case before they are looked up.
    """

    def __init__(self, vocabulary: list[str], lower_case: bool):
        self.classes = {gloss: i for i, gloss in enumerate(vocabulary)}
        self.lower_case = lower_case

    def find(self, glosses: Iterable[str]) -> list[int | None]:
        """Their classes; the unknown one of those that are not in the vocabulary, None if there is no such class."""
        unknown = self.classes.get(UNKNOWN)
        return [self.classes.get(gloss.lower() if self.lower_case else gloss, unknown) for gloss in glosses]

    def of(self, sentence: Sentence) -> list[int]:
        """The classes of a sentence's glosses.

        Raises:
            UserError: one is not in the vocabulary, which has no class for those.
        """
        found = []
        for gloss, number in zip(sentence.glosses, self.find(sentence.glosses), strict=True):
            if number is None:
                raise UserError(
                    f"sentence {sentence.name!r}: the gloss {gloss!r} is not in the vocabulary; add it there, or "
                    f"{UNKNOWN!r}, or take the sentence out of the annotations"
                )
            found.append(number)
        return found


def read_clips(config: FootageConfig) -> Annotations[Clip] | Annotations[Sentence]:
    """The clips that a configuration names, of single signs or of sentences.

    Raises:
        UserError: see `read_annotations` and `read_sentences`.
    """
    if isinstance(config, SentenceDataConfig):
        return read_sentences(config)
    assert isinstance(config, DataConfig)
    return read_annotations(config)


def read_sentences(config: SentenceDataConfig) -> Annotations[Sentence]:
    """The sentences that a configuration names, and the vocabulary: classes in their order, the blank first.

    Raises:
        UserError: a file is missing or malformed, a name occurs twice, or a sentence has no glosses.
    """
    if config.split_files is not None:
        sentences = _read_split_files(config.split_files)
    else:
        assert config.index is not None
        sentences = read_sentence_index(Path(config.index))
    source = config.annotations
    names: set[str] = set()
    for sentence in sentences:
        if sentence.name in names:
            raise UserError(f"{source}: sentence {sentence.name!r} occurs twice; names must be unique")
        if not sentence.glosses:
            raise UserError(f"{source}: sentence {sentence.name!r} has no glosses")
        names.add(sentence.name)
    if config.vocabulary is not None:
        return Annotations(sentences, read_vocabulary(Path(config.vocabulary)))
    train = [sentence for sentence in sentences if sentence.split == "train"]
    if not train:
        raise UserError(f"{source}: the train split has no sentences; it defines the vocabulary")
    glosses = {gloss.lower() if config.lower_case else gloss for s in train for gloss in s.glosses}
    return Annotations(sentences, [BLANK, *sorted(glosses)])


def read_sentence_index(path: Path) -> list[Sentence]:
    """Our index, sentences.csv: UTF-8, a header, columns name,glosses,split,video and optionally
    text,frames,signer,start_frame,end_frame (empty cells mean unknown)."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; python -m dataset.prepare makes it")
    required = ("name", "glosses", "split", "video")
    return [
        Sentence(**vars(index_row(where, row, "glosses")), text=row.get("text") or None)
        for where, row in read_table(path, required)
    ]


def read_vocabulary(path: Path) -> list[str]:
    """Classes in their order, from a JSON list or from the published gloss ids (a pickled dict of gloss -> id).

    Raises:
        UserError: the file is malformed, ids are not 0 to their number - 1, or the first class is not the blank.
    """
    if path.suffix == ".json":
        vocabulary = [str(gloss) for gloss in read_json(path, list)]
        if len(set(vocabulary)) < len(vocabulary):
            raise UserError(f"{path}: a gloss occurs twice; every gloss is one class")
    else:
        ids = load_data_pickle(path)
        if not isinstance(ids, dict) or not all(isinstance(i, Integral) for i in ids.values()):
            raise UserError(f"{path}: expected a dict of gloss -> id")
        vocabulary = [str(gloss) for gloss in sorted(ids, key=ids.__getitem__)]
        if sorted(ids.values()) != list(range(len(ids))):
            raise UserError(f"{path}: ids must be 0 to {len(ids) - 1}, each once")
    if not vocabulary or vocabulary[0] not in BLANKS:
        raise UserError(f"{path}: the first class must be the blank, {' or '.join(map(repr, BLANKS))}")
    return vocabulary


def _read_split_files(config: SentenceFilesConfig) -> list[Sentence]:
    return [s for split in SPLITS for s in _read_split_file(Path(getattr(config, split)), split)]


def _read_split_file(path: Path, split: Split) -> list[Sentence]:
    entries = load_data_pickle(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path}: expected a list of sentences, each a dict")
    return [_published_sentence(path, entry, split) for entry in entries]


def _published_sentence(path: Path, entry: dict[str, Any], split: Split) -> Sentence:
    kinds = {"name": str, "gloss": str, "num_frames": Integral}
    if missing := [key for key in kinds if key not in entry]:
        raise UserError(f"{path}: sentence {entry.get('name', '?')!r} lacks {', '.join(missing)}")
    if wrong := [key for key, kind in kinds.items() if not isinstance(entry[key], kind)]:
        raise UserError(f"{path}: sentence {entry['name']!r}: {wrong[0]} is {entry[wrong[0]]!r}")
    text = entry.get("text")
    return Sentence(
        entry["name"],
        entry["gloss"],
        split,
        entry["name"],
        int(entry["num_frames"]),
        text=text if isinstance(text, str) else None,
    )
