"""Texts as numbers: sub-words by the package sentencepiece, numbered as a text model knows them.

Every text model has the tokens of mBART first: `<s>`, `<pad>`, `</s>`, `<unk>`.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dataset.pruned_mbart import (
    END,
    SENTENCEPIECE,
    UNKNOWN,
    pruned_file,
    read_map_ids,
    refuse_unknown_language,
    whole_token,
    whole_tokens,
)
from utils.errors import UserError
from utils.packages import translation_package

LANGUAGE = 4  # of a vocabulary that is made of texts; its sub-words come behind


class TextVocabulary:
    """The sub-words of texts.

    Args:
        model: of sentencepiece, as its file holds it.
        tokens: int64 [sub-words of this model], the token of each; -1 of those that the text model does not have.
        language: the token that a text starts with.

    Attributes:
        size: how many tokens there are.
    """

    def __init__(self, model: bytes, tokens: np.ndarray, language: int):
        self.model, self.tokens, self.language = model, tokens, language
        self.size = max(language, int(tokens.max())) + 1
        self._pieces = _processor(model)
        self._piece_of = {int(token): piece for piece, token in enumerate(tokens) if token > UNKNOWN}

    @classmethod
    def of_texts(cls, texts: Sequence[str], pieces: int) -> "TextVocabulary":
        """One made of texts, of at most so many sub-words; the same for the same texts.

        Raises:
            UserError: the package is missing, or there are fewer sub-words allowed than the texts have characters.
        """
        written = io.BytesIO()
        try:
            translation_package("sentencepiece").SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=written,
                model_type="bpe",
                vocab_size=pieces,
                hard_vocab_limit=False,
                character_coverage=1.0,
                num_threads=1,
                bos_id=-1,
                eos_id=-1,
                unk_id=0,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise UserError(f"texts.pieces: {pieces} cannot be made of these texts: {error}") from None
        model = written.getvalue()
        tokens = np.arange(_piece_count(model)) + LANGUAGE
        tokens[0] = UNKNOWN
        return cls(model, tokens, LANGUAGE)

    @classmethod
    def of_folder(cls, folder: Path, language: str) -> "TextVocabulary":
        """The sub-words of a pruned mBART, which `dataset.prune_mbart` makes; the texts are in `language`.

        Raises:
            UserError: the package is missing, there is no such model, or it does not have the language.
        """
        refuse_unknown_language(language)
        new = read_map_ids(folder)
        model = pruned_file(folder, SENTENCEPIECE).read_bytes()
        count = _piece_count(model)
        tokens = np.array([new.get(whole_token(piece), -1) for piece in range(count)])
        return cls(model, tokens, new[whole_tokens(count)[language]])

    @classmethod
    def of_tensors(cls, model: Tensor, tokens: Tensor) -> "TextVocabulary":
        """What `tensors` gave."""
        *numbers, language = tokens.tolist()
        return cls(model.numpy().tobytes(), np.array(numbers), language)

    def tensors(self) -> tuple[Tensor, Tensor]:
        """It as tensors, to be kept with weights: uint8, and int64 with the language last."""
        model = torch.frombuffer(bytearray(self.model), dtype=torch.uint8)
        return model, torch.tensor([*self.tokens.tolist(), self.language])

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, then `</s>`."""
        found = self.tokens[self._pieces.encode(text)] if text else []
        return [*(UNKNOWN if token < 0 else int(token) for token in found), END]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; what is no sub-word is left out."""
        text: str = self._pieces.decode(
            [self._piece_of[token] for token in tokens if token in self._piece_of]
        )
        return text


def _processor(model: bytes) -> Any:
    return translation_package("sentencepiece").SentencePieceProcessor(model_proto=model)


def _piece_count(model: bytes) -> int:
    return int(_processor(model).get_piece_size())
