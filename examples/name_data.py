"""Names and their languages, from the lists of the faker package."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Mapping

from labelled import Pairs, clean

__all__ = ["LOCALES", "faker_names"]

# Languages written in Latin letters, so that the script alone does not give them away, with several hundred names each.
LOCALES = {
    "Croatian": ("hr_HR",),
    "Czech": ("cs_CZ",),
    "Dutch": ("nl_NL",),
    "English": ("en_GB", "en_US"),
    "Estonian": ("et_EE",),
    "Finnish": ("fi_FI",),
    "French": ("fr_FR", "fr_BE", "fr_CA"),
    "German": ("de_DE", "de_AT"),
    "Indonesian": ("id_ID",),
    "Italian": ("it_IT",),
    "Polish": ("pl_PL",),
    "Spanish": ("es_ES", "es_MX"),
    "Swedish": ("sv_SE",),
    "Turkish": ("tr_TR",),
    "Zulu": ("zu_ZA",),
}
ENOUGH, MOST = 400, 1000  # family names that do without given names; names of a language


def faker_names() -> Pairs:
    """(name, language), each name once: family names, and given names too where a language has few of those.

    Names of several words are left out, as are names that several languages have. ValueError where faker is not installed.
    """
    pairs = []
    for language, locales in LOCALES.items():
        family, given = _listed(locales, "last_names"), _listed(locales, "first_names")
        pairs += [(name, language) for name in (family if len(family) >= ENOUGH else family | given) if " " not in name]
    pairs = clean(pairs)
    return [pair for language in LOCALES for pair in _some([pair for pair in pairs if pair[1] == language])]


def _listed(locales: tuple[str, ...], kind: str) -> set[str]:
    """The names in all lists of this kind, which are tuples, or dicts from names to how frequent they are."""
    found: set[str] = set()
    for locale in locales:
        try:
            provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        except ModuleNotFoundError:
            raise ValueError('names come from the faker package: pip install "minigrad-nn[examples]", or give --data FILE') from None
        for attribute, names in vars(provider).items():
            if kind in attribute and isinstance(names, (tuple, list, Mapping)):
                found |= set(names)
    return found


def _some(pairs: Pairs) -> Pairs:
    """At most MOST of a language's names: a checksum chooses, always the same ones."""
    return sorted(pairs, key=lambda pair: zlib.crc32(pair[0].encode()[::-1]))[:MOST]
