"""Tables of word vectors, and the matrix in class order."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from dataset.glosses.embeddings import embedding_matrix, read_embeddings, write_embeddings
from utils.errors import UserError

TABLE = {"cold": np.array([1.0, 2.0, 3.0]), "東": np.array([0.0, -1.0, 0.5]), "zero": np.zeros(3)}


@pytest.fixture(params=[".safetensors", ".pkl"])
def table_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"words{request.param}"
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps({**TABLE, "cold": [1.0, 2.0, 3.0]}))
    else:
        write_embeddings(path, TABLE, "made up")
    return path


def test_both_formats_give_the_same_table(table_file: Path) -> None:
    found = read_embeddings(table_file)
    assert found.keys() == TABLE.keys()
    for gloss, vector in TABLE.items():
        assert found[gloss].dtype == np.float32 and np.array_equal(found[gloss], vector.astype(np.float32))


def test_matrix_follows_the_vocabulary(table_file: Path) -> None:
    matrix = embedding_matrix(table_file, ["東", "cold"])
    assert matrix.tolist() == [[0, -1, 0.5], [1, 2, 3]]


def test_gloss_without_vector_is_named(table_file: Path) -> None:
    with pytest.raises(UserError, match=r"no word vector for 2 of 3 glosses: 'sun', 'moon'"):
        embedding_matrix(table_file, ["sun", "cold", "moon"])


def test_zero_vector_is_refused(table_file: Path) -> None:
    with pytest.raises(UserError, match="'zero' is all zero"):
        embedding_matrix(table_file, ["cold", "zero"])


@pytest.mark.parametrize(
    "content", [{}, [1, 2], {"a": [1.0, 2.0], "b": [1.0]}, {"a": "word"}, {"a": [1.0, np.nan]}]
)
def test_malformed_tables_are_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "words.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"words\.pkl"):
        embedding_matrix(path, ["a"])


def test_missing_and_damaged_tables(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_embeddings(tmp_path / "words.pkl")
    (tmp_path / "words.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="not a safetensors file"):
        read_embeddings(tmp_path / "words.safetensors")
