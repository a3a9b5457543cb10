"""Sentences: their glosses and texts, and whether a network can read and learn them at their length."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from dataset.annotations import SPLITS, Annotations, Split
from dataset.check.annotations import check_signers, check_spelling, check_splits, describe_splits
from dataset.check.findings import Finding
from dataset.check.videos import VideoFacts
from dataset.config import Picture, SentenceDataConfig
from dataset.extraction import RawClips
from dataset.sentence_clips import STRIDE, steps_needed
from dataset.sentence_sampling import training_counts
from dataset.sentences import UNKNOWN, GlossClasses, Sentence


class SentenceChecks:
    """What can be said of sentences by their annotations and lengths.

    Glosses are counted in the case in which they are looked up, once a sentence.
    """

    def __init__(self, annotations: Annotations[Sentence], data: SentenceDataConfig):
        self.sentences, self.data = annotations.clips, data
        self.classes = GlossClasses(annotations.vocabulary, data.lower_case)
        # Classes that are no glosses are written so: <s>, <unk>, <pad>.
        self.vocabulary = [gloss for gloss in annotations.vocabulary if not gloss.startswith("<")]
        self.counts: dict[Split, Counter[str]] = {split: Counter() for split in SPLITS}
        for sentence in self.sentences:
            self.counts[sentence.split].update(self._glosses(sentence))

    def _glosses(self, sentence: Sentence) -> set[str]:
        return set((sentence.gloss.lower() if self.data.lower_case else sentence.gloss).split())

    def describe(self) -> list[str]:
        """How many sentences, glosses and signers there are, and how the training sentences spread over the glosses."""
        lengths = [len(sentence.glosses) for sentence in self.sentences]
        trained = [self.counts["train"][gloss] for gloss in self.vocabulary]
        facts = [
            f"{len(lengths)} sentences ({describe_splits(self.sentences)}), {len(trained)} glosses",
            f"glosses a sentence: {min(lengths)} to {max(lengths)}, median {np.median(lengths):g}",
            f"training sentences a gloss: {min(trained)} to {max(trained)}, median {np.median(trained):g}",
        ]
        known = {sentence.gloss for sentence in self.sentences if sentence.split == "train"}
        for split in ("dev", "test"):
            others = [sentence.gloss in known for sentence in self.sentences if sentence.split == split]
            if any(others):
                facts.append(
                    f"{sum(others)} of {len(others)} {split} sentences have the glosses of a training one"
                )
        return facts

    def annotations(self, validation_split: Split | None) -> list[Finding]:
        """What is odd about splits, glosses, texts and signers."""
        findings = check_splits(self.sentences, validation_split)
        train, others = self.counts["train"], self.counts["dev"] + self.counts["test"]
        for sentence in self.sentences:
            for gloss in sorted(self._glosses(sentence) if sentence.split == "train" else ()):
                if train[gloss] == 1:
                    findings.append(Finding("gloss with a single training sentence", gloss, sentence.name))
        for gloss, count in sorted(others.items()):
            if not train[gloss]:
                detail = f"in {count} sentences of dev and test"
                findings.append(Finding("gloss without training sentences", gloss, detail))
        known = set(self.vocabulary)
        if unseen := [gloss for gloss in self.vocabulary if not train[gloss] and not others[gloss]]:
            shown = ", ".join(unseen[:10])
            findings.append(Finding("glosses without any sentence", f"{len(unseen)} of {len(known)}", shown))
        for gloss in sorted(train.keys() - known):
            detail = f"in {train[gloss]} training sentences"
            if UNKNOWN in self.classes.classes:
                detail = f"{detail}; it is read as {UNKNOWN}"
                findings.append(Finding("gloss outside the vocabulary", gloss, detail))
            else:
                findings.append(Finding("gloss outside the vocabulary", gloss, detail, "fatal"))
        findings += check_spelling(sorted(known | train.keys() | others.keys()))
        if any(sentence.text for sentence in self.sentences):
            findings += [
                Finding("sentence without text", s.name, s.gloss) for s in self.sentences if not s.text
            ]
        return findings + check_signers(self.sentences)

    def length(self, sentence: Sentence, frames: int) -> list[Finding]:
        """Whether a sentence of so many frames can be read, and its glosses be learnt by CTC."""
        name, most = sentence.name, self.data.max_frames
        if frames < STRIDE:
            return [Finding("sentence too short", name, f"{frames} frames; it needs {STRIDE}", "fatal")]
        findings = []
        if frames > most:
            detail = f"{frames} frames; evaluation sees its middle {most}"
            findings.append(Finding("sentence longer than max_frames", name, detail))
        classes = [number for number in self.classes.find(sentence.glosses) if number is not None]
        needed, steps = steps_needed(classes), min(frames, most) // STRIDE
        fewest = training_counts(frames, most, self.data.speed)[0] // STRIDE
        if steps < needed:
            refused = sentence.split == "train" and sentence.length is not None
            detail = f"{frames} frames make {steps} steps; {len(classes)} glosses need {needed}"
            findings.append(
                Finding("more glosses than steps", name, detail, "fatal" if refused else "warning")
            )
        elif sentence.split == "train" and fewest < needed:
            detail = f"training may draw {fewest} steps, and learns nothing then; its glosses need {needed}"
            findings.append(Finding("more glosses than steps at its fastest", name, detail))
        return findings


def check_images(raw: RawClips, sentence: Sentence) -> list[Finding]:
    """The first of a sentence's numbered images that is missing, which a run refuses."""
    if sentence.length is None:
        return [Finding("numbered images without number of frames", sentence.name, "in the index", "fatal")]
    start = sentence.start_frame or 0
    for frame in range(start, start + sentence.length):
        path = raw.path(sentence, frame)
        if path not in raw.source:
            detail = f"{path}, of {sentence.length}"
            return [Finding("missing image", sentence.name, detail, "fatal")]
    return []


def check_sizes(videos: Iterable[VideoFacts], picture: Picture) -> list[Finding]:
    """Sizes of frames that are resized on reading."""
    configured = (picture.height, picture.width)
    findings = []
    for size, count in Counter(facts.size for facts in videos).most_common():
        if size is not None and size != configured:
            same_shape = abs(size[0] * configured[1] / (size[1] * configured[0]) - 1) < 0.02
            shape = "" if same_shape else " in another shape"
            detail = f"{count} sentences; resized to {configured[0]} x {configured[1]}{shape}"
            findings.append(
                Finding("frames of another size than configured", f"{size[0]} x {size[1]}", detail)
            )
    return findings
