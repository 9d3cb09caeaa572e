"""Two runs side by side, as one page that needs nothing but itself."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from workbench.audit.comparing.diff_text import TITLES, estimate_text
from workbench.audit.comparing.run_charts import difference_drawing
from workbench.audit.reporting.page import page, write_page
from workbench.marks import Scale, interval_text, scales, threshold_text, whisker
from workbench.markup import html_table, number
from workbench.stats.estimate import LEVEL

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.comparing.diff import FindingChange, RunDiff
    from workbench.audit.records.checks import Finding

__all__ = ["diff_html", "write_diff_page"]

STYLES = ("runs.css",)
ITEMS_SHOWN = 40


@dataclass(frozen=True)
class Cell:
    """One run's finding, with what is drawn and written of it."""

    verdict: str
    drawing: Any
    estimate: str
    threshold: str
    n: int | None


@dataclass(frozen=True)
class Row:
    """One check of both runs."""

    code: str
    question: str
    unit: str
    first: Cell | None
    second: Cell | None
    drawing: Any
    difference: str
    p: str
    rests_on: str
    note: str


@dataclass(frozen=True)
class Group:
    """The checks that changed in one way."""

    kind: str
    title: str
    rows: tuple[Row, ...]


def write_diff_page(diff: RunDiff, path: Path) -> Path:
    """Write the page; its path.

    Raises:
        StorageError: where it cannot be written.
    """
    return write_page(path, diff_html(diff))


def diff_html(diff: RunDiff) -> str:
    """The page's HTML."""
    by_unit = scales(
        finding for one in diff.findings for finding in (one.first, one.second) if finding
    )
    ends = _scales(diff)
    groups = [
        Group(kind, TITLES[kind], tuple(_row(one, by_unit, ends) for one in members))
        for kind, members in groupby(diff.findings, key=lambda one: one.change)
    ]
    facts = [
        (group, list(members)) for group, members in groupby(diff.facts, key=lambda one: one.group)
    ]
    return page(
        "diff.html.j2",
        (),
        STYLES,
        diff=diff,
        groups=[group for group in groups if group.kind != "same"],
        same=[row.code for group in groups if group.kind == "same" for row in group.rows],
        facts=facts,
        level=f"{LEVEL:.0%}",
        paired=_paired(diff),
        changed=_changed(diff),
    )


def _scales(diff: RunDiff) -> dict[str, Scale]:
    """One scale for the differences of each unit, with no difference in the middle."""
    furthest: dict[str, float] = {}
    for one in diff.findings:
        found, finding = one.difference, one.first or one.second
        if found is None or finding is None:
            continue
        ends = [abs(end) for end in (found.value, found.low, found.high) if end is not None]
        furthest[finding.unit] = max([furthest.get(finding.unit, 0.0), *ends])
    return {
        unit: Scale(-1.05 * (far or 1.0), 1.05 * (far or 1.0)) for unit, far in furthest.items()
    }


def _row(one: FindingChange, by_unit: dict[str, Scale], ends: dict[str, Scale]) -> Row:
    from markupsafe import Markup

    newest = one.second or one.first
    assert newest is not None
    found, drawing = one.difference, ""
    text = estimate_text(found)
    if found is not None:
        said = f"difference {text}; {'more' if newest.direction == 'above' else 'less'} is worse"
        scale = ends[(one.first or newest).unit]
        drawing = difference_drawing(found, scale, newest.direction, said)
    return Row(
        code=one.code,
        question=newest.question,
        unit=newest.unit,
        first=_cell(one.first, by_unit),
        second=_cell(one.second, by_unit),
        drawing=Markup(drawing),  # noqa: S704 # numbers, and a label that is escaped
        difference=text,
        p="" if one.p_holm is None else f"p {number(one.p_holm, 2)}, q {number(one.q, 2)}",
        rests_on=_rests_on(one),
        note=one.definition or one.found.note,
    )


def _rests_on(one: FindingChange) -> str:
    """How the difference was made."""
    found = one.found.difference
    if found is None:
        return ""
    paired = f"paired, {one.found.number}" if one.found.number else "not paired"
    return f"{paired}; {found.method}; n = {found.n:,}"


def _cell(finding: Finding | None, by_unit: dict[str, Scale]) -> Cell | None:
    from markupsafe import Markup

    if finding is None:
        return None
    drawing = whisker(finding, by_unit[finding.unit]) if finding.estimate is not None else ""
    return Cell(
        verdict=finding.verdict,
        drawing=Markup(drawing),  # noqa: S704 # numbers, and a label that whisker escapes
        estimate=interval_text(finding.model_copy(update={"unit": ""})),
        threshold=threshold_text(finding),
        n=finding.n,
    )


def _paired(diff: RunDiff) -> str:
    """The table of paired differences, as safe HTML."""
    if diff.comparison is None:
        return ""
    summary = diff.comparison.summary()
    return html_table(summary, "Tasks, paired item by item", max_rows=len(summary))


def _changed(diff: RunDiff) -> str:
    """The items that were answered differently, as safe HTML."""
    if diff.comparison is None or not diff.changed_answers:
        return ""
    frame = diff.comparison.changed.frame().drop(columns=["model", "other"])
    return html_table(frame, "Items answered differently", max_rows=ITEMS_SHOWN)
