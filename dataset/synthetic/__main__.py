"""Render the embedded set of synthetic signers.

python -m dataset.synthetic --out data/synthetic
"""

import argparse
import dataclasses
from pathlib import Path

from dataset.synthetic.sign_set import SignSetConfig, make_sign_set


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write the set to")
    for field in dataclasses.fields(SignSetConfig):
        parser.add_argument(f"--{field.name}", type=int, default=field.default, help="default: %(default)s")
    options = vars(parser.parse_args())
    out = options.pop("out")
    try:
        config = SignSetConfig(**options)
    except ValueError as error:
        parser.error(str(error))
    make_sign_set(out, config)


if __name__ == "__main__":
    main()
