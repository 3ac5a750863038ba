"""Names of countries and languages, in English and another language, from the package pycountry and its translations."""

from __future__ import annotations

import gettext
from pathlib import Path
from typing import Any

__all__ = ["languages", "names"]

CATALOGUES = ("iso3166-1", "iso639-3")  # countries; languages


def _pycountry() -> Any:
    """The package; ValueError with one line where it is not installed."""
    try:
        import pycountry
    except ImportError:
        raise ValueError('--task countries takes the names from pycountry: pip install "minigrad-nn[examples]"') from None
    return pycountry


def languages() -> list[str]:
    """The languages into which both countries and languages are translated."""
    folder = Path(_pycountry().LOCALES_DIR)
    return sorted(each.name for each in folder.iterdir() if all(gettext.find(name, folder, [each.name]) for name in CATALOGUES))


def names(to: str) -> list[tuple[str, str]]:
    """All names that are translated, and not the same in both languages, in the order of the standards."""
    pycountry, pairs = _pycountry(), []
    for catalogue, entries in zip(CATALOGUES, (pycountry.countries, pycountry.languages), strict=True):
        translated = gettext.translation(catalogue, pycountry.LOCALES_DIR, [to]).gettext
        texts = [getattr(entry, field) for entry in entries for field in ("name", "official_name") if hasattr(entry, field)]
        pairs += [(text, translated(text)) for text in dict.fromkeys(texts) if translated(text) != text]
    return pairs
