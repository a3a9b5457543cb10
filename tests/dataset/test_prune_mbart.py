"""A tiny mBART of random weights is pruned: what is kept computes what it did, and the result trains."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from transformers import MBartConfig, MBartForConditionalGeneration

from configs.build import build_translator
from configs.schema import TranslationConfig, load_experiment
from dataset import prune_mbart
from dataset.batch import Request
from dataset.pruned_mbart import (
    GLOSS_EMBEDDINGS,
    LANGUAGES,
    MAP_IDS,
    SENTENCEPIECE,
    read_gloss_embeddings,
)
from dataset.texts import TextVocabulary
from modeling.optimizer import build_optimizer
from tasks.translation import Translation
from tests.conftest import write_csv
from utils.distributed import start_processes
from utils.errors import UserError
from utils.files import write_json

SENTENCES = {  # split: glosses, text; rows of the table are in another order than the splits
    "test": ("REGEN SUED", "es regnet im süden ."),
    "train": ("MORGEN REGEN NORD", "morgen regnet es im norden ."),
    "dev": ("SUED SONNE", "im süden scheint die sonne ."),
}
IN_ORDER = [SENTENCES[split] for split in ("train", "dev", "test")]
OTHER = ["ein ganz anderer satz über wolken und wind", "am montag bleibt es trocken", "quer durch das land"]
SPACE = "\u200b"  # a gloss without any sub-word
VOCABULARY = ["<s>", "<unk>", "de_DGS", "zh_CN", "MORGEN", "REGEN", "NORD", "SUED", "SONNE", SPACE]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as that of facebook/mbart-large-cc25, whose sub-words are also of texts that the data set lacks."""
    folder = tmp_path_factory.mktemp("mbart")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([part.lower() for pair in SENTENCES.values() for part in pair] + OTHER),
        model_prefix=str(folder / "sentencepiece.bpe"),
        vocab_size=80,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "sentencepiece.bpe.vocab").unlink()
    torch.manual_seed(0)
    mbart = MBartForConditionalGeneration(
        MBartConfig(
            vocab_size=pieces_of(folder).get_piece_size() + 27,
            d_model=16,
            encoder_layers=1,
            encoder_ffn_dim=24,
            encoder_attention_heads=2,
            decoder_layers=1,
            decoder_ffn_dim=24,
            decoder_attention_heads=2,
            max_position_embeddings=32,
            init_std=0.3,
            scale_embedding=True,
        )
    )
    mbart.final_logits_bias.normal_()
    mbart.config.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    write_json(
        folder / "config.json", config | {"max_length": 1024, "num_beams": 5}
    )  # as it has been published
    torch.save(mbart.state_dict(), folder / "pytorch_model.bin")
    return folder


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment")
    rows = [
        {"name": split, "glosses": glosses, "split": split, "video": split, "text": text}
        for split, (glosses, text) in SENTENCES.items()
    ]
    write_csv(folder / "sentences.csv", rows)
    write_csv(folder / "without_texts.csv", [row | {"text": ""} for row in rows])
    write_json(folder / "vocabulary.json", VOCABULARY)
    (folder / "gloss.yaml").write_text(
        f"""task: translation
data: {{index: {folder}/sentences.csv, vocabulary: {folder}/vocabulary.json, workers: 0}}
run: {folder}/run
model: {{source: gloss, text_model: {{folder: {folder}/pruned, dropout: 0, attention_dropout: 0}}}}
texts: {{language: de_DE}}
training: {{batch_size: 1, learning_rate: 1.0e-2, weight_decay: 0}}
"""
    )
    return folder / "gloss.yaml"


@pytest.fixture(scope="module")
def pruned(whole: Path, experiment: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        run(patch, whole, experiment, experiment.parent / "pruned")
    return experiment.parent / "pruned"


def run(patch: pytest.MonkeyPatch, model: Path, experiment: Path, out: Path, *overrides: str) -> None:
    arguments = ["--model", str(model), "--config", str(experiment), "--out", str(out), *overrides]
    patch.setattr(sys, "argv", ["prune_mbart", *arguments])
    prune_mbart.main()


def pieces_of(folder: Path) -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / SENTENCEPIECE))


