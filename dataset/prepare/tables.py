"""Tables of the owners of data sets: UTF-8 text, cells separated by |, the first line names the columns."""

import csv
from pathlib import Path

from utils.errors import UserError


def find_table(folder: Path, usual: str, name: str) -> Path:
    """A file of annotations: in `folder`, in `usual` within it, or in that within one more folder.

    Raises:
        UserError: it is in none of them.
    """
    places = [folder, folder / usual, *sorted(folder.glob(f"*/{usual}"))]
    for place in places:
        if (place / name).is_file():
            return place / name
    raise UserError(f"{folder}: no {name} in it, nor in {usual} within it")


def read_bars(path: Path, columns: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    """The rows of a table, each with where it stands.

    Raises:
        UserError: a column is missing, a row has other cells than the first line says, or there is no row.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a UTF-8 table: {error}") from None
    header = [cell.strip() for cell in rows[0]] if rows else []
    if missing := [column for column in columns if column not in header]:
        raise UserError(
            f"{path}: needs the columns {'|'.join(columns)}; missing: {', '.join(missing)}; found: {'|'.join(header)!r}"
        )
    found = []
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise UserError(
                f"{path}, line {line}: expected {len(header)} cells separated by |, found {len(row)}"
            )
        found.append((f"{path}, line {line}", dict(zip(header, (cell.strip() for cell in row), strict=True))))
    if not found:
        raise UserError(f"{path}: has no rows")
    return found
