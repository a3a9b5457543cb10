"""Translation: each part of the method alone, in double precision."""

import json

import torch
from torch import nn

from modeling.translation.beam_search import generate
from modeling.translation.config import GenerationConfig
from modeling.translation.losses import smoothed_cross_entropy
from modeling.translation.mapper import EmbeddingMapper, MLPMapper
from modeling.translation.text_model import (
    PAD,
    TextModel,
    decoder_inputs,
    source_of,
)
from tests.parity.golden import Comparison, GoldenFile, GoldenSet, find
from utils.packages import translation_package
from utils.text_scores import Unit, score_texts

END_GLOSS, LANGUAGE_GLOSS = 3, 4  # in the recorded gloss embeddings
MAPPING = "vl_mapper.mapping"
TOLERANCE = 1e-9
MOST_TOKENS = 20
WITHOUT_EMBEDDING = 7  # a gloss of the embedding mapper's recording


def translation(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    _text(golden, file, out)
    _embedding_mapper(golden, file, out)
    _cross_entropy(golden, file, out)


def text_model(golden: GoldenSet) -> TextModel:
    """The tiny mBART with the recipe's weights."""
    transformers = translation_package("transformers")
    content = json.loads(find(golden.directory, "keys_mbart_tiny.json").read_text())
    mbart = transformers.MBartForConditionalGeneration(transformers.MBartConfig(**content["config"]))
    report = mbart.load_state_dict(golden.weights("keys_mbart_tiny.json"), strict=False)
    assert set(report.missing_keys) <= set(content["tied_to_model_shared_weight"]), report.missing_keys
    assert not report.unexpected_keys, report.unexpected_keys
    mbart.tie_weights()
    model = TextModel(mbart, language=content["config"]["decoder_start_token_id"])
    return model.to(golden.device, torch.float64).eval()


@torch.no_grad()
def _text(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    features, embeddings = golden.tensor(file["gloss_feature"]), golden.tensor(file["gloss_embedding"])
    mapper = MLPMapper(features.shape[2], embeddings.shape[1]).to(golden.device, torch.float64)
    for place, layer in enumerate(mapper):
        if isinstance(layer, nn.Linear):
            for name, parameter in layer.named_parameters():
                key = f"{MAPPING}.{place}.{name}"
                filled = golden.recipe.tensor_for(key, list(parameter.shape), golden.salt)
                parameter.copy_(golden.tensor(filled))
    mapped = mapper(features)
    out.relative("mapped", mapped, file["mapped"], TOLERANCE)
    source = source_of(mapped, golden.tensor(file["lengths"]), embeddings[[END_GLOSS, LANGUAGE_GLOSS]])
    out.relative("inputs_embeds", source.vectors, file["inputs_embeds"], TOLERANCE)
    out.equal("attention_mask", source.mask.tolist(), file["attention_mask"].tolist())
    model, labels = text_model(golden), golden.tensor(file["labels"])
    inputs = decoder_inputs(labels, model.language)
    out.equal("decoder_input_ids", inputs.tolist(), file["decoder_input_ids"].tolist())
    logits = model(source, labels)
    out.relative("logits", logits, file["logits"], TOLERANCE)
    loss = smoothed_cross_entropy(logits.log_softmax(dim=2), labels, 0.2, PAD) / len(labels)
    out.relative("translation_loss", loss, file["translation_loss"], TOLERANCE)
    for name in file.names("generated/"):
        config = GenerationConfig(beam=int(name.removeprefix("generated/beams")), max_tokens=MOST_TOKENS)
        found = generate([model], [source], config)
        longest = file[name].shape[1]
        padded = [tokens + [PAD] * (longest - len(tokens)) for tokens in found]
        out.equal(name, padded, file[name].tolist())


def _embedding_mapper(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    embeddings = golden.tensor(file["gloss_embedding"]).clone()
    embeddings[WITHOUT_EMBEDDING] = 0
    mapper = EmbeddingMapper(embeddings).to(golden.device, torch.float64)
    probabilities = golden.tensor(file["embedding_mapper/probabilities"])
    out.relative("embedding mapper", mapper(probabilities), file["embedding_mapper/out"], TOLERANCE)


def _cross_entropy(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    targets = golden.tensor(file["xent/targets"])
    for smoothing in ("0.0", "0.2"):
        log_probabilities = golden.tensor(file["xent/log_probs"]).requires_grad_()
        loss = smoothed_cross_entropy(log_probabilities, targets, float(smoothing), PAD)
        loss.backward()
        out.relative(f"xent/{smoothing}", loss, file[f"xent/{smoothing}"], TOLERANCE)
        out.relative(
            f"xent/{smoothing}/grad", log_probabilities.grad, file[f"xent/{smoothing}/grad"], TOLERANCE
        )


def text_scores(golden: GoldenSet, file: GoldenFile, out: Comparison) -> None:
    units: dict[str, Unit] = {"word": "words", "char": "characters"}
    for name, unit in units.items():
        recorded = file[name]
        found = score_texts(recorded["references"], recorded["hypotheses"], unit).values
        for order, value in enumerate(recorded["bleu"].values(), start=1):
            out.absolute(f"{name}/BLEU-{order}", found[f"BLEU-{order}"], value, TOLERANCE)
        out.absolute(f"{name}/ROUGE-L", found["ROUGE-L"], recorded["rouge"], TOLERANCE)