def mbart_of(folder: Path) -> Any:
    return MBartForConditionalGeneration.from_pretrained(folder).eval()


def test_kept_tokens_have_the_logits_they_had(whole: Path, pruned: Path) -> None:
    new = {int(old): new for old, new in json.loads((pruned / MAP_IDS).read_text()).items()}
    before, after = mbart_of(whole), mbart_of(pruned)
    assert len(new) == after.config.vocab_size < before.config.vocab_size
    assert list(new.values()) == list(range(len(new)))
    old = torch.tensor(list(new))
    assert torch.equal(after.get_input_embeddings().weight, before.get_input_embeddings().weight[old])
    assert after.lm_head.weight is after.get_input_embeddings().weight
    read, said = torch.randint(4, len(old), (2, 2, 6))
    with torch.inference_mode():
        expected = before(input_ids=old[read], decoder_input_ids=old[said]).logits[..., old]
        found = after(input_ids=read, decoder_input_ids=said).logits
    # A product with a matrix of another height may be added up in another order.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.5


def test_tokens_are_those_of_all_splits_by_first_occurrence(whole: Path, pruned: Path) -> None:
    pieces = pieces_of(whole)
    count = pieces.get_piece_size()
    old = list(map(int, json.loads((pruned / MAP_IDS).read_text())))
    assert old[:4] == [0, 1, 2, 3]
    assert old[4:30] == list(range(count + 1, count + 27))  # 25 languages and the mask
    texts = [text for glosses, said in IN_ORDER for text in (said, glosses.lower())]
    assert old[30:] == list(dict.fromkeys(piece + 1 for text in texts for piece in pieces.encode(text)))


def test_texts_become_tokens_and_texts_again(pruned: Path) -> None:
    texts = TextVocabulary.of_folder(pruned, "de_DE")
    assert texts.size == mbart_of(pruned).config.vocab_size
    assert texts.language == 4 + LANGUAGES.index("de_DE")
    for _, text in IN_ORDER:
        tokens = texts.encode(text)
        assert tokens[-1] == 2 and min(tokens[:-1]) >= 30
        assert texts.decode([texts.language, *tokens]) == text
    assert 3 in texts.encode("quer")  # a word of no split


def test_glosses_have_the_mean_of_their_sub_words(whole: Path, pruned: Path) -> None:
    pieces = pieces_of(whole)
    embeddings = mbart_of(whole).get_input_embeddings().weight.detach()
    german, chinese = (
        embeddings[pieces.get_piece_size() + 1 + LANGUAGES.index(language)] for language in ("de_DE", "zh_CN")
    )
    words = [
        embeddings[[piece + 1 for piece in pieces.encode(gloss.lower())]].mean(dim=0)
        for gloss in VOCABULARY[4:-1]
    ]
    unknown = embeddings[3]
    expected = [embeddings[0], unknown, german, chinese, *words, unknown, embeddings[2], german]
    torch.testing.assert_close(read_gloss_embeddings(pruned, VOCABULARY), torch.stack(expected))


def test_the_pruned_folder_trains(pruned: Path, experiment: Path) -> None:
    config = load_experiment(experiment)
    assert isinstance(config, TranslationConfig)
    task = Translation(config, start_processes("cpu"))
    network = task.build_network()
    assert torch.equal(network.glosses, read_gloss_embeddings(pruned, VOCABULARY)[:-2])
    step = task.training_step(network, network, build_optimizer(network, config.training))
    batch = task.training_data()[[Request(0, None)]]
    losses = [step(task.parts(batch, number), 0, 0.0)["translation"] for number in range(20)]
    assert losses[-1] < losses[0] / 4
    again = build_translator(config, task.vocabulary, task.texts, None)
    again.load_state_dict(network.state_dict())


