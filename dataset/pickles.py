"""Read the pickles that data sets are published in, without running what they may contain.

A pickle can name any function to call while loading. The unpickler here admits plain containers, strings,
numbers, bytes and numpy arrays (under the module names of numpy 1 and 2) and refuses everything else.
"""

import gzip
import io
import pickle
from pathlib import Path
from typing import Any

from utils.errors import UserError

_NUMPY_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_ADMITTED = {
    ("collections", "OrderedDict"),
    *((module, name) for module in ("builtins", "__builtin__") for name in ("set", "frozenset")),
    ("_codecs", "encode"),  # how protocol 2 stores bytes
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((module, name) for module in _NUMPY_ARRAY_MODULES for name in ("_reconstruct", "scalar")),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
}


# A gzip may unpack to so many bytes, or to so many times its own size; data is never smaller by more.
UNPACKED_BYTES, UNPACKED_TIMES = 2**26, 50


class _DataUnpickler(pickle._Unpickler):  # not the one in C, which takes any memory that a few bytes ask for
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not plain data")
        if module.startswith("numpy.core"):
            module = module.replace("numpy.core", "numpy._core")
        return super().find_class(module, name)


def _unpacked(content: bytes) -> bytes:
    most = max(UNPACKED_BYTES, UNPACKED_TIMES * len(content))
    with gzip.open(io.BytesIO(content)) as file:
        unpacked = file.read(most + 1)
    if len(unpacked) > most:
        raise ValueError(f"it unpacks to more than {most / 2**20:.0f} MiB, which no data does")
    return unpacked


def load_data_pickle(path: Path) -> Any:
    """The object in a pickle file, gzipped or not.

    Raises:
        UserError: the file is missing, is no pickle, or asks for anything but plain data and numpy arrays.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    content = path.read_bytes()
    try:
        if content[:2] == b"\x1f\x8b":
            content = _unpacked(content)
        return _DataUnpickler(io.BytesIO(content)).load()
    except Exception as error:  # a damaged pickle can raise almost anything
        raise UserError(f"{path}: refused to load this pickle: {error}") from error
