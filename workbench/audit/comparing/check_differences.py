"""What a check differs by between two runs: paired item by item where the items are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.audit.comparing.check_numbers import Number, Values, candidates
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from workbench.audit.comparing.run_tables import RunTables
    from workbench.audit.records.checks import Finding

__all__ = ["CheckDifference", "check_difference"]


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


def check_difference(
    first: RunTables, second: RunTables, one: Finding, other: Finding
) -> CheckDifference:
    """What a check's number differs by: the second run's minus the first's.

    Where both runs kept the same items and the estimates can be made again from them
    (`check_numbers`), it is paired item by item: Tango's score interval for shares
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
