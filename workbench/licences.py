"""The licence that a model's folder states, and where it states it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LICENCE_FILES", "find_licence"]

LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "USE_POLICY")

_CARD = "README.md"
_READ = 200_000  # characters: front matter and a licence's title stand at the top
_TOP = 2_000

# The words by which a licence's own text is known, the narrower before the wider.
_TEXTS = (
    ("apache license version 2.0", "apache-2.0"),
    ("mit license", "mit"),
    ("permission is hereby granted, free of charge", "mit"),
    ("gnu affero general public license", "agpl-3.0"),
    ("gnu lesser general public license", "lgpl"),
    ("gnu general public license version 2", "gpl-2.0"),
    ("gnu general public license version 3", "gpl-3.0"),
    ("gnu general public license", "gpl"),
    ("mozilla public license", "mpl-2.0"),
    ("gemma terms of use", "gemma"),
    ("openrail", "openrail"),
    ("responsible ai license", "openrail"),
    ("attribution-noncommercial-sharealike 4.0", "cc-by-nc-sa-4.0"),
    ("attribution-noncommercial 4.0", "cc-by-nc-4.0"),
    ("attribution-sharealike 4.0", "cc-by-sa-4.0"),
    ("attribution 4.0", "cc-by-4.0"),
    ("cc0 1.0", "cc0-1.0"),
    ("this is free and unencumbered software", "unlicense"),
)
_PLAIN = re.compile(r"^license:\s*[\"']?([\w.+-]+)[\"']?\s*$", re.MULTILINE)
_LLAMA = (
    ("llama 4 community license", "llama4"),
    ("llama 3.3 community license", "llama3.3"),
    ("llama 3.2 community license", "llama3.2"),
    ("llama 3.1 community license", "llama3.1"),
    ("llama 3 community license", "llama3"),
    ("llama 2 community license", "llama2"),
)
_BSD = "redistribution and use in source and binary forms"
_BSD_NAMES = "neither the name"


def find_licence(directory: Path) -> tuple[str | None, str | None]:
    """The licence's name and the file that states it; None, None where there is none.

    The model card's front matter comes first, then the text of a licence file. A file whose text
    is not one of the common licences is named "found, not recognised".
    """
    stated = _from_card(directory / _CARD)
    if stated:
        return stated, _CARD
    for path in sorted(directory.iterdir()):
        if path.is_file() and path.name.upper().startswith(LICENCE_FILES[:3]):
            return _recognise(_text(path)), path.name
    return None, None


def _from_card(card: Path) -> str | None:
    if not card.is_file():
        return None
    front = _front_matter(_text(card))
    licence = _named(front.get("license"))
    if licence == "other":
        # The card's own convention: "other" is named by `license_name`.
        return _named(front.get("license_name")) or licence
    return licence


def _named(value: Any) -> str | None:
    """A licence's name out of whatever stands in the front matter."""
    if isinstance(value, list):
        return ", ".join(str(item) for item in value[:5])[:100] or None
    return value.strip()[:100] or None if isinstance(value, str) else None


def _front_matter(text: str) -> dict[str, Any]:
    """The YAML between the two `---` at a card's top; empty where it is not such a thing."""
    if not text.startswith("---"):
        return {}
    head = text[3:].split("\n---", 1)[0]
    import yaml

    try:
        # Nothing in a card needs aliases, and nested ones grow without bound.
        content = None if "*" in head and "&" in head else yaml.safe_load(head)
    except (yaml.YAMLError, ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        return content
    # A card that is not YAML as a whole may still say its licence on one plain line.
    plain = _PLAIN.search(head)
    return {"license": plain.group(1)} if plain else {}


def _recognise(text: str) -> str:
    top = " ".join(text[:_TOP].lower().split())
    for words, name in _LLAMA + _TEXTS:
        if words in top.replace(", version", " version"):
            return name
    whole = " ".join(text.lower().split())
    if _BSD in whole:
        return "bsd-3-clause" if _BSD_NAMES in whole else "bsd-2-clause"
    return "found, not recognised"


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline=None) as file:
            return file.read(_READ)
    except OSError:
        return ""
