"""Dossiers: all that a run has to show for findings that share their evidence."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from workbench.audit.reporting.displays import Display, Opened, display, excerpts, open_exhibits

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from workbench.audit.records.checks import Finding
    from workbench.audit.records.exhibits import Exhibit, Kind

__all__ = ["KINDS", "Chapter", "Dossier", "Dossiers", "dossiers", "family"]

KINDS: dict[Kind, str] = {
    "items": "Items",
    "groups": "By group",
    "mechanism": "Mechanism",
    "intervention": "Intervention",
}
"""Each kind of evidence, in the order in which a reader follows it."""

MOST = 300
"""Exhibits that a page shows; a run with more of them was made to break it."""


@dataclass(frozen=True)
class Chapter:
    """The displays of one kind."""

    anchor: str
    kind: Kind
    word: str
    displays: tuple[Display, ...]


@dataclass(frozen=True)
class Dossier:
    """The evidence for some findings.

    Attributes:
        findings: places of theirs among all findings; none where no finding is shown by it.
    """

    anchor: str
    findings: tuple[int, ...]
    chapters: tuple[Chapter, ...]


@dataclass(frozen=True)
class Dossiers:
    """All dossiers of a run, in the order of their first findings.

    Attributes:
        data: id -> JSON of the tables that they show, each once.
        left_out: how many exhibits a page has no room for.
    """

    dossiers: tuple[Dossier, ...]
    data: dict[str, str]
    left_out: int

    def of(self, finding: int) -> Dossier | None:
        """The dossier of a finding, given its place; None where it has none."""
        return next((one for one in self.dossiers if finding in one.findings), None)


def dossiers(run: Path, exhibits: Sequence[Exhibit], findings: Sequence[Finding]) -> Dossiers:
    """What the run has to show for the findings, those of one family together."""
    codes = [finding.code for finding in findings]
    shown = exhibits[:MOST]
    opened = open_exhibits(run, shown)
    held = excerpts(opened)
    sources = {path: f"data-{place}" for place, path in enumerate(held, start=1)}
    made = []
    for place, (exhibited, members) in enumerate(_sets(shown, codes).items(), start=1):
        anchor = f"evidence-{place}"
        chapters = []
        for kind, group in groupby(exhibited, key=lambda index: shown[index].kind):
            of_kind = [opened[index] for index in group]
            displays = tuple(
                display(f"{anchor}-{kind}-{at}", tables, held, sources, codes)
                for at, tables in enumerate(_by_table(of_kind), start=1)
            )
            chapters.append(Chapter(f"{anchor}-{kind}", kind, KINDS[kind], displays))
        made.append(Dossier(anchor, tuple(members), tuple(chapters)))
    data = {sources[path]: content.data for path, (content, _) in held.items()}
    return Dossiers(tuple(made), data, len(exhibits) - len(shown))


def family(code: str) -> str:
    """What the codes of a family begin with: `BIAS-OCC` of `BIAS-OCC-NURSE`."""
    return code.rpartition("-")[0] or code


def _sets(exhibits: Sequence[Exhibit], codes: Sequence[str]) -> dict[tuple[int, ...], list[int]]:
    """Exhibits that belong together -> the findings that they show, by their places.

    A family is shown together; families with the same exhibits are, too.
    """
    kinds = list(KINDS)
    shown_by: dict[str, set[int]] = {}
    for code in codes:
        found = {place for place, exhibit in enumerate(exhibits) if exhibit.shows(code)}
        shown_by.setdefault(family(code), set()).update(found)
    sets: dict[tuple[int, ...], list[int]] = {}
    for place, code in enumerate(codes):
        exhibited = shown_by[family(code)]
        if exhibited:
            key = sorted(exhibited, key=lambda index: (kinds.index(exhibits[index].kind), index))
            sets.setdefault(tuple(key), []).append(place)
    known = {index for key in sets for index in key}
    strays = [index for index in range(len(exhibits)) if index not in known]
    if strays:
        strays.sort(key=lambda index: (kinds.index(exhibits[index].kind), index))
        sets[tuple(strays)] = []
    return sets


def _by_table(opened: Sequence[Opened]) -> list[list[Opened]]:
    """The exhibits, those together that show other rows of one table in the same way."""
    groups: dict[Hashable, list[Opened]] = {}
    for place, one in enumerate(opened):
        exhibit = one.exhibit
        alone = place if one.figure is not None or one.problem else None
        key = (exhibit.path, exhibit.columns, exhibit.worst, exhibit.worst_is, exhibit.centre)
        groups.setdefault((*key, exhibit.note, alone), []).append(one)
    return list(groups.values())
