"""One HTML file from a run folder alone: no network, nothing trusted, equal bytes each time."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from workbench.audit.addresses import addresses
from workbench.audit.cells import Content, read_cells
from workbench.audit.evidence import Evidence, SectionEvidence, read_run
from workbench.audit.page import CHARTS, page
from workbench.marks import SYMBOLS, Scale, interval_text, ranked, scales, threshold_text, whisker
from workbench.markup import cell
from workbench.provenance import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workbench.audit.checks import Finding

__all__ = ["addresses", "build_report", "verdict_sentence"]

WORDS = {
    "fail": "Failed",
    "error": "Error",
    "inconclusive": "Inconclusive",
    "skipped": "Skipped",
    "pass": "Passed",
}
# From this many on, the findings of one family (BIAS-OCC-…) fold into one row.
FAMILY = 4
_COUNTS = {"context_length", "memory_bytes", "parameters", "vocabulary"}


@dataclass(frozen=True)
class Row:
    """One finding of the table, with what is drawn and written in its cells."""

    finding: Finding
    drawing: str
    estimate: str
    threshold: str


@dataclass(frozen=True)
class Family:
    """Findings of one verdict and severity whose codes share a beginning.

    A single one has no name.
    """

    name: str
    rows: tuple[Row, ...]

    @property
    def members(self) -> str:
        """What tells the codes apart, in a line."""
        return ", ".join(row.finding.code.rpartition("-")[2].lower() for row in self.rows)


@dataclass(frozen=True)
class Group:
    """All findings with one verdict."""

    verdict: str
    word: str
    symbol: str
    count: int
    families: tuple[Family, ...]


@dataclass(frozen=True)
class SectionView:
    """A section of the report."""

    anchor: str
    title: str
    evidence: SectionEvidence
    content: Content | None


def build_report(run: Path) -> Path:
    """Write `report.html` into the run folder, from what lies there and nothing else.

    Raises:
        InputError: where `run` is no run folder.
        StorageError: where the report cannot be written.
    """
    path = run / "report.html"
    write_atomically(path, render(read_run(run)).encode("utf-8", "replace"))
    return path


def render(evidence: Evidence) -> str:
    """The report's HTML."""
    sections = tuple(
        _section(section, place) for place, section in enumerate(evidence.sections, start=1)
    )
    drawn = any(
        block.kind == "figure"
        for section in sections
        if section.content
        for block in section.content.blocks
    )
    return page(
        "report.html.j2",
        [*([CHARTS] if drawn else []), "report.js"],
        run=evidence,
        sentence=verdict_sentence(evidence),
        groups=_groups(evidence.findings),
        mechanisms=[
            finding
            for finding in evidence.findings
            if finding.severity == "info" and finding.verdict == "pass"
        ],
        words=WORDS,
        symbols=SYMBOLS,
        sections=sections,
        anchors={view.evidence.name: view.anchor for view in reversed(sections)},
        provenance=_provenance(evidence.provenance),
        parameters={
            "passed": [(name, cell(value)) for name, value in evidence.passed.items()],
            "defaulted": [(name, cell(value)) for name, value in evidence.defaulted.items()],
            "thresholds": [
                (check.code, "yes or no" if check.threshold is None else cell(check.threshold))
                for check in evidence.checks
            ],
        },
        command=shlex.join(evidence.command),
    )


def verdict_sentence(evidence: Evidence) -> str:
    """The outcome in one sentence, what did not happen included."""
    findings = evidence.findings
    total = len(findings) + len(evidence.unanswered)
    if total == 0:
        return "No check was answered, so this report says nothing about the model."
    counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in SYMBOLS}
    phrases = {
        "error": "ended in an error",
        "inconclusive": _were(counts["inconclusive"], "inconclusive"),
        "skipped": _were(counts["skipped"], "skipped"),
    }
    rest = [f"{counts[verdict]} {text}" for verdict, text in phrases.items() if counts[verdict]]
    if evidence.unanswered:
        rest.append(f"{len(evidence.unanswered)} never ran")
    sentence = f"{counts['fail'] or 'None'} of {total} checks failed"
    if total == 1:
        sentence = "The only check failed" if counts["fail"] else "The only check did not fail"
    if rest:
        sentence += "; " + " and ".join(filter(None, (", ".join(rest[:-1]), rest[-1])))
    return sentence + "."


def _were(count: int, what: str) -> str:
    return f"{'was' if count == 1 else 'were'} {what}"


def _groups(findings: Iterable[Finding]) -> list[Group]:
    in_order = ranked(findings)
    by_unit = scales(in_order)
    groups = []
    for verdict, members in groupby(in_order, key=lambda finding: finding.verdict):
        rows = [_row(finding, by_unit[finding.unit]) for finding in members]
        families = tuple(_families(rows))
        groups.append(Group(verdict, WORDS[verdict], SYMBOLS[verdict], len(rows), families))
    return groups


def _families(rows: list[Row]) -> Iterable[Family]:
    """The rows, those of a large family together where its first one stands."""
    named: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        named.setdefault(_kin(row.finding), []).append(row)
    for row in rows:
        name, members = _kin(row.finding)[0], named[_kin(row.finding)]
        if not name or len(members) < FAMILY:
            yield Family("", (row,))
        elif row is members[0]:
            yield Family(name, tuple(members))


def _kin(finding: Finding) -> tuple[str, str]:
    return finding.code.rpartition("-")[0], finding.severity


def _row(finding: Finding, scale: Scale) -> Row:
    from markupsafe import Markup

    drawing = whisker(finding, scale) if finding.estimate is not None else ""
    return Row(
        finding=finding,
        drawing=Markup(drawing),  # noqa: S704 # numbers, and a label that whisker escapes
        estimate=interval_text(finding),
        threshold=threshold_text(finding),
    )


def _section(section: SectionEvidence, place: int) -> SectionView:
    content = read_cells(section.notebook) if section.notebook is not None else None
    title = (content.title if content else "") or section.name
    return SectionView(f"section-{place}", title, section, content)


def _provenance(record: dict[str, Any]) -> dict[str, Any]:
    """The record in the tables that the report shows."""
    model = record.get("model")
    model = model if isinstance(model, dict) else {}
    listed = model.get("files")
    files = [entry for entry in listed if isinstance(entry, dict)] if listed else []
    known = {"schema", "model", "host", "packages"}
    packages = record.get("packages") or model.get("packages")
    return {
        "model": _pairs({k: v for k, v in model.items() if k not in {"files", "packages"}}),
        "files": [(entry.get("name"), entry.get("bytes"), entry.get("sha256")) for entry in files],
        "host": _pairs(record.get("host")),
        "packages": _pairs(packages),
        "other": _pairs({key: value for key, value in record.items() if key not in known}),
    }


def _pairs(values: Any, prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in values.items() if isinstance(values, dict) else ():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict):
            pairs += _pairs(value, f"{name}: ")
        elif isinstance(value, list):
            pairs.append((name, ", ".join(map(str, value)) or "none"))
        else:
            grouped = isinstance(value, int) and key in _COUNTS
            text = f"{value:,}" if grouped else str(value)
            pairs.append((name, "not stated" if value is None else text))
    return pairs
