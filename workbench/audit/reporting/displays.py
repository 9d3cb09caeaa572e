"""Displays: an exhibit's table as a page shows it, with its chart, its worst cases and its data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.audit.reporting.excerpts import (
    NAME_CHARACTERS,
    Excerpt,
    excerpt,
    ordered,
    read_table,
    rule,
    thinned,
    worst_words,
)
from workbench.audit.reporting.figures import Figure, figure
from workbench.errors import InputError
from workbench.markup import cell, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from workbench.audit.records.exhibits import Exhibit
    from workbench.tables import Result

__all__ = ["Display", "Opened", "Part", "display", "excerpts", "open_exhibits"]

# Rows of each table that a page holds: fewer of all of them where they would make it too large.
ROWS = (500, 250, 120, 60, 30)
CHARACTERS = 1_000_000
CHART_ROWS = 2_000
CHART_CELLS = 20_000
CHART_CHARACTERS = 300_000
STILL_ROWS = 6
STILL_DATA_ROWS = 12

# Whatever drawing a table raises that was made to break it.
_BROKEN = (
    ArithmeticError,
    AttributeError,
    InputError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Opened:
    """An exhibit with its table.

    Attributes:
        result: None where it cannot be shown; `problem` says why.
        rows: places of its rows, the worst first.
        figure: its chart, if it has one that can be drawn.
    """

    exhibit: Exhibit
    result: Result | None
    rows: tuple[int, ...]
    figure: Figure | None
    problem: str


def open_exhibits(run: Path, exhibits: Sequence[Exhibit]) -> tuple[Opened, ...]:
    """The exhibits with their tables and charts; what is wrong with one is said, never raised."""
    tables: dict[str, Result | str] = {}
    for exhibit in exhibits:
        if exhibit.path not in tables:
            try:
                tables[exhibit.path] = read_table(run, exhibit.path)
            except InputError as error:
                tables[exhibit.path] = str(error)
    return tuple(_opened(exhibit, tables[exhibit.path]) for exhibit in exhibits)


def _opened(exhibit: Exhibit, found: Result | str) -> Opened:
    if isinstance(found, str):
        return Opened(exhibit, None, (), None, f"The table is not shown: {found}")
    try:
        rows = tuple(ordered(found.table, exhibit))
    except InputError as error:
        return Opened(exhibit, None, (), None, f"The table is not shown: {error}")
    if not rows:
        return Opened(exhibit, None, (), None, "No row of the table belongs to this.")
    chart, problem = _chart(found, exhibit, rows)
    return Opened(exhibit, found, rows, chart, problem)


def _chart(result: Result, exhibit: Exhibit, rows: Sequence[int]) -> tuple[Figure | None, str]:
    """The exhibit's chart, or why there is none although the table has one."""
    if result.chart is None:
        return None, ""
    alt = result.chart.options.get("alt")
    options = {
        **result.chart.options,
        "title": "",
        "alt": alt or f"{exhibit.title}: {len(rows):,} values; they stand in the table below.",
    }
    try:
        _check_size(result, rows)
        frame = result.table.take(sorted(rows)).to_pandas()
        drawn = _draw(result.chart.kind, frame, options)
    except _BROKEN as error:
        return None, f"The chart cannot be drawn: {visible(str(error), 200)}"
    if drawn is None or len(drawn.data) > CHART_CHARACTERS:
        return None, "The chart is left out: it has too many marks for a page."
    return drawn, ""


def _draw(kind: str, frame: Any, options: Mapping[str, Any]) -> Figure | None:
    from workbench.charts import draw

    return figure(json.loads(draw(kind, frame, **options).to_json()), tabulated=False)


def _check_size(result: Result, rows: Sequence[int]) -> None:
    chart = result.chart
    marks, most = len(rows), CHART_ROWS
    if chart is not None and chart.kind == "heatmap":
        sides = [result.table.column(str(chart.options.get(axis))) for axis in ("x", "y")]
        marks, most = len(sides[0].unique()) * len(sides[1].unique()), CHART_CELLS
    if marks > most:
        raise InputError(f"it has {marks:,} marks, and a page shows up to {most:,}.")


def excerpts(opened: Sequence[Opened]) -> dict[str, tuple[Excerpt, int]]:
    """Path -> what a page holds of that table, and how many rows of each of its exhibits.

    All together stay below a million characters; what finds no room is not in it.
    """
    held: dict[str, tuple[Excerpt, int]] = {}
    for most in ROWS:
        held = _held(opened, most)
        if sum(len(content.data) for content, _ in held.values()) <= CHARACTERS:
            return held
    room, kept = CHARACTERS, {}
    for path, (content, share) in held.items():
        room -= len(content.data)
        if room < 0:
            break
        kept[path] = (content, share)
    return kept


