"""A local mBART, in a folder as the package transformers keeps it. Nothing is downloaded."""

from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from utils.errors import UserError
from utils.files import read_json
from utils.packages import translation_package

if TYPE_CHECKING:
    from transformers import MBartForConditionalGeneration

UNREADABLE = "not a text model that can be read"


def read_mbart_config(folder: Path) -> dict[str, Any]:
    """The content of its config.json.

    Raises:
        UserError: there is none, or it is of another kind of model.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(
            f"{folder}: no text model (no config.json); name the folder of an mBART, as transformers keeps it"
        )
    config: dict[str, Any] = read_json(path, dict)
    if (kind := config.get("model_type")) != "mbart":
        raise UserError(f"{folder}: {UNREADABLE}: its config.json has model_type {kind!r}, not 'mbart'")
    return config


def load_mbart(folder: Path, **changes: Any) -> "MBartForConditionalGeneration":
    """The model, float32. `changes`: values that take the place of those in its config.json.

    Raises:
        UserError: the package is missing, or the folder does not hold a whole mBART.
    """
    transformers = translation_package("transformers")
    read_mbart_config(folder)
    try:
        mbart, report = transformers.MBartForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, output_loading_info=True, **changes
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise UserError(f"{folder}: {UNREADABLE}: {str(error).splitlines()[0]}") from None
    if missing := sorted(report["missing_keys"]):
        raise UserError(f"{folder}: {UNREADABLE}: {len(missing)} weights are missing, {missing[0]} the first")
    return mbart
