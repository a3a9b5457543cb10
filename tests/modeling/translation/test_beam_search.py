"""The search against that of transformers, and against a plain greedy loop over several models."""

import pytest
import torch

from modeling.translation.beam_search import generate
from modeling.translation.config import GenerationConfig
from modeling.translation.text_model import END, Source, TextModel, source_of
from tests.modeling.translation.conftest import LANGUAGE, WIDTH, NewTextModel


def source(seed: int, counts: tuple[int, ...] = (5, 3, 1)) -> Source:
    rng = torch.Generator().manual_seed(seed)
    steps = torch.randn(len(counts), max(counts), WIDTH, generator=rng, dtype=torch.float64)
    return source_of(steps, torch.tensor(counts), torch.ones(2, WIDTH, dtype=torch.float64))


def by_transformers(model: TextModel, read: Source, config: GenerationConfig) -> list[list[int]]:
    found = model.mbart.generate(
        inputs_embeds=read.vectors,
        attention_mask=read.mask,
        num_beams=config.beam,
        length_penalty=config.length_penalty,
        max_length=config.max_tokens,
        decoder_start_token_id=LANGUAGE,
        forced_eos_token_id=END,
        do_sample=False,
    ).tolist()
    return [tokens[: tokens.index(END) + 1] for tokens in found]


@pytest.mark.parametrize("beam", [1, 2, 5])
@pytest.mark.parametrize("penalty", [1.0, 0.5])
def test_one_model_is_searched_as_transformers_does(
    beam: int, penalty: float, new_model: NewTextModel
) -> None:
    config = GenerationConfig(beam=beam, length_penalty=penalty, max_tokens=12)
    lengths = set()
    for seed in range(6):
        model, read = new_model(seed), source(seed)
        found = generate([model], [read], config)
        assert found == by_transformers(model, read, config)
        lengths |= {len(tokens) for tokens in found}
    assert len(lengths) > 1 and max(lengths) <= 12


def test_three_equal_models_find_what_one_does(new_model: NewTextModel) -> None:
    config = GenerationConfig(beam=4, max_tokens=12)
    for seed in range(4):
        model, read = new_model(seed), source(seed)
        assert generate([model] * 3, [read] * 3, config) == generate([model], [read], config)


def test_an_ensemble_takes_the_most_probable_token_of_the_mean(new_model: NewTextModel) -> None:
    models, reads = [new_model(seed) for seed in range(3)], [source(seed) for seed in range(3)]
    found = generate(models, reads, GenerationConfig(beam=1, max_tokens=10))
    differs = False
    for row in range(3):
        tokens = [LANGUAGE]
        while tokens[-1] != END:
            mean = torch.stack([_next(m, r, row, tokens) for m, r in zip(models, reads, strict=True)]).mean(0)
            tokens.append(END if len(tokens) == 9 else int(mean.log().argmax()))
            differs |= int(_next(models[0], reads[0], row, tokens[:-1]).argmax()) != tokens[-1]
        assert found[row] == tokens
    assert differs  # from what one of them says


def _next(model: TextModel, read: Source, row: int, tokens: list[int]) -> torch.Tensor:
    """Probabilities of the next token, computed anew without a cache."""
    with torch.no_grad():
        alone = Source(read.vectors[row : row + 1], read.mask[row : row + 1])
        return model(alone, torch.tensor([[*tokens[1:], 0]]))[0, -1].softmax(dim=0)


def test_sentences_do_not_change_one_another(new_model: NewTextModel) -> None:
    model, read, config = new_model(0), source(1), GenerationConfig(beam=3, max_tokens=12)
    together = generate([model], [read], config)
    for row, count in enumerate((5, 3, 1)):
        alone = Source(read.vectors[row : row + 1, : count + 2], read.mask[row : row + 1, : count + 2])
        assert generate([model], [alone], config) == [together[row]]
