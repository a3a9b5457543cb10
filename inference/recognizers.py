"""What uses a trained model, whatever its task."""

import os
from pathlib import Path

from configs.schema import Config, ContinuousConfig, IsolatedConfig, TranslationConfig
from inference.sentence_recognizer import SentenceRecognizer
from inference.sentence_translator import SentenceTranslator
from inference.sign_recognizer import SignRecognizer
from inference.trained_model import AnyModel, ContinuousModel, TranslationModel, load_model
from inference.video_recognizer import Device

Recognizer = SignRecognizer | SentenceRecognizer | SentenceTranslator


def load_recognizer(path: str | os.PathLike[str], device: Device = "auto") -> Recognizer:
    """See `modeling.load_recognizer`."""
    return recognizer_of(load_model(Path(path)), None, device)


def recognizer_of(model: AnyModel, config: Config | None = None, device: Device = "auto") -> Recognizer:
    """A model ready for use; `config` is of its task, see `VideoRecognizer`."""
    if isinstance(model, TranslationModel):
        assert config is None or isinstance(config, TranslationConfig)
        return SentenceTranslator(model, config, device)
    if isinstance(model, ContinuousModel):
        assert config is None or isinstance(config, ContinuousConfig)
        return SentenceRecognizer(model, config, device)
    assert config is None or isinstance(config, IsolatedConfig)
    return SignRecognizer(model, config, device)
