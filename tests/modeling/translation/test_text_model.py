"""What the text model reads and says."""

import sys
from pathlib import Path

import pytest
import torch

from modeling.translation.config import ScratchConfig, TextModelConfig
from modeling.translation.losses import smoothed_cross_entropy
from modeling.translation.text_model import (
    PAD,
    Source,
    decoder_inputs,
    load_text_model,
    new_text_model,
    source_of,
)
from tests.modeling.translation.conftest import LANGUAGE, TOKENS, WIDTH, NewTextModel
from utils.errors import UserError


def test_a_source_is_steps_then_its_ending() -> None:
    steps = torch.arange(1.0, 25).view(2, 3, 4)
    ending = torch.full((2, 4), 7.0) + torch.arange(2)[:, None]
    found = source_of(steps, torch.tensor([3, 1]), ending)
    zeros = torch.zeros(2, 4)
    expected = torch.stack([torch.cat([steps[0], ending]), torch.cat([steps[1, :1], ending, zeros])])
    torch.testing.assert_close(found.vectors, 2 * expected)  # sqrt(4)
    assert found.mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


def test_padding_of_source_and_text_changes_nothing(new_model: NewTextModel) -> None:
    model = new_model(0)
    steps = torch.randn(1, 4, WIDTH, dtype=torch.float64)
    ending = torch.ones(2, WIDTH, dtype=torch.float64)
    alone = source_of(steps, torch.tensor([4]), ending)
    longer = source_of(torch.cat([steps, 9 * torch.ones(1, 3, WIDTH)], dim=1), torch.tensor([4]), ending)
    labels = torch.tensor([[7, 8, 2]])
    padded = torch.tensor([[7, 8, 2, PAD, PAD]])
    wanted = model(alone, labels)
    torch.testing.assert_close(model(longer, padded)[:, :3], wanted)


def test_the_decoder_reads_the_language_then_the_text() -> None:
    assert decoder_inputs(torch.tensor([[7, 8, 2], [9, 2, PAD]]), 4).tolist() == [[4, 7, 8], [4, 9, 2]]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_a_divergence_from_the_smoothed_target(smoothing: float) -> None:
    logits = torch.randn(2, 3, 6, dtype=torch.float64)
    targets = torch.tensor([[3, 4, 2], [5, 2, PAD]])
    wanted = 0.0
    for row, place in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
        for token in range(6):
            p = 1 - smoothing if token == targets[row, place] else 0.0 if token == PAD else smoothing / 4
            if p:
                log_q = logits[row, place].log_softmax(0)[token].item()
                wanted += p * (torch.tensor(p).double().log().item() - log_q)
    found = smoothed_cross_entropy(logits.log_softmax(dim=2), targets, smoothing, PAD)
    assert found.item() == pytest.approx(wanted, rel=1e-6)


def test_what_is_too_long_is_refused(new_model: NewTextModel) -> None:
    model = new_model(0)
    short, long = (
        Source(torch.zeros(1, n, WIDTH, dtype=torch.float64), torch.ones(1, n, dtype=torch.int64))
        for n in (3, 41)
    )
    with pytest.raises(UserError, match="text_model: 41 steps of a sentence are more than its 40 positions"):
        model(long, torch.tensor([[2]]))
    with pytest.raises(UserError, match="text_model: 41 tokens of a text are more than its 40 positions"):
        model(short, torch.zeros(1, 41, dtype=torch.int64))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    config = TextModelConfig(folder=str(tmp_path))
    with pytest.raises(UserError, match="no text model"):
        load_text_model(tmp_path, config, LANGUAGE)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="not a text model that can be read"):
        load_text_model(tmp_path, config, LANGUAGE)


def test_a_saved_model_comes_back_with_the_configured_dropout(
    tmp_path: Path, new_model: NewTextModel
) -> None:
    model = new_model(0).float()
    model.mbart.save_pretrained(tmp_path)
    loaded = load_text_model(tmp_path, TextModelConfig(folder=str(tmp_path), dropout=0.25), LANGUAGE)
    assert loaded.mbart.config.dropout == 0.25 and loaded.width == WIDTH
    for name, parameter in model.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter), name


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match="transformers is not installed: pip install"):
        new_text_model(TextModelConfig(scratch=ScratchConfig()), TOKENS, LANGUAGE)
