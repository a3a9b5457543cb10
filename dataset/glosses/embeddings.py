"""Word embeddings of glosses: the language that the method leans on.

A table maps each gloss to one vector: the published pickle (float [300], fastText crawl-300d-2M-subword) or our
own safetensors file. Any dimension works.
"""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from dataset.pickles import load_data_pickle
from utils.errors import UserError
from utils.files import replacing

MISSING = "missing"


def read_embeddings(path: Path) -> dict[str, np.ndarray]:
    """Gloss -> float32 [dimension].

    Raises:
        UserError: the file is missing, unreadable, empty, or its vectors differ in length.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; python -m dataset.glosses makes it")
    if path.suffix == ".safetensors":
        try:
            table = load_file(str(path))
        except SafetensorError as error:
            raise UserError(f"{path}: not a safetensors file: {error}") from error
    else:
        table = load_data_pickle(path)
    if not isinstance(table, dict) or not table:
        raise UserError(f"{path}: expected a non-empty table of gloss -> vector")
    try:
        table = {gloss: np.asarray(vector, dtype=np.float32).reshape(-1) for gloss, vector in table.items()}
    except (TypeError, ValueError):
        raise UserError(f"{path}: expected numbers in every word vector") from None
    if len({vector.shape for vector in table.values()}) > 1:
        raise UserError(f"{path}: the word vectors are not all of one length")
    return table


def embedding_matrix(path: Path, vocabulary: list[str]) -> np.ndarray:
    """float32 [glosses, dimension], rows in vocabulary order.

    Raises:
        UserError: a gloss has no vector, or one that is all zero or not finite (its similarities would be undefined).
    """
    table = read_embeddings(path)
    faults = vector_faults(table, vocabulary)
    missing = [gloss for gloss, fault in faults.items() if fault == MISSING]
    if missing:
        shown = ", ".join(repr(gloss) for gloss in missing[:5])
        raise UserError(f"{path}: no word vector for {len(missing)} of {len(vocabulary)} glosses: {shown}")
    for gloss, fault in faults.items():
        raise UserError(f"{path}: the word vector of {gloss!r} is {fault}")
    return np.stack([table[gloss] for gloss in vocabulary])


def vector_faults(table: dict[str, np.ndarray], vocabulary: list[str]) -> dict[str, str]:
    """The glosses without a vector that a similarity could be computed from, and why."""
    faults = {}
    for gloss in vocabulary:
        if gloss not in table:
            faults[gloss] = MISSING
        elif not np.isfinite(table[gloss]).all():
            faults[gloss] = "not finite"
        elif not table[gloss].any():
            faults[gloss] = "all zero"
    return faults


def write_embeddings(path: Path, table: dict[str, np.ndarray], source: str) -> None:
    """Write our format: one float32 vector a gloss; `source` says where the vectors come from."""
    arrays = {gloss: np.ascontiguousarray(table[gloss], dtype=np.float32) for gloss in sorted(table)}
    with replacing(path) as partial:
        save_file(arrays, str(partial), metadata={"source": source})
        partial.chmod(0o644)


class GlossSimilarity:
    """Cosine similarity of glosses, from embeddings float [glosses, dimension]."""

    def __init__(self, vocabulary: list[str], embeddings: np.ndarray):
        self._numbers = {gloss: i for i, gloss in enumerate(vocabulary)}
        self._unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)

    def __call__(self, first: str, second: str) -> float:
        return float(self._unit[self._numbers[first]] @ self._unit[self._numbers[second]])

    def nearest(self, gloss: str, count: int) -> list[tuple[str, float]]:
        """The glosses of nearest meaning, without the gloss itself."""
        similarities = self._unit @ self._unit[self._numbers[gloss]]
        glosses = list(self._numbers)
        order = [i for i in np.argsort(-similarities, kind="stable") if glosses[i] != gloss]
        return [(glosses[i], float(similarities[i])) for i in order[:count]]
