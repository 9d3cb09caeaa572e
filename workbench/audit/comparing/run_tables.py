"""The tables of items that a run keeps, each read once, whatever else lies in its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.audit.records.evidence import inside
from workbench.audit.records.folder import section_folder
from workbench.comparison.matching import match
from workbench.errors import InputError
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd

    from workbench.audit.records.checks import Finding
    from workbench.audit.records.evidence import Evidence

__all__ = ["RunTables"]

_MOST_BYTES = 1 << 30
_NAMES = ("item", "arm", "pair", "cluster")
"""Columns that name what a row is of."""


@dataclass
class RunTables:
    """The tables of items that a run keeps, each read once.

    Attributes:
        run: its folder.
        evidence: what it holds.
    """

    run: Path
    evidence: Evidence
    _read: dict[str, Result | None] = field(default_factory=dict)
    _frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    _differ: dict[tuple[str, Path], str] = field(default_factory=dict)

    @property
    def weights(self) -> str | None:
        """The digest of the weights that were looked at."""
        return self.evidence.weights_digest or None

    def items(self, path: str) -> Result | None:
        """The table at a path inside the run, where it is one of items; else None."""
        if path not in self._read:
            self._read[path] = self._load(path)
        return self._read[path]

    def frame(self, path: str) -> pd.DataFrame:
        """The rows of a table that `items` gives, not to be changed."""
        if path not in self._frames:
            table = self.items(path)
            assert table is not None
            self._frames[path] = table.frame()
        return self._frames[path]

    def differ(self, path: str, other: RunTables) -> str:
        """In what the items of another run's table differ, as a sentence; empty where in nothing.

        Both have the table.
        """
        if (path, other.run) not in self._differ:
            self._differ[path, other.run] = _differ(path, self.items(path), other.items(path))
        return self._differ[path, other.run]

    def shown(self, finding: Finding) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The tables behind a finding, and which of their rows, as far as that is said."""
        for exhibit in self.evidence.exhibits:
            if exhibit.kind == "items" and exhibit.shows(finding.code):
                yield exhibit.path, exhibit.where
        for path in finding.evidence:
            yield path, {}

    def all_items(self) -> dict[str, Result]:
        """Every table of items: its path without `sections/` and suffix -> the table."""
        found = {}
        for section in self.evidence.sections:
            folder = section_folder(self.run, section.name)
            for path in sorted(folder.glob("*.parquet")) if inside(self.run, folder) else ():
                table = self.items(path.relative_to(self.run).as_posix())
                if table is not None:
                    found[f"{section.name}/{path.stem}"] = table
        return found

    def _load(self, path: str) -> Result | None:
        file = self.run / path
        try:
            if not inside(self.run, file) or not file.is_file():
                return None
            if file.stat().st_size > _MOST_BYTES:
                return None
            table = Result.load(file)
        except (InputError, OSError, ValueError):
            return None
        return table if _is_of_items(table) else None


def _is_of_items(table: Result) -> bool:
    """Whether it has a row for each item, which can be found by its name."""
    import pyarrow as pa

    schema = table.table.schema
    if "item" not in schema.names or len(set(schema.names)) < len(schema.names):
        return False
    names = [schema.field(name).type for name in _NAMES if name in schema.names]
    return not any(pa.types.is_nested(kind) for kind in names)


def _differ(path: str, one: Result | None, other: Result | None) -> str:
    assert one is not None
    assert other is not None
    try:
        matched = match(path, one, other, ("the first run", "the second run"))
    except (InputError, TypeError, ValueError) as error:
        return str(error)
    if not matched.only_first and not matched.only_second:
        return ""
    return (
        f"{path}: the runs asked other items: {len(matched.only_first):,} only in the first run, "
        f"{len(matched.only_second):,} only in the second, {len(matched.first):,} in both."
    )
