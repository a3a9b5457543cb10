"""A sentence as the network reads it, and what its heads make of it, for people to look at."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from configs.build import sentence_reader
from configs.schema import ContinuousConfig
from dataset.annotations import Split
from dataset.batch import Request
from dataset.footage import at
from dataset.sentence_clips import SentenceDataset
from dataset.sentences import GlossClasses, read_sentences
from modeling.augment import Inputs, visible_inputs
from modeling.continuous.augment import central_draw, prepare_sentences
from modeling.continuous.network import ContinuousRecognizer
from modeling.continuous.recognition import SentencePredictor
from modeling.heatmaps import FactoredHeatmaps
from report.pictures import filmstrip
from report.sentence_strips import SentenceView
from utils.errors import UserError

FRAMES_SHOWN = 12


def view_sentences(
    config: ContinuousConfig, split: Split, names: Sequence[str], network: ContinuousRecognizer | None = None
) -> list[SentenceView]:
    """Some sentences of a data set, by name.

    Args:
        network: gives the probabilities of its main heads and of their ensemble; without it there are none.

    Raises:
        UserError: the annotations, videos or keypoints of the configuration are not there, or lack a sentence.
    """
    annotations = read_sentences(config.data)
    sentences = {sentence.name: sentence for sentence in annotations.split(split)}
    classes = GlossClasses(annotations.vocabulary, config.data.lower_case)
    if unknown := [name for name in names if name not in sentences]:
        raise UserError(f"sentence {unknown[0]!r} is not in the {split} split; was the index changed?")
    chosen = [sentences[name] for name in names]
    dataset = SentenceDataset(chosen, classes, sentence_reader(config), config.data, training=False)
    predict = None if network is None else SentencePredictor(network, config.runtime, pyramid=False)
    views = []
    for row in range(len(chosen)):
        batch = dataset[[Request(row, None)]]
        if batch.error is not None:
            raise UserError(batch.error)
        frames, keypoints = at(batch.windows[0], batch.frames), at(batch.windows[0], batch.keypoints)
        probabilities = {}
        if predict is not None:
            logits = predict(frames, keypoints).logits
            probabilities = {name: x[0].softmax(dim=1).cpu().numpy() for name, x in logits.items()}
        length = batch.windows.shape[1]
        shown = _middles(length)
        inputs = prepare_sentences(
            None if frames is None else frames[None, shown],
            None if keypoints is None else keypoints[None, shown].float(),
            config.model,
            [central_draw(config.model, config.data.frame_size)],
        )
        picture = inputs_filmstrip(inputs, config.model.streams, len(shown))
        views.append(SentenceView(picture, length, probabilities, annotations.vocabulary))
    return views


def inputs_filmstrip(inputs: Inputs, streams: Sequence[str], frames: int) -> np.ndarray:
    """The first sentence of some network inputs as a picture, see `SentenceView`; it has so many frames."""
    shown = _middles(frames)
    of_first: Inputs = {
        name: x.at(shown) if isinstance(x, FactoredHeatmaps) else x[:1, :, shown]
        for name, x in inputs.items()
    }
    pictures, heatmaps = (None if x is None else x[0].numpy() for x in visible_inputs(of_first, streams))
    return filmstrip(pictures, heatmaps, most=FRAMES_SHOWN)


def _middles(frames: int) -> Tensor:
    """The frames in the middle of `FRAMES_SHOWN` equal parts of so many: int64 [FRAMES_SHOWN]."""
    return ((torch.arange(FRAMES_SHOWN) + 0.5) * frames / FRAMES_SHOWN).long()
