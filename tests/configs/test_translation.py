"""Experiments of translation on the published sets follow the Two-Stream network (its specification, section 11)."""

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn

from configs.schema import ContinuousConfig, TranslationConfig
from modeling.continuous.heads import SequenceHead
from modeling.optimizer import build_optimizer
from modeling.translation.config import ScratchConfig, TextModelConfig
from modeling.translation.network import STREAMS, Translator
from modeling.translation.text_model import new_text_model
from utils.config import load_config
from utils.errors import UserError

FOLDER = Path(__file__).parents[2] / "configs"
RUNS = "runs/two_stream"
GERMAN, CHINESE = "phoenix2014t", "csl_daily"
SENTENCES = {GERMAN: 7096, CHINESE: 18401}  # of the training splits
FROM_VIDEOS = ["rgb", "keypoint", "joint", "single_stream"]
EXPERIMENTS = [f"{data}/{name}" for data in SENTENCES for name in ["gloss", *FROM_VIDEOS]]


class Published(NamedTuple):
    """A column of the table. rates: of mBART, mapper and the rest; validated: after so many epochs."""

    rates: tuple[float, float | None, float]
    epochs: int
    period: int
    embeddings: bool
    validated: int
    beam: int


GERMAN_VIDEOS = Published((1e-5, 1e-3, 3e-4), 40, 40, True, 9, 5)
CHINESE_VIDEOS = Published((1e-5, 1e-4, 1e-4), 40, 40, True, 1, 4)
PUBLISHED = {
    f"{GERMAN}/gloss": Published((1e-5, None, 1e-5), 80, 80, False, 1, 4),
    f"{GERMAN}/single_stream": GERMAN_VIDEOS._replace(rates=(1e-5, 1e-3, 1e-3)),
    f"{CHINESE}/gloss": Published((1e-5, None, 1e-4), 4, 80, True, 1, 4),
    f"{CHINESE}/single_stream": CHINESE_VIDEOS,
    **{f"{GERMAN}/{name}": GERMAN_VIDEOS for name in STREAMS},
    **{f"{CHINESE}/{name}": CHINESE_VIDEOS for name in STREAMS},
}


def load(experiment: str) -> TranslationConfig:
    data, name = experiment.split("/")
    return load_config(TranslationConfig, FOLDER / "two_stream" / data / "translation" / f"{name}.yaml")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_recipe_is_published(experiment: str) -> None:
    config = load(experiment)
    training, rates = config.training, config.training.part_rates
    found = Published(
        (rates["text"], rates.get("mapper"), training.learning_rate),
        training.epochs,
        training.period or training.epochs,
        config.model.train_embeddings,
        config.evaluation.validate_every,
        config.generation.validation_beam,
    )
    assert found == PUBLISHED[experiment] and set(rates) <= {"text", "mapper"}
    assert (training.optimizer, training.betas, training.weight_decay) == ("adam", (0.9, 0.998), 1e-3)
    assert (training.batch_size, training.schedule, config.loss.label_smoothing) == (64, "cosine", 0.2)
    assert (config.model.text_model.dropout, config.model.text_model.attention_dropout) == (0.3, 0.1)
    assert (config.generation.beam, config.generation.length_penalty) == (5, 1)
    assert config.evaluation.validation_split == "dev"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_each_set_has_its_language(experiment: str) -> None:
    data, name = experiment.split("/")
    config = load(experiment)
    texts, generation = config.texts, config.generation
    expected = {GERMAN: ("words", "de_DE", 100), CHINESE: ("characters", "zh_CN", 500)}
    assert (texts.unit, texts.language, generation.max_tokens) == expected[data]
    assert config.model.text_model.folder == f"weights/mbart_{data}"
    if name in FROM_VIDEOS:
        assert config.model.mapper == {GERMAN: "mlp", CHINESE: "embedding"}[data]


def test_a_thousand_steps_are_so_many_epochs() -> None:
    german, chinese = (math.ceil(sentences / 64) for sentences in SENTENCES.values())
    assert (german, round(1000 / german)) == (111, GERMAN_VIDEOS.validated)
    assert chinese == 288 and 1000 < load(f"{CHINESE}/gloss").training.epochs * chinese < 2000


@pytest.mark.parametrize("data", SENTENCES)
@pytest.mark.parametrize("name", FROM_VIDEOS)
def test_texts_from_videos_stand_on_glosses_and_on_a_recognition_of_the_same_data(
    data: str, name: str
) -> None:
    config = load(f"{data}/{name}")
    assert config.gloss_to_text == load(f"{data}/gloss").run
    recognition = "single_stream" if name == "single_stream" else "two_stream"
    assert config.recognition == f"{RUNS}/{data}/{recognition}"
    read = load_config(ContinuousConfig, FOLDER / "two_stream" / data / f"{recognition}.yaml")
    assert (read.run, read.data) == (config.recognition, config.data)
    assert config.model.source == ("rgb" if name == "single_stream" else name)
    assert set(STREAMS[config.model.source]) <= set(read.model.modalities)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_rate_is_of_some_weights(experiment: str) -> None:
    config = load(experiment)
    heads = nn.ModuleDict({name: SequenceHead(read, 8, 3, 8, dropout=0) for name, read in STREAMS.items()})
    small = TextModelConfig(scratch=ScratchConfig(layers=1, width=8, heads=1, positions=16))
    gloss = config.model.source == "gloss"
    network = Translator(
        dataclasses.replace(config.model, text_model=small),
        None if gloss else heads,
        new_text_model(small, 8, 4),
        3,
        torch.zeros(1),
        torch.zeros(1),
    )
    *parts, rest = build_optimizer(network, config.training).param_groups
    assert [len(part["params"]) for part in parts] == [
        len(list(part.parameters())) for part in (network.text, network.mapper) if part is not None
    ]
    left = [*network.heads.parameters(), *network.gloss_embeddings.parameters()]
    assert {id(x) for x in rest["params"]} == {id(x) for x in left}


SCRATCH = ["model.text_model={folder: null, scratch: {layers: 1}}", "texts.language=null"]


@pytest.mark.parametrize(
    ("experiment", "overrides", "message"),
    [
        ("gloss", ["recognition=runs/a"], "recognition: name the run .*; none with model.source: gloss"),
        ("joint", ["recognition=null"], "recognition: name the run of continuous recognition"),
        ("gloss", SCRATCH[:1], "texts.language: name that of the local mBART; none with text_model.scratch"),
        ("gloss", SCRATCH[1:], "texts.language: name that of the local mBART"),
        ("gloss", SCRATCH, "model.train_embeddings: must be true: those of text_model.scratch are random"),
    ],
)
def test_what_does_not_go_together(experiment: str, overrides: list[str], message: str) -> None:
    path = FOLDER / "two_stream" / GERMAN / "translation" / f"{experiment}.yaml"
    with pytest.raises(UserError, match=message):
        load_config(TranslationConfig, path, overrides)
