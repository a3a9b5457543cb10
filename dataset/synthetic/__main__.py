"""Render an embedded set of synthetic signers: single signs, or whole sentences.

python -m dataset.synthetic --out data/synthetic
python -m dataset.synthetic --out data/sentences --sentences
"""

import argparse
import dataclasses
from pathlib import Path

from dataset.synthetic.sentence_set import SentenceSetConfig, make_sentence_set
from dataset.synthetic.sign_set import SignSetConfig, make_sign_set
from utils.errors import run_entry_point


def main() -> int:
    kind = argparse.ArgumentParser(add_help=False)
    kind.add_argument(
        "--sentences", action="store_true", help="sentences instead of single signs; has options of its own"
    )
    sentences = kind.parse_known_args()[0].sentences
    config_class = SentenceSetConfig if sentences else SignSetConfig
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[kind]
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write the set to")
    for field in dataclasses.fields(config_class):
        parser.add_argument(
            f"--{field.name}", type=type(field.default), default=field.default, help="default: %(default)s"
        )
    options = vars(parser.parse_args())
    out = options.pop("out")
    del options["sentences"]
    try:
        config = config_class(**options)
    except ValueError as error:
        parser.error(str(error))
    if isinstance(config, SentenceSetConfig):
        make_sentence_set(out, config)
    else:
        make_sign_set(out, config)
    return 0


if __name__ == "__main__":
    run_entry_point(main)
