"""mBART that reads vectors: what is seen of a sentence goes into its encoder, the text comes out of its decoder.

The model itself is the one of the package transformers, which is imported only where a text model is made.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from modeling.translation.config import TextModelConfig
from utils.errors import UserError
from utils.mbart import load_mbart, read_mbart_config
from utils.packages import translation_package

if TYPE_CHECKING:
    from transformers import MBartForConditionalGeneration

PAD, END = 1, 2  # token ids that every text model has, as mBART: <s>, <pad>, </s>, <unk>


class Source(NamedTuple):
    """What the encoder reads: vectors float [B, S, width], and mask int64 [B, S], 0 where they are padding."""

    vectors: Tensor
    mask: Tensor


def source_of(steps: Tensor, counts: Tensor, ending: Tensor) -> Source:
    """The source of a batch: the steps of each sentence, then the vectors that end it, times sqrt(width), since mBART
    does not scale what comes as vectors.

    Args:
        steps: float [B, T, width], of each sentence the first `counts`, int64 [B].
        ending: float [E, width]: those of `</s>` and of the source language.
    """
    _, longest, width = steps.shape
    end = len(ending)
    places = torch.arange(longest + end, device=steps.device)
    behind = places - counts[:, None]  # place behind the steps of each sentence, [B, T + E]
    is_step = (behind < 0)[..., None]
    vectors = torch.where(is_step, nn.functional.pad(steps, (0, 0, 0, end)), ending[behind.clamp(0, end - 1)])
    mask = behind < end
    return Source(vectors * mask[..., None] * math.sqrt(width), mask.long())


def stacked(sources: Sequence[Source]) -> Source:
    """Sources of any lengths as one batch, padded with zeros."""
    vectors, masks = ([row for x in part for row in x] for part in zip(*sources, strict=True))
    return Source(pad_sequence(vectors, batch_first=True), pad_sequence(masks, batch_first=True))


def decoder_inputs(labels: Tensor, language: int) -> Tensor:
    """What the decoder reads to say `labels`, int64 [B, L]: the language, then all of them but the last."""
    return torch.cat([labels.new_full((len(labels), 1), language), labels[:, :-1]], dim=1)


class TextModel(nn.Module):
    """The text model.

    Args:
        mbart: of the package transformers.
        language: token that every text starts from.

    Attributes:
        width: length of the vectors it reads. most_tokens: positions that it has.
    """

    def __init__(self, mbart: "MBartForConditionalGeneration", language: int):
        super().__init__()
        self.mbart, self.language = mbart, language
        self.width: int = mbart.config.d_model
        self.most_tokens: int = mbart.config.max_position_embeddings

    def forward(self, source: Source, labels: Tensor) -> Tensor:
        """Logits [B, L, V] of every token of the texts `labels`, int64 [B, L], given those before it.

        Raises:
            UserError: text or source is longer than the model has positions for.
        """
        self.refuse_long(source, labels.shape[1])
        return self.mbart(
            inputs_embeds=source.vectors,
            attention_mask=source.mask,
            decoder_input_ids=decoder_inputs(labels, self.language),
            use_cache=False,
        ).logits

    def refuse_long(self, source: Source, tokens: int) -> None:
        """Raise a `UserError` if the model has too few positions for a source, or for a text of so many tokens."""
        for what, length in (("steps of a sentence", source.vectors.shape[1]), ("tokens of a text", tokens)):
            if length > self.most_tokens:
                raise UserError(
                    f"text_model: {length} {what} are more than its {self.most_tokens} positions; take longer ones out "
                    "of the annotations"
                )

    def encode(self, source: Source) -> Any:
        """What the decoder reads of a source."""
        return self.mbart.get_encoder()(inputs_embeds=source.vectors, attention_mask=source.mask)

    def step(self, encoded: Any, mask: Tensor, tokens: Tensor, cache: Any) -> Tensor:
        """Logits [N, V] of the token after the last one, int64 [N, 1].

        `cache` holds what was computed of the tokens before it, and takes in this one.
        """
        found = self.mbart(
            encoder_outputs=encoded,
            attention_mask=mask,
            decoder_input_ids=tokens,
            cache=cache,
            use_cache=True,
        )
        return found.logits[:, -1]


def positions_of(config: TextModelConfig) -> int:
    """How many tokens of a text, or steps of a source, a model has positions for.

    Raises:
        UserError: there is no such local mBART.
    """
    if config.scratch is not None:
        return config.scratch.positions
    assert config.folder is not None
    return int(read_mbart_config(Path(config.folder))["max_position_embeddings"])


def load_text_model(folder: Path, config: TextModelConfig, language: int) -> TextModel:
    """A local mBART, such as `dataset.prune_mbart` makes it; nothing is downloaded.

    Raises:
        UserError: the package is missing, or there is no such model.
    """
    mbart = load_mbart(folder, dropout=config.dropout, attention_dropout=config.attention_dropout)
    return TextModel(mbart, language)


def new_text_model(config: TextModelConfig, tokens: int, language: int) -> TextModel:
    """One of the same kind at its random start; `tokens`: how many there are."""
    transformers = translation_package("transformers")
    assert config.scratch is not None
    layers, width = config.scratch.layers, config.scratch.width
    mbart = transformers.MBartForConditionalGeneration(
        transformers.MBartConfig(
            vocab_size=tokens,
            d_model=width,
            encoder_layers=layers,
            decoder_layers=layers,
            encoder_attention_heads=config.scratch.heads,
            decoder_attention_heads=config.scratch.heads,
            encoder_ffn_dim=4 * width,
            decoder_ffn_dim=4 * width,
            max_position_embeddings=config.scratch.positions,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            scale_embedding=True,
            pad_token_id=PAD,
            eos_token_id=END,
        )
    )
    return TextModel(mbart, language)
