"""Make a small text model of a local mBART: the tokens that a data set has, and the embeddings of its glosses.

    python -m dataset.prune_mbart --model mbart-large-cc25 --config CONFIG --out weights/mbart_phoenix2014t

--model is a folder with mBART-cc25: config.json, the weights and sentencepiece.bpe.model, as facebook/mbart-large-cc25
has them. Nothing is downloaded. What stays are the special tokens, the languages, and every sub-word of the texts and
glosses of all splits. model.text_model.folder of the experiment names what is made.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from configs.schema import TranslationConfig, load_experiment
from dataset.annotations import SPLITS
from dataset.pruned_mbart import (
    END,
    GLOSS_EMBEDDINGS,
    MAP_IDS,
    MASK,
    SENTENCEPIECE,
    UNKNOWN,
    refuse_unknown_language,
    whole_token,
    whole_tokens,
)
from dataset.sentences import read_sentences
from utils.command_line import entry_point_parser
from utils.errors import UserError, run_entry_point
from utils.files import replacing, write_json
from utils.mbart import load_mbart, read_mbart_config
from utils.packages import translation_package

SIGNED = {"de_DGS": "de_DE", "zh_CSL": "zh_CN"}  # sign languages, and the language whose embedding they have


def main() -> int:
    parser = entry_point_parser(__doc__, "texts.language=de_DE")
    parser.add_argument("--model", type=Path, required=True, help="folder of the whole mBART")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment: translation")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    arguments = parser.parse_intermixed_args()
    out: Path = arguments.out
    config = load_experiment(arguments.config, arguments.overrides)
    if not isinstance(config, TranslationConfig):
        raise UserError(f"{arguments.config}: a model of {config.kind}; only translation has a text model")
    if (language := config.texts.language) is None:
        raise UserError("texts.language: missing; name that of the texts, such as de_DE")
    refuse_unknown_language(language)
    if out.exists():
        raise UserError(f"{out}: is there already; remove it, or name another folder with --out")
    annotations = read_sentences(config.data)
    sentences = [sentence for split in SPLITS for sentence in annotations.split(split)]
    if not any(sentence.text for sentence in sentences):
        raise UserError(f"{config.data.annotations}: no sentence has a text, in the column text")
    written = [text for s in sentences for text in (s.text or "", s.gloss.lower())]

    mbart = WholeMBart(arguments.model)
    embeddings = mbart.gloss_embeddings(annotations.vocabulary, language)
    kept = mbart.kept_tokens(written)
    with replacing(out) as partial:
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was interrupted
        partial.mkdir(parents=True)
        mbart.write_pruned(kept, partial)
        metadata = {"vocabulary": json.dumps(annotations.vocabulary), "language": language}
        save_file({"embeddings": embeddings}, partial / GLOSS_EMBEDDINGS, metadata)
    size = (out / "model.safetensors").stat().st_size / 1e6
    print(f"{out}: {len(kept)} of {mbart.size} tokens, {size:.1f} MB; {len(annotations.vocabulary)} glosses")
    return 0


class WholeMBart:
    """mBART-cc25 with its sub-words.

    Attributes:
        size: how many tokens it has.

    Raises:
        UserError: a package is missing, or the folder does not hold such a model.
    """

    def __init__(self, folder: Path):
        self.sentencepiece = folder / SENTENCEPIECE
        if not self.sentencepiece.is_file():
            raise UserError(f"{folder}: no {SENTENCEPIECE}; name a folder that holds a whole mBART-cc25")
        try:
            self._pieces = translation_package("sentencepiece").SentencePieceProcessor(
                model_proto=self.sentencepiece.read_bytes()
            )
        except RuntimeError:
            raise UserError(f"{self.sentencepiece}: not a model of sentencepiece; fetch it again") from None
        self.tokens = whole_tokens(self._pieces.get_piece_size())
        self.size = self.tokens[MASK] + 1
        if (size := read_mbart_config(folder).get("vocab_size")) != self.size:
            raise UserError(
                f"{folder}: its config.json says {size} tokens, but mBART-cc25 with its {SENTENCEPIECE} has "
                f"{self.size}; name a folder that holds a whole mBART-cc25"
            )
        self._mbart = load_mbart(folder)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without any at its end."""
        return [whole_token(piece) for piece in self._pieces.encode(text)]

    def kept_tokens(self, texts: Iterable[str]) -> list[int]:
        """Those of a pruned model, in its order: all that are no sub-words, then those of the texts as they occur."""
        found = dict.fromkeys(self.tokens.values())
        return list(found | dict.fromkeys(token for text in texts for token in self.encode(text)))

    @torch.no_grad()
    def gloss_embeddings(self, vocabulary: Sequence[str], language: str) -> Tensor:
        """float32 [glosses + 2, width]: of every gloss the mean over its sub-words, then `</s>` and the language.

        A gloss that has the name of a special token or of a language has the embedding of that token.
        """
        embeddings = self._mbart.model.shared.weight

        def tokens_of(gloss: str) -> list[int]:
            name = SIGNED.get(gloss, gloss)
            return [self.tokens[name]] if name in self.tokens else self.encode(gloss.lower()) or [UNKNOWN]

        rows = [*map(tokens_of, vocabulary), [END], [self.tokens[language]]]
        return torch.stack([embeddings[row].mean(dim=0) for row in rows])

    @torch.no_grad()
    def write_pruned(self, kept: Sequence[int], folder: Path) -> None:
        """Reduce the model to some of its tokens and write it, without the embeddings of glosses, to a folder."""
        embeddings = self._mbart.model.shared.weight[kept]
        bias = self._mbart.final_logits_bias[:, kept]
        self._mbart.resize_token_embeddings(len(kept)).weight.copy_(embeddings)
        self._mbart.final_logits_bias.copy_(bias)
        self._mbart.save_pretrained(folder)
        shutil.copyfile(self.sentencepiece, folder / SENTENCEPIECE)
        write_json(folder / MAP_IDS, {old: new for new, old in enumerate(kept)})


if __name__ == "__main__":
    run_entry_point(main)
