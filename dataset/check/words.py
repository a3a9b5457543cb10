"""The word vectors of all glosses."""

from pathlib import Path

from dataset.check.findings import Finding
from dataset.glosses.embeddings import MISSING, read_embeddings, vector_faults
from utils.errors import UserError


def check_words(path: Path, vocabulary: list[str]) -> list[Finding]:
    """Which glosses have no vector, or none that a similarity could be computed from."""
    try:
        table = read_embeddings(path)
    except UserError as error:
        return [Finding("word vectors that cannot be read", path.name, str(error), "fatal")]
    faults = vector_faults(table, vocabulary)
    findings = []
    seen: dict[bytes, str] = {}
    for gloss in vocabulary:
        fault = faults.get(gloss)
        if fault == MISSING:
            findings.append(Finding("gloss without word vector", gloss, f"not in {path.name}", "fatal"))
        elif fault is not None:
            findings.append(Finding("word vector without a direction", gloss, fault, "fatal"))
        elif (same := seen.setdefault(table[gloss].tobytes(), gloss)) != gloss:
            findings.append(Finding("glosses with the same word vector", gloss, f"as {same!r}"))
    return findings
