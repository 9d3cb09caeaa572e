"""Excerpts of a run's tables: what of them a page holds, thinned by a rule that is stated.

A run folder may have been altered, so a table is read with suspicion: nothing outside the run,
nothing out of proportion, and whatever a cell holds becomes a number or visible text.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.audit.records.evidence import inside
from workbench.errors import InputError
from workbench.markup import number, visible
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from workbench.audit.records.exhibits import Exhibit

__all__ = ["Column", "Excerpt", "excerpt", "ordered", "read_table", "rule", "thinned"]

MAX_FILE_BYTES = 128 << 20
MAX_TABLE_BYTES = 512 << 20
MAX_CELLS = 20_000_000
MAX_COLUMNS = 30
CELL_CHARACTERS = 600
NAME_CHARACTERS = 60
LIST_ITEMS = 50
DIGITS = 6
_EXACT = 1 << 53  # beyond which a script cannot tell whole numbers apart


def read_table(run: Path, relative: str) -> Result:
    """The result table at a path of the run.

    Raises:
        InputError: with the reason why it cannot be shown.
    """
    import pyarrow as pa

    path = run / relative
    if not inside(run, path):
        raise InputError("it lies outside the run folder, so it was not read.")
    if not path.is_file():
        raise InputError("it is missing from the run folder.")
    try:
        problem = _too_large(path)
        result = None if problem else Result.load(path)
    except (OSError, ValueError, RecursionError, MemoryError, pa.ArrowException) as error:
        raise InputError("it cannot be read as a table of the workbench.") from error
    if result is None:
        raise InputError(problem)
    return result


def _too_large(path: Path) -> str:
    """What a file says of its size before it is read, where that is out of proportion."""
    import pyarrow.parquet as pq

    if path.stat().st_size > MAX_FILE_BYTES:
        return f"its file is larger than {MAX_FILE_BYTES >> 20} MB."
    about = pq.read_metadata(path)
    size = sum(about.row_group(place).total_byte_size for place in range(about.num_row_groups))
    if about.num_rows * about.num_columns > MAX_CELLS or size > MAX_TABLE_BYTES:
        return f"it is too large to be shown: {about.num_rows:,} rows, {about.num_columns} columns."
    return ""


def ordered(table: pa.Table, exhibit: Exhibit) -> list[int]:
    """Places of the rows that an exhibit shows, its worst cases first.

    Rows without a number in that column come last; where no column is named, or it has no numbers,
    they stand as in the table.

    Raises:
        InputError: for a column that the table does not have.
    """
    rows = list(range(table.num_rows))
    for name, wanted in exhibit.where.items():
        values = _column(table, name).to_pylist()
        rows = [row for row in rows if _same(values[row], wanted)]
    if exhibit.worst is None:
        return rows
    numbers = [_float(value) for value in _column(table, exhibit.worst).to_pylist()]

    def key(row: int) -> tuple[bool, float]:
        value = numbers[row]
        if value is None:
            return True, 0.0
        if exhibit.worst_is == "furthest":
            return False, -abs(value - exhibit.centre)
        return False, value if exhibit.worst_is == "lowest" else -value

    return sorted(rows, key=key)


def thinned(rows: Sequence[int], limit: int, *, worst: bool) -> list[int]:
    """At most `limit` of the rows: the first half of them, then evenly spaced ones of the rest.

    Where no column says what is worst, all are evenly spaced.
    """
    if len(rows) <= limit:
        return list(rows)
    first = limit // 2 if worst else 0
    rest, room = rows[first:], limit - first
    return [*rows[:first], *(rest[place * len(rest) // room] for place in range(room))]


def rule(rows: int, limit: int, exhibit: Exhibit) -> str:
    """Which of an exhibit's rows the page holds, as `thinned` chooses them, in a sentence."""
    if rows <= limit:
        return f"All {rows:,} rows." if rows > 1 else ""
    if exhibit.worst is None:
        return f"{limit:,} of {rows:,} rows, evenly spaced."
    first = limit // 2
    return (
        f"{limit:,} of {rows:,} rows: the {first:,} worst ({worst_words(exhibit)}), and "
        f"{limit - first:,} of the others, evenly spaced in that order."
    )


