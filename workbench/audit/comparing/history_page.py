"""The trend of every check, model by model, as one page that needs nothing but itself.

It is thinned by a rule that it states: each drawing has the newest 40 runs; at most 150 checks are
drawn, those first whose verdict is not always the same, then those that fail; the table lists the
newest 200 runs. The whole is in the run folders, and in `workbench history --json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from workbench.audit.comparing.history_text import DIGEST, changed_text, point_text
from workbench.audit.comparing.run_charts import trend_drawing
from workbench.audit.reporting.page import page, write_page
from workbench.marks import SYMBOLS, WORDS
from workbench.markup import MISSING, number

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.comparing.history import History, Point, Trend

__all__ = ["history_html", "write_history_page"]

STYLES = ("runs.css",)

RUNS_DRAWN = 40
TRENDS_DRAWN = 150
RUNS_LISTED = 200


@dataclass(frozen=True)
class TrendView:
    """One check of one model as it is shown."""

    code: str
    question: str
    unit: str
    severity: str
    summary: str
    drawing: Any
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ModelView:
    """All checks of one model."""

    anchor: str
    model: str
    trends: tuple[TrendView, ...]


def write_history_page(history: History, path: Path) -> Path:
    """Write the page; its path.

    Raises:
        StorageError: where it cannot be written.
    """
    return write_page(path, history_html(history))


def history_html(history: History) -> str:
    """The page's HTML."""
    drawn = sorted(history.trends, key=_rank)[:TRENDS_DRAWN]
    chosen = [trend for trend in history.trends if trend in drawn]
    newest = {row.model: row.folder for row in history.runs}
    models = [
        ModelView(f"model-{place}", model, tuple(_view(one, newest[model]) for one in trends))
        for place, (model, trends) in enumerate(groupby(chosen, key=lambda one: one.model), 1)
    ]
    listed = history.runs[-RUNS_LISTED:]
    return page(
        "history.html.j2",
        (),
        STYLES,
        history=history,
        sentence=_sentence(history),
        runs=[
            (row, (row.weights or MISSING)[:DIGEST], changed_text(row.changed))
            for row in reversed(listed)
        ],
        older=history.left_out + len(history.runs) - len(listed),
        models=models,
        not_drawn=len(history.trends) - len(chosen),
        runs_drawn=RUNS_DRAWN,
        trends_drawn=TRENDS_DRAWN,
    )


def _sentence(history: History) -> str:
    models = {row.model for row in history.runs}
    ended = [row for row in history.runs if row.state != "complete"]
    text = f"{_count(len(history.runs), 'run')} of {_count(len(models), 'model')}"
    return f"{text}; {len(ended):,} did not complete." if ended else f"{text}, all complete."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _rank(trend: Trend) -> tuple[bool, bool]:
    """What is drawn first: what changed, then what fails."""
    verdicts = {point.verdict for point in trend.points[-RUNS_DRAWN:]}
    return len(verdicts) == 1, "fail" not in verdicts


def _view(trend: Trend, newest: str) -> TrendView:
    """How a trend is shown; `newest` is the folder of the model's newest run."""
    from markupsafe import Markup

    points = trend.points[-RUNS_DRAWN:]
    summary = _summary(points)
    if points[-1].folder != newest:
        summary += "; the model's newest run has no answer to it"
    drawing = trend_drawing(points, f"{trend.code}: {summary}")
    return TrendView(
        code=trend.code,
        question=trend.question,
        unit=trend.unit,
        severity=trend.severity,
        summary=summary,
        drawing=Markup(drawing),  # noqa: S704 # numbers, and texts that are escaped
        rows=tuple(_row(point) for point in reversed(points)),
    )


def _summary(points: tuple[Point, ...]) -> str:
    """A trend in words, as its drawing's text."""
    newest = points[-1]
    turns = sum(one.verdict != other.verdict for one, other in pairwise(points))
    verdict = WORDS.get(newest.verdict, newest.verdict).lower()
    text = f"{_count(len(points), 'run')}, the newest {verdict}"
    if newest.estimate is not None:
        text += f" with {point_text(newest)}"
    if len(points) > 1:
        text += f", {_count(turns, 'change')} of verdict" if turns else ", always the same verdict"
    if len({point.threshold for point in points}) > 1:
        text += "; the threshold is not the same in all"
    return text


def _row(point: Point) -> tuple[str, ...]:
    return (
        point.created[:16].replace("T", " ") or MISSING,
        (point.weights or MISSING)[:DIGEST],
        f"{SYMBOLS.get(point.verdict, '')} {point.verdict}".strip(),
        point_text(point),
        number(point.n),
        number(point.threshold),
    )
