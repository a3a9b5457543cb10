"""Make the word embeddings of a data set's glosses.

    python -m dataset.glosses --config configs/custom.yaml --fasttext crawl-300d-2M-subword.bin [key=value ...]
    python -m dataset.glosses --config configs/custom.yaml --vectors glove.txt [--out table.safetensors]

makes the table of a data set's vocabulary, at the configuration's data.word_embeddings or at --out, and names the
glosses whose vector is doubtful. For another language take its fastText model (cc.zh.300.bin, ...).
A table is written only if every gloss has a vector; otherwise the exit code is 1.
"""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from utils.errors import UserError, run_entry_point

if TYPE_CHECKING:
    from dataset.glosses.word_vectors import GlossVector, WordVectors

SHOWN = 10  # pairs named in the report


def main() -> int:
    from configs.schema import IsolatedConfig
    from dataset.annotations import read_annotations
    from dataset.glosses.embeddings import write_embeddings
    from dataset.glosses.word_vectors import FastTextModel, TextTable, gloss_vector, table_words
    from utils.command_line import entry_point_parser
    from utils.config import load_config

    parser = entry_point_parser(__doc__, "data.file=data/custom/data.yaml")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--fasttext", type=Path, help="a fastText model, .bin: knows subwords too")
    source.add_argument("--vectors", type=Path, help="a table in text form: GloVe, or fastText's .vec")
    parser.add_argument("--out", type=Path, help="the table to write; default: data.word_embeddings")
    arguments = parser.parse_intermixed_args()
    config = load_config(IsolatedConfig, arguments.config, arguments.overrides)
    named = arguments.out or config.data.word_embeddings
    if named is None:
        raise UserError("data.word_embeddings: missing; it says where the table goes, or --out does")
    out = Path(named)
    if out.suffix != ".safetensors":
        raise UserError(f"{out}: tables are written as .safetensors; name another file with --out")
    if out.exists():
        raise UserError(f"{out}: is there already; remove it, or name another file with --out")
    vocabulary = read_annotations(config.data).vocabulary
    table: WordVectors
    if arguments.fasttext is not None:
        table = FastTextModel(arguments.fasttext)
    else:
        table = TextTable(arguments.vectors, table_words(vocabulary))
    vectors = [gloss_vector(gloss, table) for gloss in vocabulary]
    found = {v.gloss: v.vector for v in vectors if v.vector is not None}
    if not found:
        raise UserError(
            f"{table.source}: knows none of the {len(vocabulary)} glosses; is it of their language?"
        )
    print(vector_report(vectors, table))
    if len(found) < len(vectors):
        print(f"{out} is not written: a fastText model knows more words; or call those glosses otherwise")
        return 1
    out.parent.mkdir(parents=True, exist_ok=True)
    write_embeddings(out, found, table.source)
    print(f"wrote {out}")
    return 0


def vector_report(vectors: "list[GlossVector]", table: "WordVectors") -> str:
    """How far the vectors of a vocabulary can be trusted, and which glosses they take for nearly the same."""
    from dataset.glosses.word_vectors import similar_pairs

    without = [v.gloss for v in vectors if v.vector is None]
    guessed = [v.gloss for v in vectors if v.vector is not None and v.is_doubtful]
    partly = [
        f"{v.gloss} (without {', '.join([*v.guessed, *v.unknown])})"
        for v in vectors
        if not v.is_doubtful and (v.guessed or v.unknown)
    ]
    sure = len(vectors) - len(without) - len(guessed) - len(partly)
    lines = [
        f"{table.source}, {table.dimension} numbers a word: {len(vectors)} glosses, {sure} of them known word by word"
    ]
    for glosses, what in (
        (without, "without a vector"),
        (guessed, "with a doubtful vector, guessed from the letters of their words"),
        (partly, "known in part"),
    ):
        if glosses:
            lines.append(f"{what}: {len(glosses)}: {', '.join(glosses)}")
    pairs = similar_pairs(vectors, most=len(vectors))
    same = list(itertools.takewhile(lambda pair: pair[0] > 1 - 1e-6, pairs))
    if same:
        shown = ", ".join(f"{one} = {other}" for _, one, other in same[:SHOWN])
        lines.append(f"{len(same)} pairs have the same vector, language cannot tell them apart: {shown}")
    lines.append("most similar: " + ", ".join(f"{one} / {other} {c:.2f}" for c, one, other in pairs[:SHOWN]))
    return "\n".join(lines)


if __name__ == "__main__":
    run_entry_point(main)
