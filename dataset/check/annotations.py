"""Clips, glosses and signers, without looking into any file."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from dataset.annotations import SPLITS, Annotations, Clip, Split
from dataset.check.findings import Finding


def describe(annotations: Annotations[Clip]) -> list[str]:
    """How many clips, glosses and signers there are, and how the training clips spread over the glosses."""
    trained = Counter(clip.gloss for clip in annotations.clips if clip.split == "train")
    counts = [trained[gloss] for gloss in annotations.vocabulary]
    return [
        f"{len(annotations.clips)} clips ({describe_splits(annotations.clips)}), {len(counts)} glosses",
        f"training clips a gloss: {min(counts)} to {max(counts)}, median {np.median(counts):g}",
    ]


def describe_splits(clips: Sequence[Clip]) -> str:
    """Clips and signers of every split."""
    counts = Counter(clip.split for clip in clips)
    signers = {split: {c.signer for c in clips if c.split == split and c.signer} for split in SPLITS}
    return ", ".join(
        f"{split} {counts[split]}" + (f" of {len(signers[split])} signers" if signers[split] else "")
        for split in SPLITS
    )


def check_annotations(annotations: Annotations[Clip], validation_split: Split | None) -> list[Finding]:
    """What is odd about splits, glosses and signers."""
    clips = annotations.clips
    findings = check_splits(clips, validation_split)
    glosses: dict[str, dict[str, list[Clip]]] = {gloss: defaultdict(list) for gloss in annotations.vocabulary}
    for clip in clips:
        glosses[clip.gloss][clip.split].append(clip)
    if unseen := [gloss for gloss, by_split in glosses.items() if not by_split]:
        findings.append(
            Finding("glosses without any clip", f"{len(unseen)} of {len(glosses)}", ", ".join(unseen[:10]))
        )
    for gloss, by_split in glosses.items():
        others = len(by_split["dev"]) + len(by_split["test"])
        if others and not by_split["train"]:
            findings.append(Finding("gloss without training clips", gloss, f"{others} clips in dev and test"))
        elif len(by_split["train"]) == 1:
            findings.append(Finding("gloss with a single training clip", gloss, by_split["train"][0].name))
    for clip in annotations.left_out:
        findings.append(
            Finding("gloss outside the vocabulary", clip.name, f"{clip.gloss!r}: the clip is left out")
        )
    findings += check_spelling([*annotations.vocabulary, *{clip.gloss for clip in annotations.left_out}])
    return findings + check_signers(clips)


def check_splits(clips: Sequence[Clip], validation_split: Split | None) -> list[Finding]:
    """Splits that a run wants and that have no clips."""
    findings = []
    there = {clip.split for clip in clips}
    needed = {"train", validation_split} - {None}
    for split in SPLITS:
        if split not in there and split in needed:
            what = "nothing to train on"
            if split != "train":
                what = "evaluation.validation_split names it; name another, or null for none"
            findings.append(Finding("split without clips", split, what, "fatal"))
        elif split not in there and split == "test":
            findings.append(Finding("split without clips", split, "nothing to evaluate on"))
    return findings


def check_spelling(glosses: Iterable[str]) -> list[Finding]:
    """Glosses that are one and the same but for capitals and spaces."""
    written: dict[str, list[str]] = defaultdict(list)
    for gloss in glosses:
        written[" ".join(gloss.casefold().replace("_", " ").split())].append(gloss)
    detail = "differ in capitals and spaces only: "
    return [
        Finding("glosses that are written alike", alike[0], detail + ", ".join(map(repr, sorted(alike))))
        for alike in written.values()
        if len(alike) > 1
    ]


def check_signers(clips: Sequence[Clip]) -> list[Finding]:
    """Signers who train and are evaluated."""
    findings = []
    counts = {split: Counter(c.signer for c in clips if c.split == split and c.signer) for split in SPLITS}
    for split in ("dev", "test"):
        for signer, count in sorted(counts[split].items()):
            if signer in counts["train"]:
                detail = f"{count} {split} and {counts['train'][signer]} training clips"
                findings.append(Finding(f"{split} signer in training", str(signer), detail))
    return findings


def check_repeats(digests: Iterable[tuple[Clip, str]]) -> list[Finding]:
    """Clips that are the same frames of the same video, but under two glosses or in two splits.

    `digests` tells whether two clips lie in the same video.
    """
    by_video: dict[str, list[Clip]] = defaultdict(list)
    for clip, digest in digests:
        by_video[digest].append(clip)
    findings = []
    for clips in by_video.values():
        for number, clip in enumerate(clips):
            for other in clips[:number]:
                if not _overlap(clip, other):
                    continue
                if clip.gloss != other.gloss:
                    detail = f"{clip.gloss!r}; the same video shows {other.gloss!r} as {other.name}"
                    findings.append(Finding("same video under two glosses", clip.name, detail))
                if clip.split != other.split:
                    detail = f"in {clip.split}; the same video is in {other.split} as {other.name}"
                    findings.append(Finding("same video in two splits", clip.name, detail))
    return findings


def _overlap(one: Clip, other: Clip) -> bool:
    ends = [clip.end_frame if clip.end_frame is not None else np.inf for clip in (one, other)]
    return max(one.start_frame or 0, other.start_frame or 0) < min(ends)
