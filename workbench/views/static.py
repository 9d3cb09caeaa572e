"""Static views: tables that read in a notebook, light or dark, and go to the report as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from workbench.marks import SYMBOLS, Scale, interval_text, ranked, scales, threshold_text, whisker
from workbench.markup import MAX_ROWS, html_table, number, text_table, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd
    from pydantic import BaseModel

    from workbench.audit.records.checks import Finding

__all__ = ["View", "findings", "provenance", "table"]

_HEADINGS = ("Verdict", "Check", "Question", "Estimate and interval", "n", "Threshold", "Reason")
_TEXT_CHARACTERS = 600


@dataclass(frozen=True)
class View:
    """Something to look at: safe HTML, and the same as plain text."""

    html: str
    text: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def __repr__(self) -> str:
        return self.text


def table(frame: pd.DataFrame, caption: str | None = None, max_rows: int = MAX_ROWS) -> View:
    """The frame as a table; a long one is thinned and says how."""
    title = caption or ""
    return View(html_table(frame, title, max_rows), text_table(frame, title, max_rows))


def findings(findings: Iterable[Finding]) -> View:
    """The findings, worst verdict first, each with its interval drawn against its threshold."""
    rows_in_order = ranked(findings)
    by_unit = scales(rows_in_order)
    head = "".join(f'<th scope="col" style="text-align:left">{name}</th>' for name in _HEADINGS)
    rows = "\n".join(_finding_row(finding, by_unit[finding.unit]) for finding in rows_in_order)
    caption = f"<caption>{escape(_count(rows_in_order))}</caption>"
    html = f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>"
    lines = [_count(rows_in_order), *map(_finding_line, rows_in_order)]
    return View(html, "\n".join(lines))


def provenance(record: BaseModel | Mapping[str, Any]) -> View:
    """A record as a table of names and values, its nested fields as `outer.inner`."""
    values = record if isinstance(record, Mapping) else record.model_dump(mode="json")
    pairs = [
        (visible(key), visible(str(value), _TEXT_CHARACTERS)) for key, value in _flat(values, "")
    ]
    rows = "\n".join(
        f'<tr><th scope="row" style="text-align:left">{escape(key)}</th>'
        f'<td dir="auto" style="text-align:left">{escape(value)}</td></tr>'
        for key, value in pairs
    )
    html = f"<table><caption>Provenance</caption>\n<tbody>\n{rows}\n</tbody></table>"
    width = max((len(key) for key, _ in pairs), default=0)
    return View(html, "\n".join(f"{key.ljust(width)}  {value}" for key, value in pairs))


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            for place, item in enumerate(value):
                yield from _flat({str(place): item}, f"{name}.")
        elif isinstance(value, (list, tuple)):
            yield name, ", ".join(map(str, value)) or "none"
        else:
            yield name, "not stated" if value is None else value


def _finding_row(finding: Finding, scale: Scale) -> str:
    drawing = ""
    if finding.estimate is not None:
        drawing = whisker(finding, scale)
    cells = (
        _plain(f"{SYMBOLS[finding.verdict]} {finding.verdict}"),
        _text(finding.code),
        _text(finding.question),
        f'<td style="text-align:left">{escape(interval_text(finding))} {drawing}</td>',
        _plain(number(finding.n)),
        _plain(threshold_text(finding)),
        _text(finding.reason),
    )
    return f"<tr>{''.join(cells)}</tr>"


def _plain(text: str) -> str:
    return f'<td style="text-align:left">{escape(text)}</td>'


def _text(text: str) -> str:
    """A cell with text of unknown origin, length and direction."""
    shown = escape(visible(text, _TEXT_CHARACTERS))
    return f'<td dir="auto" style="text-align:left">{shown}</td>'


def _finding_line(finding: Finding) -> str:
    return (
        f"{SYMBOLS[finding.verdict]} {finding.verdict:<12} {visible(finding.code)}  "
        f"{interval_text(finding)}  n = {number(finding.n)}  {visible(finding.reason)}"
    )


def _count(findings: list[Finding]) -> str:
    counts = [
        f"{number} {verdict}"
        for verdict in SYMBOLS
        if (number := sum(finding.verdict == verdict for finding in findings))
    ]
    return f"{len(findings)} checks: {', '.join(counts)}" if counts else "No checks."
