"""NMFs-CSL: lists of glosses and clips as text, and a folder of numbered images (or a video) for each clip.

The set is handed out on request only; this follows its published description and was not tried on the files
themselves.
"""

import re
from pathlib import Path

from dataset.annotations import Split
from dataset.prepare.recordings import Plan, Recording, SourceFiles
from utils.errors import UserError

_LISTS: dict[Split, tuple[str, ...]] = {"train": ("train",), "dev": ("dev", "val"), "test": ("test",)}


def plan_nmfs(annotations: Path, files: SourceFiles) -> Plan:
    """The clips of the split lists.

    Args:
        annotations: folder with `gloss.csv` (rows: number, gloss) and `train.csv`, `test.csv` and if there is one
            `dev.csv` (rows: folder or video of the clip, number of its gloss); .txt too, separated by comma, tab or
            space. A header is skipped.

    Raises:
        UserError: a list is missing or has other columns.
    """
    path = _list(annotations, ("gloss", "classes"))
    if path is None:
        raise UserError(f"{annotations}: no gloss.csv or gloss.txt")
    glosses: dict[str, str] = {}
    for line, (number, gloss) in _rows(path, number_column=0):
        if number in glosses:
            raise UserError(f"{path}, line {line}: number {number} occurs twice")
        glosses[number] = gloss
    recordings = []
    for split, names in _LISTS.items():
        path = _list(annotations, names)
        if path is None:
            if split == "dev":
                continue
            raise UserError(f"{annotations}: no {split}.csv or {split}.txt")
        for line, (clip, number) in _rows(path, number_column=1):
            if number not in glosses:
                raise UserError(f"{path}, line {line}: there is no gloss of number {number}")
            name = clip.strip("/")
            file = files.find_images(name) or files.find(Path(name).stem)
            recordings.append(Recording(name, glosses[number], split, file, wanted=name))
    return Plan("NMFs-CSL", recordings, sorted({r.gloss for r in recordings if r.split == "train"}))


def _list(folder: Path, names: tuple[str, ...]) -> Path | None:
    paths = (folder / f"{name}{suffix}" for name in names for suffix in (".csv", ".txt"))
    return next((path for path in paths if path.is_file()), None)


def _rows(path: Path, number_column: int) -> list[tuple[int, tuple[str, str]]]:
    """Line numbers and both columns of a list. A first line without a number in its column is a header."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8") from None
    rows = []
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        cells = [cell.strip() for cell in re.split(r"[,\t]|\s+", text.strip(), maxsplit=1)]
        if number_column == 1:  # a folder may hold spaces, a number does not
            cells = [cell.strip() for cell in re.split(r"[,\t]|\s+(?=\S+$)", text.strip())]
        if len(cells) == 2 and cells[number_column].isdecimal():
            rows.append((line, (cells[0], cells[1])))
        elif line > 1:
            raise UserError(
                f"{path}, line {line}: expected two columns, the {'first' if not number_column else 'second'} a number"
            )
    return rows
