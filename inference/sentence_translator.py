"""A trained model of translation as somebody uses it: a video goes in, its text comes out.

from modeling import load_recognizer
translator = load_recognizer("runs/demo_sentences/translation/joint")
translator.predict("sentence.mp4")
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from configs.schema import TranslationConfig
from dataset.translations import ADDED
from inference.sentence_recognizer import SentenceRecognizer
from inference.timeline import TimedGloss, timed
from inference.trained_model import TranslationModel, recognition_of
from inference.translation_scores import spoken
from inference.video_recognizer import Device, Video
from modeling.translation.beam_search import generate
from modeling.translation.network import Translator
from modeling.translation.text_model import Source


class TranslatedSentence(NamedTuple):
    """The text of a sentence, and the glosses that were read, in order, with the seconds in which each is signed."""

    text: str
    glosses: list[TimedGloss]


class SentenceTranslator:
    """Says the text of sentences in videos.

    Args:
        model: what was trained.
        config: its `generation` is used; default: the configuration of the training.
        device: to compute on; `auto` takes CUDA if there is one.
        others: that translate together with the model.

    Attributes:
        recognizer: reads the videos for the translation, and their glosses.

    Raises:
        UserError: a model reads glosses, or has other glosses or texts than the first one, or its recognition is
            missing.
    """

    def __init__(
        self,
        model: TranslationModel,
        config: TranslationConfig | None = None,
        device: Device = "auto",
        others: Sequence[TranslationModel] = (),
    ):
        self.config, self.texts = config or model.config, model.texts
        models = model.together_with(others)
        self.readers = [
            SentenceRecognizer(recognition_of(x.config, x.vocabulary), device=device) for x in models
        ]
        self.networks = [x.recognizer.to(self.readers[0].device).eval() for x in models]
        self.recognizer = next((r for r in self.readers if r.reads_keypoints), self.readers[0])

    def predict(
        self, video: str | os.PathLike[str], keypoints: str | os.PathLike[str] | None = None
    ) -> TranslatedSentence:
        """The text of a sentence, and its glosses. Arguments and errors: see `SentenceRecognizer.predict`."""
        read = self.recognizer.read(Path(video), None if keypoints is None else Path(keypoints))
        if (left_out := self.recognizer.left_out(read)) is not None:
            warnings.warn(left_out, stacklevel=2)
        return TranslatedSentence(self.text(read), timed(self.recognizer.glosses(read), read.rate))

    def text(self, video: Video, beam: int | None = None) -> str:
        """The text of a sentence.

        Args:
            video: see `SentenceRecognizer.read`.
            beam: texts that are kept; default: `generation.beam` of the configuration.

        Raises:
            UserError: the video is damaged, or longer than the text model has positions for.
        """
        members = zip(self.networks, self.readers, strict=True)
        sources = [_source(network, reader.features(video)) for network, reader in members]
        models = [network.text for network in self.networks]
        (tokens,) = generate(models, sources, self.config.generation, beam)
        return spoken(self.texts.decode(tokens), self.config.texts.language)


@torch.inference_mode()
def _source(network: Translator, features: dict[str, Tensor]) -> Source:
    """What a text model reads of one sentence."""
    seen = {stream: x[None] + ADDED for stream, x in features.items()}
    read = next(iter(seen.values()))
    steps = torch.tensor([read.shape[1]], device=read.device)
    glosses, counts = steps.new_zeros((1, 0)), steps.new_zeros(1)  # they are not known
    return network.source(seen, steps, glosses, counts)[0]
