"""Whole-body keypoints of clips: where they are stored, and which of them the model reads.

Two stores are read: the published pickle (clip name -> float32 [frames, 133, 3]) and our own safetensors file
(the same arrays, plus the raw frame size of each clip and the estimator). Keypoints are in COCO-WholeBody
order; x and y in pixels of the raw frame, then the confidence.
"""

import json
import pickle
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dataset.pickles import load_data_pickle
from utils.errors import UserError
from utils.files import replacing

NUM_WHOLE_BODY = 133

# The groups of COCO-WholeBody points that a configuration can name (specification section 2).
PARTS: dict[str, list[int]] = {
    "pose": list(range(0, 11)),
    "face_others": list(range(23, 71)),
    "mouth": list(range(71, 91)),
    "hand": list(range(91, 133)),
}
_THINNING = {"_half": 2, "_1_3": 3}  # a suffix keeps every second or every third point
PART_NAMES = sorted([*PARTS, *(part + suffix for part in PARTS for suffix in _THINNING)])


def keypoint_indices(parts: list[str]) -> list[int]:
    """Indices into the 133 points, groups in alphabetical order of their names whatever order they come in.

    `parts` holds names of `PART_NAMES`, such as `hand`, `mouth_half`, `pose` (63 points, the published model).
    """
    indices: list[int] = []
    for name in sorted(parts):
        if name in PARTS:
            indices += PARTS[name]
            continue
        for suffix, step in _THINNING.items():
            if name.endswith(suffix) and name.removesuffix(suffix) in PARTS:
                indices += PARTS[name.removesuffix(suffix)][::step]
                break
        else:
            raise UserError(f"unknown keypoint part {name!r}; known: {', '.join(PART_NAMES)}")
    return indices


class KeypointStore(Protocol):
    """Keypoints by clip name."""

    path: Path

    def __contains__(self, name: str) -> bool: ...

    def read(self, name: str) -> np.ndarray:
        """float32 [frames, 133, 3]: x, y in pixels of the raw frame, confidence."""
        ...

    def length(self, name: str) -> int:
        """Frames that it has keypoints of."""
        ...

    def frame_size(self, name: str) -> tuple[int, int] | None:
        """(width, height) of the raw frame, or None where the store does not know it."""
        ...


def _checked(array: np.ndarray, path: Path, name: str) -> np.ndarray:
    if array.ndim != 3 or array.shape[1:] != (NUM_WHOLE_BODY, 3):
        raise UserError(
            f"{path}: keypoints of clip {name!r} are {list(array.shape)}, expected [frames, 133, 3]"
        )
    return np.asarray(array, dtype=np.float32)


class PickledKeypoints:
    """The published formats: one pickled dict, read whole; of sentences, each value is itself a dict."""

    def __init__(self, path: Path):
        self.path = path
        self._arrays = load_data_pickle(path)
        if not isinstance(self._arrays, dict):
            raise UserError(f"{path}: expected a dict of clip name -> keypoints")

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def read(self, name: str) -> np.ndarray:
        value = self._arrays[name]
        if isinstance(value, dict):
            if "keypoints" not in value:
                raise UserError(f"{self.path}: clip {name!r}: expected a dict with `keypoints`")
            value = value["keypoints"]
        return _checked(np.asarray(value), self.path, name)

    def length(self, name: str) -> int:
        return len(self.read(name))

    def frame_size(self, name: str) -> tuple[int, int] | None:
        return None


class ClipKeypoints:
    """The keypoints of a single clip, as an estimator has just found them.

    Args:
        name: of the clip.
        keypoints: float [frames, 133, 3].
        frame_size: (width, height) of its frames, None if unknown.
        path: of the video, for messages.
    """

    def __init__(self, name: str, keypoints: np.ndarray, frame_size: tuple[int, int] | None, path: Path):
        self.name, self.path = name, path
        self._keypoints, self._frame_size = _checked(keypoints, path, name), frame_size

    def __contains__(self, name: str) -> bool:
        return name == self.name

    def read(self, name: str) -> np.ndarray:
        return self._keypoints

    def length(self, name: str) -> int:
        return len(self._keypoints)

    def frame_size(self, name: str) -> tuple[int, int] | None:
        return self._frame_size


class SafetensorsKeypoints:
    """Our format: memory-mapped, one array a clip. Written by `write_keypoints`.

    estimator: name and version of what found the keypoints. problems: what was wrong with clips, by name.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise UserError(f"{path}: no such file; gen_pose.py finds keypoints")
        try:
            self._file = safe_open(str(path), framework="np")
            metadata = json.loads((self._file.metadata() or {})["keypoints"])
            self._sizes = metadata["frame_sizes"]
        except (SafetensorError, KeyError, ValueError) as error:
            raise UserError(f"{path}: not a keypoint store of this project: {error}") from error
        self.estimator = f"{metadata['estimator']} {metadata['estimator_version']}"
        self.problems: dict[str, str] = metadata.get("problems", {})
        self.names = frozenset(self._file.keys())

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str) -> np.ndarray:
        return _checked(self._file.get_tensor(name), self.path, name)

    def length(self, name: str) -> int:
        return self._file.get_slice(name).get_shape()[0]

    def frame_size(self, name: str) -> tuple[int, int]:
        width, height = self._sizes[name]
        return width, height


def open_keypoints(path: Path) -> KeypointStore:
    """The store at `path`, its format chosen by the suffix (.safetensors, or .pkl / .pickle / .gz).

    Raises:
        UserError: there is no such file, or it is none of these.
    """
    if path.suffix == ".safetensors":
        return SafetensorsKeypoints(path)
    if path.is_file() and path.suffix not in (".pkl", ".pickle", ".gz"):
        raise UserError(f"{path}: not a keypoint file; expected .safetensors, .pkl, .pickle or .gz")
    return PickledKeypoints(path)


def write_keypoints(
    path: Path,
    keypoints: dict[str, np.ndarray],
    frame_sizes: dict[str, tuple[int, int]],
    estimator: str,
    estimator_version: str,
    problems: dict[str, str] | None = None,
) -> None:
    """Write our store.

    Args:
        keypoints: float [frames, 133, 3] a clip.
        frame_sizes: (width, height) of each clip's raw frames.
        estimator, estimator_version: what found them.
        problems: what was wrong with a clip, for those that have something.
    """
    metadata: dict[str, Any] = {
        "estimator": estimator,
        "estimator_version": estimator_version,
        "frame_sizes": {name: list(frame_sizes[name]) for name in sorted(keypoints)},
    }
    if problems:
        metadata["problems"] = {name: problems[name] for name in sorted(problems)}
    arrays = {name: np.ascontiguousarray(_checked(keypoints[name], path, name)) for name in sorted(keypoints)}
    with replacing(path) as partial:
        # One entry: safetensors writes several in an order that changes from process to process.
        save_file(arrays, str(partial), metadata={"keypoints": json.dumps(metadata)})
        partial.chmod(0o644)


def write_published_keypoints(path: Path, store: SafetensorsKeypoints, picture: tuple[int, int]) -> None:
    """Write a store in the published format, in pixels of frames of the height and width that this format implies."""
    arrays = {}
    for name in sorted(store.names):
        width, height = store.frame_size(name)
        scale = np.array([picture[1] / width, picture[0] / height, 1.0])
        arrays[name] = (store.read(name) * scale).astype(np.float32)
    content = pickle.dumps(arrays, protocol=3)
    # numpy 1, which the published code runs on, knows arrays under their old module name only.
    content = content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1)
    with replacing(path) as partial:
        partial.write_bytes(content)
