"""A pruned mBART on disk, as `dataset.prune_mbart` makes it; see there. TEMPORARY STUB"""

from pathlib import Path

from torch import Tensor


def read_gloss_embeddings(folder: Path, vocabulary: list[str]) -> Tensor:
    """float32 [glosses + 2, width]: of the glosses, of `</s>`, and of the language that is signed."""
    raise NotImplementedError
