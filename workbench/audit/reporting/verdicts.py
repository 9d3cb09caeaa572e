"""The findings as a table shows them: by verdict, families folded, each interval drawn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from workbench.audit.reporting.dossiers import family
from workbench.marks import SYMBOLS, WORDS, Scale, interval_text, scales, threshold_text, whisker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workbench.audit.records.checks import Finding
    from workbench.audit.reporting.dossiers import Dossier, Dossiers

__all__ = ["Family", "Group", "Row", "rows", "verdict_groups"]

# From this many on, the findings of one family (BIAS-OCC-…) fold into one row.
FAMILY = 4


@dataclass(frozen=True)
class Row:
    """One finding of the table, with what is drawn and written in its cells.

    Attributes:
        place: of the finding among all.
        dossier: its evidence, if there is any.
    """

    finding: Finding
    place: int
    drawing: str
    estimate: str
    threshold: str
    dossier: Dossier | None

    @property
    def anchor(self) -> str:
        """Id of its element in the page."""
        return f"finding-{self.place}"


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


def rows(findings: Sequence[Finding], evidence: Dossiers) -> tuple[Row, ...]:
    """A row for each finding, in their order."""
    by_unit = scales(findings)
    return tuple(
        _row(finding, place, by_unit[finding.unit], evidence.of(place))
        for place, finding in enumerate(findings)
    )


def verdict_groups(rows: Iterable[Row]) -> list[Group]:
    """The rows, which stand in the order of their verdicts, by verdict."""
    groups = []
    for verdict, members in groupby(rows, key=lambda row: row.finding.verdict):
        listed = list(members)
        families = tuple(_families(listed))
        groups.append(Group(verdict, WORDS[verdict], SYMBOLS[verdict], len(listed), families))
    return groups


def _families(rows: list[Row]) -> Iterable[Family]:
    """The rows, those of a large family together where its first one stands."""
    named: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        named.setdefault(_kin(row.finding), []).append(row)
    for row in rows:
        name, members = _kin(row.finding)[0], named[_kin(row.finding)]
        if "-" not in row.finding.code or len(members) < FAMILY:
            yield Family("", (row,))
        elif row is members[0]:
            yield Family(name, tuple(members))


def _kin(finding: Finding) -> tuple[str, str]:
    return family(finding.code), finding.severity


def _row(finding: Finding, place: int, scale: Scale, dossier: Dossier | None) -> Row:
    from markupsafe import Markup

    drawing = whisker(finding, scale) if finding.estimate is not None else ""
    return Row(
        finding=finding,
        place=place,
        drawing=Markup(drawing),  # noqa: S704 # numbers, and a label that whisker escapes
        estimate=interval_text(finding),
        threshold=threshold_text(finding),
        dossier=dossier,
    )
