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


def read_embeddings(path: Path) -> dict[str, np.ndarray]:
    """Gloss -> float32 [dimension].

    Raises:
        UserError: the file is missing, unreadable, empty, or its vectors differ in length.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
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
    missing = [gloss for gloss in vocabulary if gloss not in table]
    if missing:
        shown = ", ".join(repr(gloss) for gloss in missing[:5])
        raise UserError(f"{path}: no word vector for {len(missing)} of {len(vocabulary)} glosses: {shown}")
    matrix = np.stack([table[gloss] for gloss in vocabulary])
    if not np.isfinite(matrix).all():
        raise UserError(
            f"{path}: the word vector of {vocabulary[np.argwhere(~np.isfinite(matrix))[0, 0]]!r} is not finite"
        )
    zero = np.flatnonzero(~matrix.any(axis=1))
    if zero.size:
        raise UserError(f"{path}: the word vector of {vocabulary[zero[0]]!r} is all zero")
    return matrix


def write_embeddings(path: Path, table: dict[str, np.ndarray], source: str) -> None:
    """Write our format: one float32 vector a gloss; `source` says where the vectors come from."""
    arrays = {gloss: np.ascontiguousarray(table[gloss], dtype=np.float32) for gloss in sorted(table)}
    with replacing(path) as partial:
        save_file(arrays, str(partial), metadata={"source": source})
        partial.chmod(0o644)
