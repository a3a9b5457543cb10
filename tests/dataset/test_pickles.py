"""Published pickles load; pickles that would run code do not."""

import builtins
import collections
import gzip
import os
import pickle
import resource
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.pickles import load_data_pickle
from utils.errors import UserError


class Hostile:
    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "data.pkl"
    path.write_bytes(content)
    return path


PLAIN = {
    "a": [1, 2.5, None, True, "é", b"\xff", (1, 2)],
    "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "scalar": np.float64(0.1),
    "integer": np.int64(7),
    "ordered": collections.OrderedDict(x=1),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("zipped", [False, True])
def test_plain_data_and_arrays_load(tmp_path: Path, protocol: int, zipped: bool) -> None:
    content = pickle.dumps(PLAIN, protocol=protocol)
    found = load_data_pickle(saved(tmp_path, gzip.compress(content) if zipped else content))
    assert found.keys() == PLAIN.keys()
    for key, value in PLAIN.items():
        if isinstance(value, np.ndarray):
            assert found[key].dtype == value.dtype and np.array_equal(found[key], value)
        else:
            assert found[key] == value and type(found[key]) is type(value)


@pytest.mark.parametrize("protocol", [2, 4])
def test_sets_load(tmp_path: Path, protocol: int) -> None:
    assert load_data_pickle(saved(tmp_path, pickle.dumps({"a": {3}}, protocol=protocol))) == {"a": {3}}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_arrays_of_numpy_1_load(tmp_path: Path, protocol: int) -> None:
    """numpy 2 moved `numpy.core` to `numpy._core`; the published files were written with numpy 1."""
    content = pickle.dumps({"x": np.arange(3.0), "y": np.float32(2)}, protocol=protocol)
    if protocol >= 4:  # module names carry their length
        content = content.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
        content = content.replace(b"\x8c\x13numpy._core.numeric", b"\x8c\x12numpy.core.numeric")
        # The frame's length is now wrong; write it anew by dropping the frame, which is optional.
        start = content.index(b"\x95")
        content = content[:start] + content[start + 9 :]
    else:
        content = content.replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core" in content and b"numpy._core" not in content
    found = load_data_pickle(saved(tmp_path, content))
    assert found["x"].tolist() == [0, 1, 2] and found["y"] == 2


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "make",
    [
        lambda mark: Hostile(os.system, f"touch {mark}"),
        lambda mark: Hostile(builtins.eval, f"open({str(mark)!r}, 'w')"),
        lambda mark: Hostile(builtins.exec, f"open({str(mark)!r}, 'w')"),
        lambda mark: Hostile(builtins.getattr, "x", "upper"),
        lambda mark: Hostile(subprocess.Popen, ["touch", str(mark)]),
        lambda mark: Hostile(np.load, str(mark)),
        lambda mark: Hostile(np.fromfile, str(mark)),
        lambda mark: [{"name": "a", "video_file": Hostile(os.system, f"touch {mark}")}],
    ],
)
def test_hostile_pickles_are_refused_in_one_line(
    tmp_path: Path, make: Any, protocol: int, zipped: bool
) -> None:
    mark = tmp_path / "executed"
    content = pickle.dumps(make(mark), protocol=protocol)
    path = saved(tmp_path, gzip.compress(content) if zipped else content)
    with pytest.raises(UserError) as error:
        load_data_pickle(path)
    assert not mark.exists()
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_object_arrays_do_not_smuggle_calls(tmp_path: Path) -> None:
    array = np.empty(1, dtype=object)
    array[0] = Hostile(os.system, f"touch {tmp_path / 'executed'}")
    with pytest.raises(UserError):
        load_data_pickle(saved(tmp_path, pickle.dumps(array)))
    assert not (tmp_path / "executed").exists()


def test_attributes_of_admitted_modules_are_refused(tmp_path: Path) -> None:
    """Protocol 4 resolves dotted names: `numpy.ndarray.tofile` must not pass as `numpy.ndarray`."""
    content = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
    with pytest.raises(UserError, match=r"numpy\.ndarray\.tofile"):
        load_data_pickle(saved(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [b"", b"not a pickle", pickle.dumps(PLAIN)[:50], gzip.compress(b"x" * 100)[:20], b"\x1f\x8bjunk"],
    # Not named by the content: gzip writes the time into it, and parallel test processes must agree on the names.
    ids=["empty", "text", "cut", "cut gzip", "broken gzip"],
)
def test_damaged_pickles_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(UserError) as error:
        load_data_pickle(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(bytes(2**27)),
        b"\x80\x04]r\xff\xff\xff\x7f.",  # a list, to be noted at place 2**31 - 1
        b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"abc.",  # a string of 2**40 bytes
    ],
    ids=["gzip", "memo", "length"],
)
def test_bombs_take_no_memory(tmp_path: Path, content: bytes) -> None:
    path = saved(tmp_path, content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(UserError):  # the second one is a list like any other
        assert load_data_pickle(path) == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB


def test_missing_pickle(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_data_pickle(tmp_path / "nothing.pkl")
