"""Vectors of glosses from the vectors of words: fastText models (.bin) and text tables (GloVe, .vec)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from dataset.glosses.words import pieces, spellings, words_of_gloss
from utils.errors import UserError


class WordVectors(Protocol):
    """Vectors by word, float32 [dimension]."""

    dimension: int
    source: str

    def known(self, word: str) -> np.ndarray | None:
        """The vector of a word in the vocabulary, as spelled."""
        ...

    def guessed(self, word: str) -> np.ndarray | None:
        """A vector for any other word, from its subwords; None if there is no such thing, or none fits."""
        ...


class FastTextModel:
    """A fastText .bin model, such as crawl-300d-2M-subword.bin; it is read whole into memory.

    Raises:
        UserError: the file is missing or no fastText model.
    """

    def __init__(self, path: Path):
        import fasttext

        if not path.is_file():
            raise UserError(f"{path}: no such file")
        try:
            self._model = fasttext.load_model(str(path))
        except (ValueError, MemoryError) as error:
            raise UserError(f"{path}: not a fastText model (.bin): {error}") from None
        self.dimension, self.source = self._model.get_dimension(), f"fastText {path.name}"

    def known(self, word: str) -> np.ndarray | None:
        return self._model.get_word_vector(word) if self._model.get_word_id(word) >= 0 else None

    def guessed(self, word: str) -> np.ndarray | None:
        vector = self._model.get_word_vector(word)
        return vector if vector.any() else None  # a word shorter than all subwords has none


class TextTable:
    """A table in text form, a word and its numbers in each line (GloVe, fastText .vec); only `words` are kept.

    Raises:
        UserError: the file is missing, or a line is not a word and as many numbers as the first.
    """

    def __init__(self, path: Path, words: Iterable[str]):
        wanted = set(words)
        self._vectors: dict[str, np.ndarray] = {}
        self.dimension, self.source = 0, path.name
        number = 0
        try:
            with path.open(encoding="utf-8") as file:
                for number, line in enumerate(file, start=1):
                    word, *cells = line.rstrip().split(" ")
                    if number == 1 and len(cells) == 1:  # .vec begins with the size of the table
                        continue
                    self.dimension = self.dimension or len(cells)
                    if len(cells) != self.dimension:
                        raise UserError(
                            f"{path}, line {number}: expected a word and {self.dimension} numbers"
                        )
                    if word in wanted and word not in self._vectors:
                        self._vectors[word] = np.array(cells, dtype=np.float32)
        except OSError:
            raise UserError(f"{path}: no such file") from None
        except ValueError as error:  # numbers, or UTF-8
            raise UserError(
                f"{path}, near line {max(1, number)}: not a word and its numbers: {error}"
            ) from None
        if not self.dimension:
            raise UserError(f"{path}: an empty table")

    def known(self, word: str) -> np.ndarray | None:
        return self._vectors.get(word)

    def guessed(self, word: str) -> np.ndarray | None:
        return None


@dataclass(frozen=True)
class GlossVector:
    """The vector of a gloss: the mean of its words'.

    guessed: words that the table does not know, whose vector comes from their subwords. unknown: words without any
    vector, left out of the mean. vector: None if no word has one.
    """

    gloss: str
    words: list[str]
    guessed: list[str]
    unknown: list[str]
    vector: np.ndarray | None

    @property
    def is_doubtful(self) -> bool:
        """Whether nothing about the vector comes from a word that the table knows."""
        return self.vector is None or len(self.guessed) + len(self.unknown) == len(self.words)


def gloss_vector(gloss: str, table: WordVectors) -> GlossVector:
    """The vector of a gloss (specification section 2: of several words, the mean of their vectors)."""
    words = words_of_gloss(gloss)
    guessed, unknown, vectors = [], [], []
    for word in words:
        vector = _known(word, table)
        if vector is None:
            parts = [_known(piece, table) for piece in pieces(word)]
            known = [part for part in parts if part is not None]
            if known and len(known) == len(parts):
                vector = np.stack(known).mean(axis=0)
        if vector is None and (vector := table.guessed(word.lower())) is not None:
            guessed.append(word)
        if vector is None:
            unknown.append(word)
        else:
            vectors.append(vector)
    mean = np.stack(vectors).mean(axis=0) if vectors else np.zeros(1)
    return GlossVector(gloss, words, guessed, unknown, mean if mean.any() else None)


def table_words(glosses: Iterable[str]) -> set[str]:
    """Every spelling of every word that `gloss_vector` may look up for these glosses."""
    words = {word for gloss in glosses for word in words_of_gloss(gloss)}
    words |= {piece for word in words for piece in pieces(word)}
    return {spelling for word in words for spelling in spellings(word)}


def similar_pairs(vectors: list[GlossVector], most: int) -> list[tuple[float, str, str]]:
    """The pairs of glosses whose vectors have the highest cosine, highest first: (cosine, gloss, gloss)."""
    there = [v for v in vectors if v.vector is not None]
    matrix = np.array([v.vector for v in there], dtype=np.float64).reshape(len(there), -1)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    cosines = np.triu(matrix @ matrix.T, k=1)
    rows, columns = np.triu_indices(len(there), k=1)
    order = np.argsort(-cosines[rows, columns], kind="stable")[:most]
    return [
        (float(cosines[i, j]), there[i].gloss, there[j].gloss)
        for i, j in zip(rows[order], columns[order], strict=True)
    ]


def _known(word: str, table: WordVectors) -> np.ndarray | None:
    return next((v for spelling in spellings(word) if (v := table.known(spelling)) is not None), None)
