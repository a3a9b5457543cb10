"""The embedded sentences: what the signers of the embedded sign set sign when they say more than one sign.

Every sentence is drawn from random generators of its own, seeded by (seed, place of the sentence in the set).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataset.synthetic.grammar import Plan, draw_plan
from dataset.synthetic.rendering import SPLITS, RenderConfig, encode, make_set, rendered, video_files
from dataset.synthetic.sentences import Span, perform_sentence
from dataset.synthetic.signs import SIGNS
from utils.files import write_json

COLUMNS = ("name", "glosses", "split", "video", "text", "frames", "signer")
MANIFEST = "sentence_set.json"
OUTPUTS = ("sentences.zip", "sentences.csv", "keypoints.safetensors", "spans.json")

_PLAN_STREAM, _SENTENCE_STREAM = 2, 3
_BY_GLOSS = {sign.gloss: sign for sign in SIGNS}


@dataclass(frozen=True)
class SentenceSetConfig(RenderConfig):
    """What to render; *_sentences: sentences in each split."""

    train_sentences: int = 600
    dev_sentences: int = 60
    test_sentences: int = 150


class _Sentence(NamedTuple):
    position: int
    name: str
    plan: Plan
    split: str
    signer: int


def make_sentence_set(out: Path, config: SentenceSetConfig) -> None:
    """Render the sentences into the folder `out`: sentences.zip, sentences.csv, keypoints, and spans.json, which holds
    [gloss, first frame, frame after the last] of every sign by sentence.

    Returns at once if `out` already holds the complete set of this configuration.
    """
    make_set(out, config, MANIFEST, OUTPUTS, lambda folder: _write(folder, config))


def _write(folder: Path, config: SentenceSetConfig) -> None:
    plan = _plan(config)
    tasks = [(sentence, config) for sentence in plan]
    spans: dict[str, list[Span]] = {}
    with (
        video_files(folder, "sentences", COLUMNS, config.frame_size) as add,
        rendered(_render, tasks, config.processes, "sentence") as results,
    ):
        for sentence, (video, points, signs) in zip(plan, results, strict=True):
            row = {
                "name": sentence.name,
                "glosses": " ".join(sentence.plan.glosses),
                "split": sentence.split,
                "text": sentence.plan.text,
                "signer": f"signer{sentence.signer:02d}",
            }
            add(row, video, points)
            spans[sentence.name] = signs
    write_json(folder / "spans.json", spans)


def _plan(config: SentenceSetConfig) -> list[_Sentence]:
    """All sentences of the set; signers take turns."""
    plan: list[_Sentence] = []
    for split in SPLITS:
        signers = config.signers(split)
        for number in range(getattr(config, f"{split}_sentences")):
            rng = np.random.default_rng((config.seed, _PLAN_STREAM, len(plan)))
            signer = signers[number % len(signers)]
            plan.append(_Sentence(len(plan), f"{split}_{number:04d}", draw_plan(rng), split, signer))
    return plan


def _render(task: tuple[_Sentence, SentenceSetConfig]) -> tuple[bytes, np.ndarray, list[Span]]:
    sentence, config = task
    rng = np.random.default_rng((config.seed, _SENTENCE_STREAM, sentence.position))
    signs = [_BY_GLOSS[gloss] for gloss in sentence.plan.glosses]
    pictures, points, spans = perform_sentence(config.signer(sentence.signer), signs, rng)
    return encode(pictures, config.fps), points, spans
