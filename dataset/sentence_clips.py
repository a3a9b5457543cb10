"""From sentences of the annotations to padded batches of raw frames, keypoints and glosses.

Specification of the Two-Stream network, section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from dataset.batch import Request
from dataset.config import SentenceDataConfig
from dataset.footage import Choose, FootageBatch, FootageDataset, FootageReader
from dataset.sentence_sampling import evaluation_frames, training_frames
from dataset.sentences import GlossClasses, Sentence
from utils.errors import UserError
from utils.seeding import generator

STRIDE = 4  # frames to a step of the network


@dataclass
class SentenceBatch(FootageBatch):
    """B sentences: `windows` are [B, T], shorter ones repeating their last frame.

    lengths: int64 [B], frames of each sentence, multiples of 4. first: int64 [B], the frame of each that is read first,
    which is not 0 of a sentence longer than what is read. glosses: int64 [B, L], classes, padded with blanks.
    counts: int64 [B], how many of them there are of each.
    """

    lengths: Tensor
    first: Tensor
    glosses: Tensor
    counts: Tensor

    def of_length(self, frames: int) -> Tensor:
        """The windows cut, or padded further, to so many frames: int64 [B, frames]."""
        last = self.windows.gather(1, self.lengths[:, None] - 1)
        windows = torch.cat([self.windows, last.expand(-1, max(0, frames - self.windows.shape[1]))], dim=1)
        return windows[:, :frames]

    def sentence(self, row: int) -> tuple[Tensor | None, Tensor | None]:
        """One of the sentences without padding: its frames uint8 [T, height, width, 3] and keypoints [T, J, 3]."""
        windows = self.windows[row, : self.lengths[row]]
        return (
            None if self.frames is None else self.frames[windows],
            None if self.keypoints is None else self.keypoints[windows],
        )


class SentenceDataset(FootageDataset):
    """Batches of sentences by request.

    Args:
        sentences: of one split.
        classes: of their glosses.
        reader: of the clips.
        data: how many frames of a sentence are read, at which speeds, and how batches are arranged.
        training: draw the frames of every request at random; sentences must then be learnable: no gloss that has no
            class, and as many steps as CTC needs.
        check: whether the clips are there and long enough, so that one that is not ends the run before it starts.

    Raises:
        UserError: which sentence cannot be used, and why.
    """

    clips: Sequence[Sentence]

    def __init__(
        self,
        sentences: Sequence[Sentence],
        classes: GlossClasses,
        reader: FootageReader,
        data: SentenceDataConfig,
        training: bool,
        check: bool = True,
    ):
        super().__init__(sentences, reader, check)
        self.data, self.training = data, training
        self.most = data.max_frames
        self.glosses = [classes.of(sentence) if training else [] for sentence in sentences]
        if check:
            for sentence, glosses in zip(sentences, self.glosses, strict=True):
                self._check(sentence, glosses)

    def _check(self, sentence: Sentence, glosses: list[int]) -> None:
        """What can be seen without decoding."""
        length = sentence.length
        if length is None:
            return
        where = f"sentence {sentence.name!r}"
        self._refuse_short(where, length, glosses)
        start = sentence.start_frame or 0
        source = self.reader.source
        if source is not None and self.reader.config.is_images:
            paths = (self.reader.path(sentence, start + frame) for frame in range(length))
            if (missing := next((path for path in paths if path not in source), None)) is not None:
                raise UserError(f"{source.path}: {where} of {length} frames: no file {missing!r}")
        keypoints = self.reader.keypoints
        if keypoints is not None and (found := keypoints.length(sentence.name)) != length:
            raise UserError(
                f"{keypoints.path}: {where} has {length} frames, but keypoints of {found}: of another video?"
            )

    def _refuse_short(self, where: str, length: int, glosses: list[int]) -> None:
        if length < STRIDE:
            raise UserError(f"{where}: has {length} frames; a sentence needs at least {STRIDE}")
        steps, needed = min(length, self.most) // STRIDE, steps_needed(glosses)
        if steps < needed:
            raise UserError(
                f"{where}: {length} frames make {steps} steps, and its {len(glosses)} glosses need {needed}; take it "
                "out of the annotations"
            )

    def arrange(self, order: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """Sorted by length within every `bucket_batches` batches; these then in random order."""
        batches_together = self.data.bucket_batches
        if batches_together == 1:
            return order
        lengths = np.array([sentence.length or self.most for sentence in self.clips])
        arranged = []
        for first in range(0, len(order), batches_together * batch_size):
            bucket = order[first : first + batches_together * batch_size]
            batches = bucket[np.argsort(lengths[bucket], kind="stable")].reshape(-1, batch_size)
            arranged.append(rng.permutation(batches).reshape(-1))
        return np.concatenate(arranged)

    def most_frames(self, clips: int) -> int:
        # A clip that replaces another one may be in the batch already.
        return clips * max((min(x.length or self.most, self.most) for x in self.clips), default=0)

    def choose(self, request: Request) -> Choose:
        where, draw = f"sentence {self.clips[request.sample].name!r}", request.draw

        def frames(length: int) -> list[np.ndarray]:
            self._refuse_short(where, length, self.glosses[request.sample])
            if not self.training:
                return [evaluation_frames(length, self.most)]
            assert draw is not None
            rng = generator(draw[0], "frames", *draw[1:])
            return [training_frames(length, rng, self.most, self.data.speed)]

        return frames

    def read(self, requests: list[Request], room: np.ndarray) -> SentenceBatch:
        samples, common = self.read_together(requests, room)
        glosses = [self.glosses[clip] for clip in common["samples"]]
        return SentenceBatch(
            **common,
            windows=_padded([torch.from_numpy(sample.windows[0]) for sample in samples]),
            lengths=torch.tensor([sample.windows.shape[1] for sample in samples]),
            first=torch.tensor([sample.first for sample in samples]),
            glosses=_padded([torch.tensor([*of_sentence, 0]) for of_sentence in glosses])[:, :-1],
            counts=torch.tensor([len(of_sentence) for of_sentence in glosses]),
        )


def steps_needed(glosses: Sequence[int]) -> int:
    """By CTC: one for each gloss, and a blank between two that are equal."""
    return len(glosses) + sum(a == b for a, b in pairwise(glosses))


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """int64 [B, longest], each row followed by repetitions of its last value."""
    longest = max(map(len, rows), default=0)
    padded = [torch.cat([row, row[-1:].expand(longest - len(row))]) for row in rows]
    return torch.stack(padded) if padded else torch.empty(0, 0, dtype=torch.int64)
