"""What a check differs by between two runs: paired item by item where the items are the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.audit.check_numbers import Number, Values, candidates
from workbench.audit.evidence import inside
from workbench.comparison.matching import match
from workbench.errors import InputError
from workbench.stats.difference import (
    Difference,
    distance_difference,
    mean_difference,
    same,
    shares_difference,
    square_and_add,
)
from workbench.stats.estimate import LEVEL, Estimate
from workbench.stats.resampling import ROUNDING, UNBOUNDED
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd

    from workbench.audit.checks import Finding
    from workbench.audit.evidence import Evidence

__all__ = ["CheckDifference", "RunTables", "check_difference"]

_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class CheckDifference:
    """What a check's number differs by, and what that rests on.

    Attributes:
        difference: None where it cannot be known.
        number: what was compared item by item, in words; empty where the estimates were.
        same_items: whether both runs asked the same; None where no items are kept for the check.
        note: why it is not paired, or why there is none; empty where it is paired.
    """

    difference: Difference | None
    number: str = ""
    same_items: bool | None = None
    note: str = ""


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
        model = self.evidence.provenance.get("model")
        digest = model.get("weights_digest") if isinstance(model, dict) else None
        return digest if isinstance(digest, str) and digest else None

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
            for path in sorted((self.run / "sections" / section.name).glob("*.parquet")):
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
        return table if "item" in table.table.column_names else None


def check_difference(
    first: RunTables, second: RunTables, one: Finding, other: Finding
) -> CheckDifference:
    """What a check's number differs by: the second run's minus the first's.

    Where both runs kept the same items and the estimates can be made again from them
    (`workbench.audit.check_numbers`), it is paired item by item: Tango's score interval for shares
    of yes and no, Student's t with clustered standard errors for other means, a projection for
    distances. Else it is what the two stated intervals say, taken as independent.
    """
    if one.estimate is None or other.estimate is None:
        return CheckDifference(None, note="The check has no number in one of the runs.")
    alike = first.weights is not None and first.weights == second.weights
    differing = ""
    kept = False
    for path, where in dict(_common(first, second, one)).items():
        kept = True
        frames = first.frame(path), second.frame(path)
        number = _number(one, other, path, where, frames)
        differ = first.differ(path, second)
        if number is not None and not differ:
            found = _paired(number, *frames, alike=alike)
            if found is not None:
                return CheckDifference(found, str(number), same_items=True)
        if number is not None:
            differing = differ
            break
        differing = differing or differ
    found = _unpaired(one, other, alike=alike)
    if differing:
        return CheckDifference(found, same_items=False, note=differing)
    note = "No items are kept for it: the two estimates are compared."
    if kept:
        note = "Its number could not be made again from the items: the two estimates are compared."
    return CheckDifference(found, same_items=kept or None, note=note)


def _unpaired(one: Finding, other: Finding, *, alike: bool) -> Difference | None:
    numbers = [(finding.estimate, finding.low, finding.high, finding.n) for finding in (one, other)]
    if alike and numbers[0] == numbers[1]:
        return same(one.n or 0, "the same weights gave the same number")
    return square_and_add(_estimate(one), _estimate(other))


def _common(
    first: RunTables, second: RunTables, finding: Finding
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tables of items behind a finding that both runs have; what is said of their rows."""
    shown: dict[str, Mapping[str, Any]] = {}
    for path, where in first.shown(finding):
        shown.setdefault(path, where)
    for path, where in shown.items():
        if first.items(path) is not None and second.items(path) is not None:
            yield path, where


def _number(
    one: Finding,
    other: Finding,
    path: str,
    where: Mapping[str, Any],
    frames: tuple[pd.DataFrame, pd.DataFrame],
) -> Number | None:
    """The number of the table that both findings state."""
    for number in candidates(one, path, frames[0], where):
        if number.gives(frames[0], one) and number.gives(frames[1], other):
            return number
    return None


def _differ(path: str, one: Result | None, other: Result | None) -> str:
    assert one is not None
    assert other is not None
    try:
        matched = match(path, one, other, ("the first run", "the second run"))
    except InputError as error:
        return str(error)
    if not matched.only_first and not matched.only_second:
        return ""
    return (
        f"{path}: the runs asked other items: {len(matched.only_first):,} only in the first run, "
        f"{len(matched.only_second):,} only in the second, {len(matched.first):,} in both."
    )


def _paired(
    number: Number, first: pd.DataFrame, second: pd.DataFrame, *, alike: bool
) -> Difference | None:
    """The paired difference of a number; None where its units cannot be paired."""
    one, other = number.values(first), number.values(second)
    if one is None or other is None:
        return None
    ordered = _in_order(other, one.keys)
    if ordered is None:
        return None
    before, after = one.values, ordered
    yes_no = number.kind == "mean" and bool(np.isin([before, after], (0, 1)).all())
    equal = np.abs(after - before).max() <= ROUNDING * max(1.0, np.abs(before).max())
    if equal and (alike or not yes_no):
        return same(len(before), "the same value on every item")
    if number.centre is not None:
        return distance_difference(
            before, after, number.centre, one.clusters, _bounds(number, before, after)
        )
    if yes_no:
        return shares_difference(before, after, one.clusters)
    low, high = _bounds(number, before, after)
    return mean_difference(after - before, one.clusters, (low - high, high - low))


def _in_order(values: Values, keys: tuple[str, ...]) -> np.ndarray[Any, Any] | None:
    """The values of these units; None where they are others."""
    place = {key: index for index, key in enumerate(values.keys)}
    if len(place) != len(values.keys) or set(place) != set(keys):
        return None
    return values.values[[place[key] for key in keys]]


def _bounds(number: Number, *values: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The bounds of a number's values: those of shares, where all are."""
    if not all(((part >= -1) & (part <= 1)).all() for part in values):
        return UNBOUNDED
    if number.kind == "contrast":
        return (-1.0, 1.0)
    return (0.0, 1.0) if all((part >= 0).all() for part in values) else UNBOUNDED


def _estimate(finding: Finding) -> Estimate:
    return Estimate(
        value=finding.estimate,
        low=finding.low,
        high=finding.high,
        n=finding.n or 0,
        method=finding.method,
        level=LEVEL if finding.level is None else finding.level,
    )
