"""Own recordings of single signs: a folder for each gloss, or a CSV file that lists them."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dataset.annotations import SPLITS, Split, part_cells, read_table, split_cell
from dataset.prepare.recordings import Note, Plan, Recording, SourceFiles
from utils.errors import UserError
from utils.seeding import generator

SHARE = 0.15  # of the clips for each of dev and test

Clips = list[tuple[str, str | None]]  # gloss and signer of each
Division = tuple[list[Split], list[Note]]  # splits of clips, and what could not be had


def plan_folder(files: SourceFiles, table: Path | None, seed: int) -> Plan:
    """The clips of a folder or zip of recordings.

    Args:
        files: `<gloss>/<video>`, or `<gloss>/<signer>/<video>`.
        table: CSV with the columns video,gloss and optionally signer,split,start_frame,end_frame, to go by instead.
        seed: of the division into splits, for recordings that have none.

    Raises:
        UserError: no recordings, or a table that does not say what it should.
    """
    entries = _from_folders(files) if table is None else table_entries(table, files, "gloss")
    recordings, notes = planned(entries, files, lambda clips: divide(clips, seed))
    vocabulary = sorted({r.gloss for r in recordings if r.split == "train"})
    return Plan("own recordings", recordings, vocabulary, notes)


def planned(
    entries: list[dict[str, Any]], files: SourceFiles, divide: Callable[[Clips], Division]
) -> tuple[list[Recording], list[Note]]:
    """Recordings with names and splits, and notes on what is odd; `divide`: into splits, where entries have none."""
    names = _names([entry["video"] for entry in entries])
    recordings = [
        Recording(
            name,
            entry["gloss"],
            entry.get("split") or "train",
            entry["file"],
            entry.get("signer"),
            start=entry.get("start_frame") or 0,
            end=entry.get("end_frame"),
            wanted=entry["video"],
            text=entry.get("text"),
        )
        for name, entry in zip(names, entries, strict=True)
    ]
    notes: list[Note] = []
    if missing := [entry["video"] for entry in entries if entry["file"] is None]:
        notes.append(Note(f"not in {files.path}", missing))
    if not any(entry.get("split") for entry in entries):
        splits, how = divide([(r.gloss, r.signer) for r in recordings])
        notes += how
        recordings = [replace(r, split=split) for r, split in zip(recordings, splits, strict=True)]
    if not any(r.split == "dev" for r in recordings):
        notes.append(Note("no clips for dev: train with evaluation.validation_split=test, or =null for none"))
    return recordings, notes


def divide(clips: Clips, seed: int) -> Division:
    """Whole signers, as `by_signer` divides them; where that cannot be, each gloss is divided."""
    rng = generator(seed, "splits")
    if (division := by_signer(clips, rng)) is not None:
        return division
    notes = [Note("divided within each gloss: the same signers may be in all splits")]
    counts = Counter(gloss for gloss, _ in clips)
    if alone := sorted(gloss for gloss, count in counts.items() if count == 1):
        notes.append(Note("glosses with a single clip, which trains and is never tested", alone))
    return within_glosses(clips, rng), notes


def by_signer(clips: Clips, rng: np.random.Generator) -> Division | None:
    """Whole signers go to test and, from three on, to dev until each has its share of the clips, as long as every gloss
    keeps a training clip. None where a clip has no signer, or nobody can be spared for test."""
    signers = sorted({signer for _, signer in clips if signer is not None})
    if all(signer is not None for _, signer in clips) and len(signers) > 1:
        order = [signers[i] for i in rng.permutation(len(signers))]
        chosen: dict[str, Split] = dict.fromkeys(signers, "train")
        _give_signers(clips, order, chosen, "test")
        if len(signers) > 2:
            _give_signers(clips, order, chosen, "dev")
        if "test" in chosen.values():
            notes = [
                Note(f"signers in {split}", [s for s in signers if chosen[s] == split])
                for split in SPLITS
                if split in chosen.values()
            ]
            return [chosen[signer] for _, signer in clips if signer is not None], notes
    return None


def within_glosses(clips: Clips, rng: np.random.Generator) -> list[Split]:
    """Of each gloss one test clip from two clips on, one dev clip from four on, more by share."""
    splits: list[Split] = ["train"] * len(clips)
    by_gloss: dict[str, list[int]] = defaultdict(list)
    for index, (gloss, _) in enumerate(clips):
        by_gloss[gloss].append(index)
    for _, indices in sorted(by_gloss.items()):
        order_ = rng.permutation(indices)
        count = len(indices)
        test = max(round(SHARE * count), 1) if count >= 2 else 0
        dev = max(round(SHARE * count), 1) if count >= 4 else 0
        for index in order_[:test]:
            splits[index] = "test"
        for index in order_[test : test + dev]:
            splits[index] = "dev"
    return splits


def _give_signers(clips: Clips, order: list[str], chosen: dict[str, Split], split: Split) -> None:
    """Move training signers to a split until it has its share of the clips."""
    have = 0
    for signer in order:
        if have >= SHARE * len(clips):
            return
        left = {gloss for gloss, other in clips if other != signer and chosen[other or ""] == "train"}
        if chosen[signer] == "train" and left == {gloss for gloss, _ in clips}:
            chosen[signer] = split
            have += sum(other == signer for _, other in clips)


def _from_folders(files: SourceFiles) -> list[dict[str, Any]]:
    if not files.videos:
        raise UserError(f"{files.path}: no videos in it; expected <gloss>/<video>")
    paths = [video.split("/") for video in files.videos]
    while len({path[0] for path in paths}) == 1 and min(map(len, paths)) > 2:
        paths = [path[1:] for path in paths]  # one folder around all, as zip programs make it
    entries = []
    for video, (*folders, _) in zip(files.videos, paths, strict=True):
        if not 1 <= len(folders) <= 2:
            where = "is in no gloss's folder" if not folders else f"is {len(folders)} folders deep"
            raise UserError(
                f"{files.path}: {video} {where}; expected <gloss>/<video> or <gloss>/<signer>/<video>, or give --csv"
            )
        gloss, *signer = (unicodedata.normalize("NFC", folder).strip() for folder in folders)
        entries.append(
            {"video": video, "file": video, "gloss": gloss, "signer": signer[0] if signer else None}
        )
    return entries


def table_entries(table: Path, files: SourceFiles, shown: str) -> list[dict[str, Any]]:
    """The rows of a table of recordings; `shown`: the column of what they show."""
    there = set(files.videos)
    entries = []
    for where, row in read_table(table, ("video", shown)):
        video = row["video"].replace("\\", "/").removeprefix("./")
        start, end = part_cells(where, row)
        gloss = " ".join(unicodedata.normalize("NFC", row[shown]).split())
        if not gloss:
            raise UserError(f"{where}: {shown} is empty")
        entries.append(
            {
                "video": video,
                "file": video if video in there else None,
                "gloss": gloss,
                "text": row.get("text") or None,
                "signer": row.get("signer") or None,
                "split": split_cell(where, row["split"]) if row.get("split") else None,
                "start_frame": start,
                "end_frame": end,
            }
        )
    if len({entry["split"] is None for entry in entries}) > 1:
        raise UserError(f"{table}: some rows have a split and others none; give all or none")
    return entries


def _names(videos: list[str]) -> list[str]:
    """A name for each clip: its path without suffix; those that would be one file on some system are numbered."""
    taken: Counter[str] = Counter()
    names = []
    for video in videos:
        folder, _, file = video.rpartition("/")
        whole = unicodedata.normalize("NFC", f"{folder}/{file.rpartition('.')[0] or file}")
        stem = "/".join(part.strip() for part in whole.split("/")).lstrip("/")
        name = stem
        while taken[name.casefold()]:
            taken[stem.casefold()] += 1
            name = f"{stem}_{taken[stem.casefold()]}"
        taken[name.casefold()] += 1
        names.append(name)
    return names
