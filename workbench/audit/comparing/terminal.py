"""Tables for a terminal, as wide as it is, in which nothing that a run says is obeyed."""

from __future__ import annotations

import shutil
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING

from workbench.markup import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["columns"]

WIDTH = 100
_GAP = 2
_NARROWEST = 6
"""Characters that a column keeps, however narrow the terminal is."""
_CHARACTERS = 200


def columns(
    rows: Iterable[Sequence[str]],
    headings: Sequence[str] = (),
    *,
    right: Sequence[int] = (),
    whole: Sequence[int] = (),
) -> str:
    """Rows as text in columns that fit the terminal; long cells are broken over lines.

    Control characters are made visible, and no cell is longer than 200 characters.

    Args:
        rows: of as many cells each.
        headings: of the columns; none where it is empty.
        right: columns that are set to the right.
        whole: columns that are never broken.
    """
    cells = [[visible(cell, _CHARACTERS) for cell in row] for row in rows]
    if headings:
        cells.insert(0, list(headings))
    if not cells:
        return ""
    natural = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths = _fitting(natural, whole, shutil.get_terminal_size((WIDTH, 24)).columns)
    return "\n".join(line for row in cells for line in _lines(row, widths, right))


def _fitting(natural: Sequence[int], whole: Sequence[int], width: int) -> list[int]:
    """The columns' widths: the widest that may be broken are made narrower until all fit."""
    widths = list(natural)
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    while over > 0:
        open_to = [p for p in range(len(widths)) if p not in whole and widths[p] > _NARROWEST]
        if not open_to:
            break
        widest = max(open_to, key=lambda place: widths[place])
        widths[widest] -= 1
        over -= 1
    return widths


def _lines(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> Iterator[str]:
    broken = [
        [cell] if len(cell) <= width else textwrap.wrap(cell, width)
        for cell, width in zip(row, widths, strict=True)
    ]
    for parts in zip_longest(*broken, fillvalue=""):
        line = (" " * _GAP).join(
            part.rjust(width) if place in right else part.ljust(width)
            for place, (part, width) in enumerate(zip(parts, widths, strict=True))
        )
        yield line.rstrip()