def test_an_interrupted_run_leaves_no_folder(
    whole: Path, pruned: Path, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prune_mbart, "save_file", stop)
        run(patch, whole, experiment, tmp_path / "new" / "out")
    assert not (tmp_path / "new" / "out").exists()
    run(monkeypatch, whole, experiment, tmp_path / "new" / "out")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == {p.name for p in pruned.iterdir()}


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def damaged(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(b"version https://git-lfs.github.com/spec/v1")


def saying(key: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        write_json(folder / "config.json", config | {key: value})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, f"no {SENTENCEPIECE}; name a folder that holds a whole"),
        (without(SENTENCEPIECE), f"no {SENTENCEPIECE}; name a folder that holds a whole"),
        (damaged(SENTENCEPIECE), "not a model of sentencepiece"),
        (without("config.json"), r"no text model \(no config.json\)"),
        (saying("model_type", "bart"), "its config.json has model_type 'bart', not 'mbart'"),
        (saying("vocab_size", 250027), "its config.json says 250027 tokens, but mBART-cc25"),
        (without("pytorch_model.bin"), "not a text model that can be read"),
        (damaged("pytorch_model.bin"), "not a text model that can be read"),
        (saying("decoder_layers", 2), "weights are missing"),
        (saying("d_model", 32), "not a text model that can be read"),
    ],
)
def test_a_folder_without_a_whole_model_is_refused(
    whole: Path,
    experiment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    message: str,
) -> None:
    folder = tmp_path / "whole"
    shutil.copytree(whole, folder)
    change(folder)
    with pytest.raises(UserError, match=message) as error:
        run(monkeypatch, folder, experiment, tmp_path / "out")
    assert str(folder) in str(error.value) and "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir() if path != folder] == []


def test_a_pruned_model_is_not_pruned_again(
    pruned: Path, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="name a folder that holds a whole mBART-cc25"):
        run(monkeypatch, pruned, experiment, tmp_path / "out")


def test_an_experiment_that_is_not_of_texts_is_refused(
    whole: Path, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = ["texts.language=null", "model.text_model.folder=null", "model.text_model.scratch.layers=1"]
    for overrides, message in (
        (["texts.language=en_US"], "texts.language: 'en_US' is none of mBART's; it has ar_AR, "),
        (scratch, "texts.language: missing"),
        ([f"data.index={experiment.parent}/without_texts.csv"], "no sentence has a text"),
    ):
        with pytest.raises(UserError, match=message):
            run(monkeypatch, whole, experiment, tmp_path / "out", *overrides)
    signs = tmp_path / "signs.yaml"
    signs.write_text("task: continuous\nrun: x\ndata: {index: x, videos: x, keypoints: x}\n")
    with pytest.raises(UserError, match=r"signs.yaml: a model of continuous recognition; only translation"):
        run(monkeypatch, whole, signs, tmp_path / "out")


def test_nothing_is_overwritten(whole: Path, experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="is there already; remove it"):
        run(monkeypatch, whole, experiment, whole)


def test_what_is_no_pruned_model_is_refused(whole: Path, pruned: Path, tmp_path: Path) -> None:
    shutil.copytree(pruned, tmp_path / "pruned")
    (tmp_path / "pruned" / SENTENCEPIECE).unlink()
    damaged(GLOSS_EMBEDDINGS)(tmp_path / "pruned")
    for folder, language, message in (
        (tmp_path / "none", "de_DE", "none: no such folder; python -m dataset.prune_mbart makes"),
        (whole, "de_DE", rf"no pruned text model \(no {MAP_IDS}\); python -m dataset.prune_mbart makes"),
        (tmp_path / "pruned", "de_DE", rf"no pruned text model \(no {SENTENCEPIECE}\)"),
        (pruned, "xx_XX", "'xx_XX' is none of mBART's; it has ar_AR, .* and zh_CN"),
    ):
        with pytest.raises(UserError, match=message):
            TextVocabulary.of_folder(folder, language)
    for folder, vocabulary, message in (
        (whole, VOCABULARY, rf"no pruned text model \(no {GLOSS_EMBEDDINGS}\)"),
        (tmp_path / "pruned", VOCABULARY, "not embeddings of glosses"),
        (pruned, VOCABULARY[:-1], "of other glosses than those of the data; .*dataset.prune_mbart"),
    ):
        with pytest.raises(UserError, match=message):
            read_gloss_embeddings(folder, vocabulary)
