"""A file of many clips in the making: what is done survives whatever ends the program."""

import hashlib
import shutil
from pathlib import Path


class ClipParts:
    """Each clip that is done is at once a file of its own in `<store>.parts`, so that a run that is killed loses no
    more than the clips in flight.

    Args:
        store: the .safetensors file to make.
    """

    def __init__(self, store: Path):
        self.store, self.folder = store, store.with_name(store.name + ".parts")

    def __contains__(self, name: str) -> bool:
        """Whether a clip is done."""
        return self.part(name).is_file()

    def part(self, name: str) -> Path:
        """The file of a clip; clip names may hold what file names may not."""
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.safetensors"

    def files(self) -> list[Path]:
        """Of the clips that are done."""
        return sorted(self.folder.glob("*.safetensors"))

    def remove(self) -> None:
        """All of them, once they are in the store."""
        shutil.rmtree(self.folder, ignore_errors=True)
