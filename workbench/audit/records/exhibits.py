"""Exhibits: which tables of a run a finding's reader is shown, as what, and in which order."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import Field

from workbench.provenance import Record

__all__ = ["Exhibit", "Exhibits", "Kind"]

Kind = Literal["items", "groups", "mechanism", "intervention"]
"""What a table shows of a finding: the items behind it, the same by group, where in the network it
comes from, or what changed when that place was changed."""


class Exhibit(Record):
    """One table of the run as evidence for findings.

    Attributes:
        codes: of the findings, of any section; `*` stands for the rest of a code.
        kind: what it shows of them.
        path: of the result table (Parquet), inside the run.
        title: a few words.
        note: a sentence or two on how to read it.
        where: column -> the value that rows must have: the items of one group or arm.
        worst: the column whose extreme rows are the worst cases.
        worst_is: whether its highest, its lowest, or values furthest from `centre` are the worst.
        centre: of "furthest".
        columns: those shown, in order; all where it is empty.
    """

    codes: tuple[str, ...]
    kind: Kind
    path: str
    title: str
    note: str = ""
    where: dict[str, Any] = Field(default_factory=dict)
    worst: str | None = None
    worst_is: Literal["highest", "lowest", "furthest"] = "highest"
    centre: float = 0.0
    columns: tuple[str, ...] = ()

    def shows(self, code: str) -> bool:
        """Whether it is evidence for the finding with this code."""
        return any(fnmatchcase(code, pattern) for pattern in self.codes)


class Exhibits(Record):
    """All exhibits of a section, as its `exhibits.json` holds them."""

    schema_version: Literal[1] = Field(1, alias="schema")
    exhibits: tuple[Exhibit, ...]
