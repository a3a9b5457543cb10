"""Damaged videos are decoded exactly, or reported: without a crash, a hang, or a word too few."""

import multiprocessing
import os
import random
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dataset.config import Picture
from dataset.video import FileSource, count_frames, decode_video
from tests.faults.conftest import Report, many
from utils.errors import UserError

SECONDS = 10  # a clip may take
PICTURE = Picture(96, 96)
KINDS = ("bit flips", "truncated", "zeros", "swapped", "empty")


@pytest.fixture
def videos(signs: Path) -> list[bytes]:
    """Rendered ones, or those in the folder that VIDEOS names, and in the zips there."""
    folder = Path(os.environ.get("VIDEOS", signs))
    found = [path.read_bytes() for path in sorted(folder.rglob("*.mp4"))]
    for path in sorted(folder.rglob("*.zip")):
        source = FileSource(path)
        found += [source.read(name) for name in source.names() if name.endswith(".mp4")]
    usable = [content for content in found if count_frames(content)]
    assert usable
    return usable


def damaged(content: bytes, other: bytes, kind: str, draw: random.Random) -> bytes:
    changed = bytearray(content)
    place = draw.randrange(len(content))
    if kind == "bit flips":
        for _ in range(draw.randint(1, 8)):
            changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif kind == "zeros":
        end = min(len(content), place + draw.randint(16, 4096))
        changed[place:end] = bytes(end - place)
    elif kind == "swapped":  # the beginning of one file and the end of another one
        changed[place:] = other[min(place, len(other) // 2) :]
    else:
        del changed[place if kind == "truncated" else 0 :]
    return bytes(changed)


def outcome(original: bytes, content: bytes) -> tuple[str, float]:
    """What came of a clip, and by how many grey levels it differs on average if nobody says so."""
    indices = np.arange(count_frames(original))
    expected, found = (decode_video(x, indices, PICTURE) for x in (original, content))
    assert found.frames.shape == expected.frames.shape
    if found.problem is not None:
        return "reported", 0.0
    if np.array_equal(found.frames, expected.frames) and expected.problem is None:
        return "exact", 0.0
    difference = np.abs(found.frames.astype(float) - expected.frames)
    return "unnoticed", float(difference.mean(axis=(1, 2, 3)).max())


def test_damaged_clips_are_exact_or_reported(
    videos: list[bytes], draw: random.Random, report: Report
) -> None:
    found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    worst = 0.0
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for number in range(many(20, 300)):
            kind = KINDS[number % len(KINDS)]
            content, other = draw.choice(videos), draw.choice(videos)
            attempt = pool.apply_async(outcome, (content, damaged(content, other, kind, draw)))
            what, difference = attempt.get(SECONDS)  # raises where it hangs or crashes
            found[kind][what] += 1
            worst = max(worst, difference)
    assert all(found[kind]["unnoticed"] == 0 for kind in ("truncated", "empty"))
    counts = "; ".join(
        f"{kind}: {', '.join(f'{n} {what}' for what, n in found[kind].most_common())}" for kind in KINDS
    )
    report(
        f"{many(20, 300)} damaged clips, as files in a folder",
        f"no crash, none took {SECONDS} s. {counts}. What went unnoticed, for mp4 has no checksums, differs in its "
        f"worst frame by {worst:.2f} grey levels on average",
    )


def test_damage_within_a_zip_is_always_noticed(
    videos: list[bytes], draw: random.Random, tmp_path: Path, report: Report
) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(many(20, 300)):
        content = draw.choice(videos)
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("clip.mp4", content)
        raw = path.read_bytes()
        start = raw.index(content)
        kind = draw.choice(["bit flips", "zeros"])
        path.write_bytes(raw[:start] + damaged(content, content, kind, draw) + raw[start + len(content) :])
        try:
            outcomes["exact" if FileSource(path).read("clip.mp4") == content else "unnoticed"] += 1
        except UserError as error:
            assert str(error).startswith(f"{path}: clip.mp4 cannot be read: ") and "\n" not in str(error)
            outcomes["reported"] += 1
        path.unlink()
    assert outcomes["unnoticed"] == 0
    report(
        f"{sum(outcomes.values())} clips damaged by bit flips and zeros within a zip",
        f"{outcomes['reported']} reported by the zip's checksum, {outcomes['exact']} were zeros before, none unnoticed",
    )
