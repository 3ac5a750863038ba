"""Labels in any script: the installed fonts that have the characters, and what to write where none has."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["drawable", "families_for"]


def families_for(text: Iterable[str]) -> tuple[list[str], set[str]]:
    """(font families to try in this order, characters of `text` that no installed font has), for matplotlib's `font.family`."""
    from matplotlib import font_manager, ft2font

    families, missing = ["DejaVu Sans"], {character for character in text if not character.isspace()}
    missing -= _characters(ft2font.FT2Font(font_manager.findfont("DejaVu Sans")))
    for font in font_manager.fontManager.ttflist:
        if not missing:
            break
        if "Last Resort" in font.name:  # draws a box for everything
            continue
        try:
            found = missing & _characters(ft2font.FT2Font(font.fname))
        except (OSError, RuntimeError):  # a font that has gone, or that FreeType cannot read
            continue
        if found and font.name not in families:
            families.append(font.name)
            missing -= found
    return families, missing


def _characters(font: object) -> set[str]:
    return {chr(code) for code in font.get_charmap()}  # type: ignore[attr-defined]


def drawable(label: str, missing: set[str]) -> str:
    """`label` with the number of each character that cannot be drawn in its place.

    >>> drawable("a天", {"天"})
    'aU+5929'
    """
    return "".join(f"U+{ord(character):04X}" if character in missing else character for character in label)
