"""mBART-cc25 reduced to the tokens of a data set, as `python -m dataset.prune_mbart` writes it: which token is which.

A folder holds the model as the package transformers keeps it, the sub-words (`SENTENCEPIECE`), which token of the whole
model is which of this one (`MAP_IDS`), and the embeddings of the glosses (`GLOSS_EMBEDDINGS`).
"""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from utils.errors import UserError
from utils.files import read_json

SENTENCEPIECE, MAP_IDS = "sentencepiece.bpe.model", "map_ids.json"
GLOSS_EMBEDDINGS = "gloss_embeddings.safetensors"

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")  # the first tokens
END, UNKNOWN = 2, 3  # of these
MASK = "<mask>"  # the last token of the whole model
LANGUAGES = (  # in the order of their tokens, which lie between the sub-words and the mask
    *("ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN"),
    *("hi_IN", "it_IT", "ja_XX", "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP"),
    *("nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN", "zh_CN"),
)
SHIFT = 1  # mBART has one special token more than sentencepiece, whose first pieces are <unk>, <s>, </s>


def whole_token(piece: int) -> int:
    """The token of a piece of sentencepiece in a whole mBART."""
    return piece + SHIFT if piece >= len(SPECIALS) - SHIFT else UNKNOWN


def whole_tokens(pieces: int) -> dict[str, int]:
    """{name: token} of all that is no sub-word, in a whole mBART whose sentencepiece has so many pieces."""
    tokens = [*range(len(SPECIALS)), *range(pieces + SHIFT, pieces + SHIFT + len(LANGUAGES) + 1)]
    return dict(zip((*SPECIALS, *LANGUAGES, MASK), tokens, strict=True))


def refuse_unknown_language(language: str) -> None:
    """Raise a `UserError` if mBART does not know a language."""
    if language not in LANGUAGES:
        raise UserError(
            f"texts.language: {language!r} is none of mBART's; it has {', '.join(LANGUAGES[:-1])} and {LANGUAGES[-1]}"
        )


def read_map_ids(folder: Path) -> dict[int, int]:
    """{token of the whole model: token of the pruned one}.

    Raises:
        UserError: the folder is not that of a pruned model.
    """
    path = pruned_file(folder, MAP_IDS)
    return {int(old): new for old, new in read_json(path, dict).items()}


def pruned_file(folder: Path, name: str) -> Path:
    """A file of a pruned model.

    Raises:
        UserError: there is no such folder, or no such file in it.
    """
    remedy = "python -m dataset.prune_mbart makes a pruned model of a local mBART"
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {remedy}")
    if not (folder / name).is_file():
        raise UserError(f"{folder}: no pruned text model (no {name}); {remedy}")
    return folder / name


def read_gloss_embeddings(folder: Path, vocabulary: list[str]) -> Tensor:
    """float32 [glosses + 2, width]: of the glosses, of `</s>`, and of the language that is signed.

    Raises:
        UserError: the folder has none, or they are of another vocabulary.
    """
    path = pruned_file(folder, GLOSS_EMBEDDINGS)
    try:
        with safe_open(path, "pt") as file:
            glosses = json.loads(file.metadata()["vocabulary"])
            embeddings: Tensor = file.get_tensor("embeddings")
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not embeddings of glosses ({error}); make the folder again") from None
    if glosses != vocabulary:
        raise UserError(
            f"{path}: of other glosses than those of the data; make one of these: python -m dataset.prune_mbart"
        )
    return embeddings
