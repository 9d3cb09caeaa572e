"""Text and tables as safe markup: what a model says is untrusted wherever it is shown.

Control characters, bidirectional overrides and lone surrogates are made visible instead of being
obeyed, megabyte-long lines are shortened, and everything is escaped.
"""

from __future__ import annotations

import math
import numbers
import re
import unicodedata
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = [
    "MISSING",
    "cell",
    "html_table",
    "number",
    "text_table",
    "thinned",
    "visible",
    "without_ansi",
]

MISSING = "\N{EN DASH}"
CELL_CHARACTERS = 300
MAX_ROWS = 60
MAX_COLUMNS = 30

# Joiners belong to ordinary words (Persian, Hindi) and to emoji; they reorder nothing.
_HARMLESS = {"\u200c", "\u200d"}
_SUSPECT = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|[@-Z\\-_])")
_PICTURES = {"\n": "↵", "\t": "⇥"}
_TOO_LONG = 1e12


def visible(text: str, limit: int | None = CELL_CHARACTERS, *, lines: bool = False) -> str:
    r"""The text with nothing hidden in it: a line feed becomes `↵`, an override `⟨U+202E⟩`.

    Args:
        text: anything, also with lone surrogates.
        limit: characters to keep; what is longer ends in `…` and its length.
        lines: keep line feeds and tabs as they are.

    >>> visible("a\x00b")
    'a⟨U+0000⟩b'
    """
    length = len(text)
    short = limit is not None and length > limit
    shown = text[:limit] if short else text
    if not shown.isascii() or not shown.isprintable():
        shown = "".join(_picture(character, lines=lines) for character in shown)
    return f"{shown}… ({length:,} characters)" if short else shown


def _picture(character: str, *, lines: bool) -> str:
    if unicodedata.category(character) not in _SUSPECT or character in _HARMLESS:
        return character
    if lines and character in _PICTURES:
        return character
    return _PICTURES.get(character, f"⟨U+{ord(character):04X}⟩")


def without_ansi(text: str) -> str:
    """The text without a terminal's colour and cursor sequences."""
    return _ANSI.sub("", text)


def number(value: float | None, digits: int = 4) -> str:
    """A number to some significant digits, or a dash where it is undefined.

    >>> number(0.123456)
    '0.1235'
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, numbers.Integral):
        return f"{value:d}"
    exact = float(value)
    many = 10**digits <= abs(exact) < _TOO_LONG
    text = f"{exact:,.0f}" if many else f"{exact:.{digits}g}"
    # The typographic minus is as wide as the digits.
    return text.replace("-", "\N{MINUS SIGN}")


def cell(value: Any) -> str:
    """One value of a table as visible text, not yet escaped."""
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return "yes" if value else "no"
    if isinstance(value, numbers.Real):
        return number(value)  # type: ignore[arg-type] # numpy's scalars are registered as Real
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return MISSING
    return visible(str(value))


def thinned(rows: int, max_rows: int) -> tuple[list[int], str]:
    """The positions of the rows to show, and the sentence that states the rule (or nothing)."""
    if rows <= max_rows:
        return list(range(rows)), ""
    head = (max_rows + 1) // 2
    tail = max_rows - head
    shown = [*range(head), *range(rows - tail, rows)]
    ends = f"the first {head:,} and the last {tail:,}" if tail else f"the first {head:,}"
    return shown, f"{rows:,} rows; {ends} are shown."


def html_table(frame: pd.DataFrame, caption: str = "", max_rows: int = MAX_ROWS) -> str:
    """The frame as an escaped HTML table with a caption; says what it leaves out."""
    columns, rows, note = _shown(frame, max_rows)
    right = [_is_numeric(frame, position) for position in range(len(columns))]
    align = [' style="text-align:right"' if numeric else "" for numeric in right]
    head = "".join(
        f'<th scope="col"{style}>{escape(name)}</th>'
        for name, style in zip(columns, align, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td{style or ' dir=' + _AUTO}>{escape(text)}</td>"
            for text, style in zip(row, align, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    title = " ".join(filter(None, (visible(caption), note)))
    caption_html = f"<caption>{escape(title)}</caption>" if title else ""
    return (
        f"<table>{caption_html}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )


_AUTO = '"auto"'


def text_table(frame: pd.DataFrame, caption: str = "", max_rows: int = MAX_ROWS) -> str:
    """The frame as plain text in columns, with nothing hidden in it."""
    columns, rows, note = _shown(frame, max_rows)
    widths = [max(map(len, texts)) for texts in zip(columns, *rows, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    ]
    return "\n".join(filter(None, (visible(caption), *lines, note)))


def _shown(frame: pd.DataFrame, max_rows: int) -> tuple[list[str], list[list[str]], str]:
    """The headings and cells to show, as text, and what is left out."""
    positions, note = thinned(len(frame), max_rows)
    width = min(frame.shape[1], MAX_COLUMNS)
    if width < frame.shape[1]:
        note = f"{note} {frame.shape[1]:,} columns; the first {width} are shown.".strip()
    columns = [visible(str(name)) for name in frame.columns[:width]]
    picked = frame.iloc[positions, :width]
    cells: Sequence[list[str]] = [
        [cell(value) for value in picked.iloc[:, position].tolist()] for position in range(width)
    ]
    return columns, [list(row) for row in zip(*cells, strict=True)], note


def _is_numeric(frame: pd.DataFrame, position: int) -> bool:
    return frame.dtypes.iloc[position].kind in "iuf"
