"""Clips, glosses and signers, without looking into any file."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np

from dataset.annotations import SPLITS, Annotations, Clip, Split
from dataset.check.findings import Finding


def describe(annotations: Annotations) -> list[str]:
    """How many clips, glosses and signers there are, and how the training clips spread over the glosses."""
    by_split = Counter(clip.split for clip in annotations.clips)
    signers = {
        split: {c.signer for c in annotations.clips if c.split == split and c.signer} for split in SPLITS
    }
    splits = ", ".join(
        f"{split} {by_split[split]}" + (f" of {len(signers[split])} signers" if signers[split] else "")
        for split in SPLITS
    )
    trained = Counter(clip.gloss for clip in annotations.clips if clip.split == "train")
    counts = [trained[gloss] for gloss in annotations.vocabulary]
    return [
        f"{len(annotations.clips)} clips ({splits}), {len(annotations.vocabulary)} glosses",
        f"training clips a gloss: {min(counts)} to {max(counts)}, median {np.median(counts):g}",
    ]


def check_annotations(annotations: Annotations, validation_split: Split | None) -> list[Finding]:
    """What is odd about splits, glosses and signers."""
    clips = annotations.clips
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
    written: dict[str, list[str]] = defaultdict(list)
    for gloss in [*annotations.vocabulary, *{clip.gloss for clip in annotations.left_out}]:
        written[" ".join(gloss.casefold().replace("_", " ").split())].append(gloss)
    for alike in written.values():
        if len(alike) > 1:
            detail = "differ in capitals and spaces only: " + ", ".join(map(repr, sorted(alike)))
            findings.append(Finding("glosses that are written alike", alike[0], detail))
    trainers = Counter(clip.signer for clip in clips if clip.split == "train" and clip.signer)
    for signer, count in sorted(Counter(c.signer for c in clips if c.split == "test" and c.signer).items()):
        if signer in trainers:
            detail = f"{count} test and {trainers[signer]} training clips"
            findings.append(Finding("test signer in training", str(signer), detail))
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