def worst_words(exhibit: Exhibit) -> str:
    """What makes a row one of the worst, in words."""
    name = visible(exhibit.worst or "", NAME_CHARACTERS)
    if exhibit.worst_is == "furthest":
        return f"{name} furthest from {number(exhibit.centre)}"
    return f"{exhibit.worst_is} {name}"


@dataclass(frozen=True)
class Column:
    """A column of an excerpt: its visible name, and whether it holds numbers."""

    name: str
    numeric: bool


@dataclass(frozen=True)
class Excerpt:
    """Some rows of a table, as a page holds them.

    Attributes:
        rows: values in the order of the columns: numbers, visible text, or None.
        places: place in the run's table -> place among these rows.
        left_out: how many columns the page does not hold.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[float | str | None, ...], ...]
    places: dict[int, int]
    left_out: int

    @property
    def data(self) -> str:
        """JSON for a script element: no `<` is left in it."""
        columns = [
            {"name": column.name, "kind": "number" if column.numeric else "text"}
            for column in self.columns
        ]
        content = {"columns": columns, "rows": self.rows}
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.replace("<", "\\u003c")

    def shown(self, names: Iterable[str]) -> tuple[int, ...]:
        """Places of the columns of these names, in their order; all where there are none."""
        known = [column.name for column in self.columns]
        wanted = [visible(name, NAME_CHARACTERS) for name in names]
        found = [known.index(name) for name in dict.fromkeys(wanted) if name in known]
        return tuple(found or range(len(known)))


def excerpt(table: pa.Table, rows: Iterable[int], wanted: Iterable[str] = ()) -> Excerpt:
    """The rows at these places, as a page holds them.

    Args:
        table: of the run.
        rows: places; they stand in the table's order.
        wanted: columns to hold; all where it is empty, as far as a page can.
    """
    kept = sorted(set(rows))
    names = table.column_names
    asked = [name for name in dict.fromkeys(wanted) if name in names] or names
    held = asked[:MAX_COLUMNS]
    picked = [table.column(names.index(name)).take(kept) for name in held]
    values = [[_value(value) for value in _python(column)] for column in picked]
    return Excerpt(
        columns=tuple(
            Column(visible(name, NAME_CHARACTERS), _numeric(column.type))
            for name, column in zip(held, picked, strict=True)
        ),
        rows=tuple(zip(*values, strict=True)) if held else (),
        places={place: at for at, place in enumerate(kept)},
        left_out=len(names) - len(held),
    )


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise InputError(f"it has no column {visible(name, NAME_CHARACTERS)!r}.")
    return table.column(table.column_names.index(name))


def _python(column: pa.ChunkedArray) -> list[Any]:
    """The values as Python has them; what it has nothing for is said."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError, ArithmeticError):  # a time before the year 1, say
        return ["⟨cannot be shown⟩"] * len(column)


def _numeric(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _same(value: Any, wanted: Any) -> bool:
    """Whether a cell is what was asked for; no number is a yes or no."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def _value(value: Any) -> float | str | None:
    """A cell as a number that JSON can hold, as visible text, or None where it is missing."""
    if value is None or isinstance(value, float):
        return None if value is None else _rounded(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) < _EXACT:
        return value
    if isinstance(value, list):
        value = " | ".join(map(_words, value[:LIST_ITEMS]))
    return visible(str(value), CELL_CHARACTERS)


def _rounded(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else str(value)


def _words(part: Any) -> str:
    if isinstance(part, str):
        return part[:CELL_CHARACTERS]
    return number(part) if isinstance(part, (int, float)) else str(part)[:CELL_CHARACTERS]
