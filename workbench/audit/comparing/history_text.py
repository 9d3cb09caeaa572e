"""All runs below a folder, for a terminal and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from workbench.audit.comparing.terminal import columns
from workbench.marks import SYMBOLS
from workbench.markup import MISSING, number, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.audit.comparing.history import Changed, History, Point, RunRow

__all__ = ["changed_text", "history_json", "history_text", "point_text"]

CHANGES_SHOWN = 4
DIGEST = 8


def history_text(history: History) -> str:
    """The runs as a table, the newest last; what hides in it is made visible."""
    return "\n".join(_lines(history))


def _lines(history: History) -> Iterator[str]:
    if not history.runs:
        yield "No runs."
    else:
        symbols = [f"{sign} {verdict}" for verdict, sign in SYMBOLS.items()]
        headings = ("time (UTC)", "model", "weights", "suite", "state", *SYMBOLS.values())
        yield columns(
            [_row(row) for row in history.runs],
            (*headings, "changed since the run before"),
            right=(5, 6, 7, 8, 9),
            whole=(2, 5, 6, 7, 8, 9),
        )
        yield ""
        yield f"{', '.join(symbols)}."
    if history.left_out:
        yield f"{history.left_out:,} older runs are not shown."
    for trend in history.trends if history.check is not None else ():
        yield from ("", visible(f"{trend.code} of {trend.model}: {trend.question}", None))
        yield columns(
            [_point(point) for point in trend.points],
            ("time (UTC)", "weights", "verdict", "estimate", "n", "threshold"),
            right=(4, 5),
            whole=(0, 1, 2, 4, 5),
        )
    if history.problems:
        yield from ("", "Not read")
        yield from (visible(f"  {problem}", None) for problem in history.problems)


def _row(row: RunRow) -> tuple[str, ...]:
    counts = row.counts or {}
    return (
        _when(row.created),
        row.model or MISSING,
        (row.weights or MISSING)[:DIGEST],
        f"{row.suite} {row.suite_version}".strip(),
        row.state,
        *(number(counts.get(verdict)) for verdict in SYMBOLS),
        changed_text(row.changed),
    )


def changed_text(changed: tuple[Changed, ...] | None) -> str:
    """What changed, the first few checks by name."""
    if changed is None:
        return ""
    if not changed:
        return "nothing"
    parts = [
        f"{one.code} {one.before or 'new'}→{one.after or 'gone'}"
        + (" (other threshold)" if one.rejudged else "")
        for one in changed[:CHANGES_SHOWN]
    ]
    rest = len(changed) - CHANGES_SHOWN
    return ", ".join(parts) + (f", and {rest:,} more" if rest > 0 else "")


def _point(point: Point) -> tuple[str, ...]:
    return (
        _when(point.created),
        (point.weights or MISSING)[:DIGEST],
        f"{SYMBOLS.get(point.verdict, '')} {point.verdict}".strip(),
        point_text(point),
        number(point.n),
        number(point.threshold),
    )


def point_text(point: Point) -> str:
    """A check's number in one run, with its interval."""
    text = number(point.estimate, 3)
    if point.low is None or point.high is None:
        return text
    return f"{text} [{number(point.low, 3)}, {number(point.high, 3)}]"


def _when(created: str) -> str:
    return created[:16].replace("T", " ") or MISSING


def history_json(history: History) -> dict[str, Any]:
    """The same as JSON values; what is undefined is null."""
    return {
        "schema": 1,
        "runs": [asdict(row) for row in history.runs],
        "left_out": history.left_out,
        "trends": [_finite(asdict(trend)) for trend in history.trends],
        "problems": list(history.problems),
    }


def _finite(value: Any) -> Any:
    """The same with null for what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
