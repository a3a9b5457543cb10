from collections.abc import Callable

import pytest
import torch

from modeling.translation.config import ScratchConfig, TextModelConfig
from modeling.translation.text_model import END, TextModel, new_text_model

LANGUAGE, TOKENS, WIDTH = 4, 30, 16

NewTextModel = Callable[[int], TextModel]


@pytest.fixture
def new_model() -> NewTextModel:
    """A small text model in double precision, of a seed; its distributions are far from even."""

    def make(seed: int) -> TextModel:
        torch.manual_seed(seed)
        scratch = ScratchConfig(layers=1, width=WIDTH, heads=2, positions=40)
        model = new_text_model(TextModelConfig(scratch=scratch), TOKENS, LANGUAGE).double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(std=0.6)
            model.mbart.final_logits_bias[0, END] = 2.5  # so that texts end at different lengths
        return model

    return make
