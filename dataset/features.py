"""Features of sentences, as a trained network computed them: stored once, read by whatever learns from them.

A store is a .safetensors file with one array for each sentence and stream, float32 [steps, channels], and the origin:
which weights computed them.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dataset.clip_parts import ClipParts
from utils.errors import UserError
from utils.files import replacing


class FeatureStore:
    """The features of a split, memory-mapped.

    Attributes:
        origin: of the weights that computed them. names: of the sentences.

    Raises:
        UserError: there is no such file, or it is none of these.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise UserError(f"{path}: no such file; python -m inference.features makes it")
        try:
            self._file = safe_open(str(path), framework="pt")
            metadata = json.loads((self._file.metadata() or {})["features"])
            self.origin, self._streams = str(metadata["origin"]), list(metadata["streams"])
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path}: not a store of features of this project: {error}") from error
        self.names = {key.rpartition("/")[0] for key in self._file.keys()}  # noqa: SIM118

    def __reduce__(self) -> tuple[type["FeatureStore"], tuple[Path]]:
        return FeatureStore, (self.path,)

    def read(self, name: str) -> dict[str, Tensor]:
        """{stream: float32 [steps, channels]} of a sentence.

        Raises:
            UserError: they are not finite.
        """
        features = {stream: self._file.get_tensor(f"{name}/{stream}") for stream in self._streams}
        if not all(x.isfinite().all() for x in features.values()):
            raise UserError(
                f"{self.path}: features of {name!r} are not finite; take the sentence out, or remove "
                "the file and make it again with python -m inference.features"
            )
        return features

    def refuse_other_origin(self, origin: str, source: str) -> None:
        """Raise a `UserError` if other weights than those of `source`, whose origin is given, computed them."""
        if self.origin != origin:
            raise UserError(
                f"{self.path}: features of the weights {self.origin}, but those of {source} are {origin}; remove the "
                "file and make it again with python -m inference.features"
            )


class FeatureParts(ClipParts):
    """A store in the making.

    Args:
        store: the file to make.
        origin, source: see `FeatureStore.refuse_other_origin`.

    Raises:
        UserError: what an earlier run left is of other weights.
    """

    def __init__(self, store: Path, origin: str, source: str):
        super().__init__(store)
        self._origin = origin
        for part in self.files()[:1]:
            FeatureStore(part).refuse_other_origin(origin, source)

    def keep(self, name: str, features: Mapping[str, Tensor]) -> None:
        """Keep the features of a sentence, {stream: float32 [steps, channels]}."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(self.part(name), {name: features})

    def merge(self) -> None:
        """Make all sentences that are done the store; needs the memory of all their features."""
        features: dict[str, Mapping[str, Tensor]] = {}
        for path in self.files():
            part = FeatureStore(path)
            features |= {name: part.read(name) for name in part.names}
        self._write(self.store, features)
        self.remove()

    def _write(self, path: Path, features: Mapping[str, Mapping[str, Tensor]]) -> None:
        arrays = {f"{name}/{stream}": x for name in sorted(features) for stream, x in features[name].items()}
        metadata = {"origin": self._origin, "streams": sorted({key.rpartition("/")[2] for key in arrays})}
        tensors = {key: x.to("cpu", torch.float32).contiguous() for key, x in arrays.items()}
        with replacing(path) as partial:
            save_file(tensors, str(partial), metadata={"features": json.dumps(metadata)})
            partial.chmod(0o644)