def _held(opened: Sequence[Opened], most: int) -> dict[str, tuple[Excerpt, int]]:
    of_table: dict[str, list[Opened]] = {}
    for one in opened:
        if one.result is not None:
            of_table.setdefault(one.exhibit.path, []).append(one)
    held = {}
    for path, group in of_table.items():
        result = group[0].result
        every = {row for one in group for row in one.rows}
        share = min(most, len(every))
        if len(every) > most and len(group) > 1:
            share = max(most // len(group), min(ROWS) // 2)
        rows = {
            row
            for one in group
            for row in thinned(one.rows, share, worst=one.exhibit.worst is not None)
        }
        named = [name for one in group for name in (*one.exhibit.columns, one.exhibit.worst)]
        whole = any(not one.exhibit.columns for one in group)
        columns = [] if whole else [name for name in named if name is not None]
        held[path] = (excerpt(result.table, rows, columns), share)  # type: ignore[union-attr]
    return held


@dataclass(frozen=True)
class Part:
    """The rows of one exhibit in a display of several.

    Attributes:
        label: which they are.
        findings: places of those that they are evidence for.
        rows: places in the excerpt, the worst first.
        rule: which of the table's rows these are.
    """

    label: str
    findings: tuple[int, ...]
    rows: tuple[int, ...]
    rule: str


@dataclass(frozen=True)
class Display:
    """One table, for exhibits that differ in their rows alone.

    Attributes:
        id: of its element in the page.
        source: id of the data that it shows.
        worst: what makes a row one of the worst; empty where nothing does.
        problem: what cannot be shown, and why; empty where all is well.
    """

    id: str
    title: str
    note: str
    path: str
    source: str
    excerpt: Excerpt | None
    columns: tuple[int, ...]
    parts: tuple[Part, ...]
    worst: str
    figure: Figure | None
    problem: str

    @property
    def data(self) -> str:
        """JSON for the script that makes a live table; no `<` is left in it."""
        parts = [
            {
                "label": part.label,
                "rows": part.rows,
                "rule": part.rule,
                "findings": part.findings,
            }
            for part in self.parts
        ]
        content = {
            "id": self.id,
            "title": visible(self.title),
            "source": self.source,
            "columns": self.columns,
            "worst": bool(self.worst),
            "parts": parts,
        }
        return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")

    @property
    def headings(self) -> list[tuple[str, bool]]:
        """The shown columns' names, and which of them hold numbers."""
        known = self.excerpt.columns if self.excerpt else ()
        return [(known[place].name, known[place].numeric) for place in self.columns]

    @property
    def still(self) -> list[list[str]]:
        """The first rows of each part as text, for paper and where no script runs."""
        most = STILL_DATA_ROWS if self.figure else STILL_ROWS
        each = max(2, most // max(len(self.parts), 1))
        rows = [row for part in self.parts for row in part.rows[:each]][: 2 * most]
        return [self._texts(row) for row in dict.fromkeys(rows)]

    def _texts(self, row: int) -> list[str]:
        values = self.excerpt.rows[row] if self.excerpt else ()
        return [
            text if isinstance(text := values[place], str) else cell(text) for place in self.columns
        ]


def display(
    anchor: str,
    group: Sequence[Opened],
    held: Mapping[str, tuple[Excerpt, int]],
    sources: Mapping[str, str],
    codes: Sequence[str],
) -> Display:
    """The display of exhibits of one table.

    Args:
        anchor: id of its element.
        group: the exhibits; the first says how all of them are shown.
        held: path -> excerpt and rows of each exhibit.
        sources: path -> id of the excerpt's data.
        codes: of all findings, in order.
    """
    first = group[0].exhibit
    content, share = held.get(first.path, (None, 0))
    problem = group[0].problem
    if content is None and group[0].result is not None:
        problem = "The table is not shown: the tables before it have filled this page."
    columns = content.shown(first.columns) if content is not None else ()
    same = len({one.exhibit.title for one in group}) == 1
    return Display(
        id=anchor,
        title=first.title if same else "",
        note=first.note,
        path=first.path,
        source=sources.get(first.path, ""),
        excerpt=content,
        columns=columns,
        parts=tuple(_part(one, content, share, codes, same=same) for one in group)
        if content is not None
        else (),
        worst=worst_words(first) if first.worst is not None else "",
        figure=group[0].figure,
        problem=problem,
    )


def _part(one: Opened, content: Excerpt, share: int, codes: Sequence[str], *, same: bool) -> Part:
    exhibit = one.exhibit
    kept = thinned(one.rows, share, worst=exhibit.worst is not None)
    where = ", ".join(
        f"{visible(name, NAME_CHARACTERS)}: {cell(value)}" for name, value in exhibit.where.items()
    )
    label = where if same else visible(exhibit.title)
    return Part(
        label=label or "all rows",
        findings=tuple(place for place, code in enumerate(codes) if exhibit.shows(code)),
        rows=tuple(content.places[row] for row in kept),
        rule=rule(len(one.rows), share, exhibit),
    )
