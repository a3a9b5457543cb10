"""Packages that not everybody needs, imported where they are used."""

from importlib import import_module
from typing import Any

from utils.errors import UserError


def translation_package(name: str) -> Any:
    """One of the packages of requirements-translation.txt; importing it may take seconds.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise UserError(
            f"{name} is not installed: pip install -c requirements.txt -r requirements-translation.txt"
        ) from None
