"""The word vectors of all glosses."""

from pathlib import Path

import numpy as np

from dataset.check.findings import Finding
from dataset.glosses import read_embeddings
from utils.errors import UserError


def check_words(path: Path, vocabulary: list[str]) -> list[Finding]:
    """Which glosses have no vector, or none that a similarity could be computed from."""
    try:
        table = read_embeddings(path)
    except UserError as error:
        return [Finding("word vectors that cannot be read", path.name, str(error), "fatal")]
    findings = []
    seen: dict[bytes, str] = {}
    for gloss in vocabulary:
        if gloss not in table:
            findings.append(Finding("gloss without word vector", gloss, f"not in {path.name}", "fatal"))
            continue
        vector = table[gloss]
        if not np.isfinite(vector).all() or not vector.any():
            what = "all zero" if np.isfinite(vector).all() else "not finite"
            findings.append(Finding("word vector without a direction", gloss, what, "fatal"))
        elif (same := seen.setdefault(vector.tobytes(), gloss)) != gloss:
            findings.append(Finding("glosses with the same word vector", gloss, f"as {same!r}"))
    return findings
