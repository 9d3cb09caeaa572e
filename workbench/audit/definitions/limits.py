"""How much an audit may take, and how a person writes it: `"30 min"`, `"8 GB"`."""

from __future__ import annotations

import re

from pydantic import Field

from workbench.errors import InputError
from workbench.markup import visible
from workbench.provenance import Record

__all__ = ["NO_LIMITS", "Limits", "given_limits", "in_bytes", "in_seconds"]

LONGEST = 366 * 86_400
"""Seconds. What is longer is a mistake, and more than a timer takes."""
_MOST_BYTES = 2**63 - 1

_SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600}
_BYTES = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    f"{letter}iB": 1 << 10 * power for power, letter in enumerate("KMGT", 1)
}
_QUANTITY = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([A-Za-z]*)\s*")


class Limits(Record):
    """How much an audit may take.

    Attributes:
        items: of each task, drawn at random in whole clusters; None for all.
        section_seconds: for one section; None for no limit.
        memory_bytes: of the kernel's process; None for no limit.
    """

    items: int | None = Field(None, ge=1)
    section_seconds: float | None = Field(None, gt=0, le=LONGEST)
    memory_bytes: int | None = Field(None, gt=0, le=_MOST_BYTES)


NO_LIMITS = Limits()


def given_limits(
    items: int | None = None, section: str | None = None, memory: str | None = None
) -> Limits:
    """The limits as a command line gives them; None where one is not given.

    Args:
        items: of each task.
        section: time for one section, as `in_seconds` reads it.
        memory: of the kernel, as `in_bytes` reads it.

    Raises:
        InputError: for a limit below 1, or a time or size that cannot be read.
    """
    if items is not None and not 0 < items <= _MOST_BYTES:
        raise InputError(f"got --limit {items}; expected at least 1.")
    return Limits(
        items=items,
        section_seconds=None if section is None else in_seconds(section),
        memory_bytes=None if memory is None else in_bytes(memory),
    )


def in_seconds(text: str) -> float:
    """The seconds of a time such as `"90"`, `"90 s"`, `"30 min"` or `"1.5 h"`.

    Raises:
        InputError: for anything else, nothing at all, or more than a year.

    >>> in_seconds("30 min")
    1800.0
    """
    seconds = _quantity(text, _SECONDS, 'a time such as "90 s", "30 min" or "1.5 h"')
    if not 0 < seconds <= LONGEST:
        raise InputError(f'got "{text}"; expected more than no time, and at most a year.')
    return seconds


def in_bytes(text: str) -> int:
    """The bytes of a size such as `"800 MB"`, `"8 GB"` (powers of ten) or `"8 GiB"` (of two).

    Raises:
        InputError: for anything else, less than one byte, or more than 64 bits count.

    >>> in_bytes("8 GB")
    8000000000
    """
    size = int(_quantity(text, _BYTES, 'a size such as "800 MB", "8 GB" or "8 GiB"'))
    if not 0 < size <= _MOST_BYTES:
        raise InputError(f'got "{text}"; expected at least one byte, and fewer than 2**63.')
    return size


def _quantity(text: str, units: dict[str, int], expected: str) -> float:
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2] not in units:
        raise InputError(f'got "{visible(text, 60)}"; expected {expected}.')
    return float(found[1]) * units[found[2]]
