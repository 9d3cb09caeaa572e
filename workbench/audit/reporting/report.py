"""One HTML file from a run folder alone: no network, nothing trusted, equal bytes each time."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.audit.records.evidence import SectionEvidence, inside, read_run
from workbench.audit.records.folder import (
    AUDIT,
    FINDINGS,
    MANIFEST,
    PROVENANCE,
    REPORT,
    findings_digest,
)
from workbench.audit.reporting.cells import Content, read_cells
from workbench.audit.reporting.dossiers import dossiers
from workbench.audit.reporting.headline import attempts, chains, model_facts, verdict_sentence
from workbench.audit.reporting.origins import origins
from workbench.audit.reporting.page import CHARTS, page, write_page
from workbench.audit.reporting.verdicts import rows, verdict_groups
from workbench.audit.reviewing import checklist, openness
from workbench.errors import InputError
from workbench.marks import ranked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workbench.audit.records.evidence import Evidence
    from workbench.audit.reporting.dossiers import Dossiers
    from workbench.audit.reporting.figures import Figure
    from workbench.audit.reporting.verdicts import Row

__all__ = ["build_report"]


@dataclass(frozen=True)
class SectionView:
    """A section of the report."""

    anchor: str
    title: str
    evidence: SectionEvidence
    content: Content | None


@dataclass(frozen=True)
class Charts:
    """The data of every chart of a page, each once however often it is shown."""

    ids: dict[str, str] = field(default_factory=dict)

    def id(self, figure: Figure) -> str:
        """Of the element that holds the chart's data."""
        return self.ids.setdefault(figure.data, f"chart-{len(self.ids) + 1}")


def build_report(run: Path) -> Path:
    """Write `report.html` into the run folder, from what lies there and nothing else.

    Raises:
        InputError: where `run` is no run folder.
        StorageError: where the report cannot be written.
    """
    return write_page(run / REPORT, render(run))


def render(run: Path) -> str:
    """The report's HTML.

    Raises:
        InputError: where `run` is no run folder.
    """
    evidence = read_run(run)
    findings = ranked(evidence.findings)
    shown = dossiers(run, evidence.exhibits, findings)
    listed = rows(findings, shown)
    sections = tuple(
        _section(section, place) for place, section in enumerate(evidence.sections, start=1)
    )
    anchors = {view.evidence.name: view.anchor for view in reversed(sections)}
    targets = _targets(listed, anchors)
    return page(
        "report.html.j2",
        _scripts(shown, sections),
        ["report.css"],
        run=evidence,
        sentence=verdict_sentence(evidence),
        attempts=attempts(evidence),
        facts=model_facts(evidence.provenance),
        chains=chains(listed),
        rows=listed,
        groups=verdict_groups(listed),
        shown=shown,
        charts=Charts(),
        sections=sections,
        anchors=anchors,
        answers=[
            (answer, [(link, targets.get(link) or _target(link, anchors)) for link in answer.links])
            for answer in checklist.answers(evidence)
        ],
        openness=openness.assess(evidence),
        origins=origins(evidence),
        command=shlex.join(evidence.command),
        again=shlex.join(_again(evidence)),
        digest=_findings_digest(run),
    )


def _scripts(shown: Dossiers, sections: Sequence[SectionView]) -> list[str]:
    """Only those that have something to do: the library that draws charts is a large one."""
    blocks = [block for view in sections if view.content for block in view.content.blocks]
    displays = [
        display for one in shown.dossiers for part in one.chapters for display in part.displays
    ]
    drawn = any(block.figure for block in blocks) or any(one.figure for one in displays)
    return [*([CHARTS, "charts.js"] if drawn else []), *(["tables.js"] if shown.data else [])]


def _section(section: SectionEvidence, place: int) -> SectionView:
    content = read_cells(section.notebook) if section.notebook is not None else None
    title = (content.title if content else "") or section.name
    return SectionView(f"section-{place}", title, section, content)


def _targets(listed: Sequence[Row], anchors: dict[str, str]) -> dict[str, str]:
    """What the page has a place for, by the name that others give it: codes, sections, files."""
    return {
        **anchors,
        AUDIT: "parameters",
        PROVENANCE: "provenance",
        FINDINGS: "findings",
        MANIFEST: "verify",
        **{row.finding.code: row.anchor for row in listed},
    }


def _target(link: str, anchors: dict[str, str]) -> str:
    """Where the page shows a file of the run; nothing where it does not."""
    parts = link.split("/")
    return anchors.get(parts[1], "") if parts[0] == "sections" and len(parts) > 1 else ""


def _findings_digest(run: Path) -> str:
    if not inside(run, run / FINDINGS):
        return ""
    try:
        return findings_digest(run)
    except InputError:
        return ""


def _again(evidence: Evidence) -> list[str]:
    """The command that asks the same of the same model again."""
    command = ["workbench", "audit", evidence.model, "--suite", f"RUN/{AUDIT}"]
    asked = {**evidence.defaulted, **evidence.from_suite, **evidence.passed}
    for name in ("device", "dtype"):
        if isinstance(asked.get(name), str):
            command += [f"--{name}", asked[name]]
    return command + ["--allow-pickle"] * (asked.get("allow_pickle") is True)
