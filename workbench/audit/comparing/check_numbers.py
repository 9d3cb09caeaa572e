"""Which number of which items a finding's estimate is: found by making it again from the tables.

A finding says what it was judged by, not how to compute it. So the numbers that a check can be
(a mean, what two arms differ by in their pairs, how far groups lie from their average) are made of
the items that the run keeps for it, and one is taken only where it gives the estimates that both
runs state, to the last digit that they state.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from workbench.audit.records.checks import Finding

    Floats = NDArray[np.float64]

__all__ = ["Number", "Values", "candidates"]

Kind = Literal["mean", "contrast", "spread"]

LOG = "exp(log_probability)"
"""The probability among all that the model could say."""

_DISTANCE = re.compile(r"distance from (-?[0-9.]+(?:e-?[0-9]+)?)")
_MOST_VALUES = 200
"""Distinct values that a column of groups has at most."""
_AGREE = 2e-9
"""Findings state ten significant digits."""


@dataclass(frozen=True)
class Values:
    """What a number is the mean of.

    Attributes:
        keys: `[unit]`, which item, pair or group each value belongs to.
        values: `[unit]`.
        clusters: `[unit]` labels; None where each stands alone.
    """

    keys: tuple[str, ...]
    values: Floats
    clusters: NDArray[Any] | None


@dataclass(frozen=True)
class Number:
    """A number that a table of items makes.

    Attributes:
        path: of the table, inside the run.
        kind: `mean` of a column; `contrast`: the mean of what two arms of a pair differ by;
            `spread`: the mean distance of groups' means from their average.
        column: of the table, `exp(log_probability)`, or `column=value` for the share of a label.
        where: column and value that the rows have.
        arms: of a contrast, what is tested and its control.
        by: the column of a spread's groups.
        centre: the number is the distance of the mean from it; None where it is the mean.
    """

    path: str
    kind: Kind
    column: str
    where: tuple[tuple[str, str], ...] = ()
    arms: tuple[str, str] | None = None
    by: str | None = None
    centre: float | None = None

    def __str__(self) -> str:
        """In words, as `mean probability, arm harmful`."""
        if self.kind == "contrast" and self.arms is not None:
            text = f"mean {self.column}, {self.arms[0]} minus {self.arms[1]} in pairs"
        elif self.kind == "spread":
            text = f"mean distance of {self.column} by {self.by} from the average"
        else:
            text = f"mean {self.column}"
        if self.centre is not None:
            text = f"distance of {text} from {self.centre:g}"
        return ", ".join([text, *(f"{column} {value}" for column, value in self.where)])

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows that it rests on."""
        for column, value in self.where:
            frame = frame[frame[column].astype(str) == value]
        if self.arms is not None:
            frame = frame[frame["arm"].astype(str).isin(self.arms)]
        return frame

    def values(self, frame: pd.DataFrame) -> Values | None:
        """What it is the mean of; None where the table cannot give it."""
        rows = self.rows(frame)
        numbers = _numbers(rows, self.column)
        if numbers is None or not numbers.size or not np.isfinite(numbers).all():
            return None
        if self.kind == "contrast":
            return self._contrast(rows, numbers)
        if self.kind == "spread":
            means = rows.assign(value=numbers).groupby(self.by, sort=False)["value"].mean()
            values = (means - means.mean()).abs().to_numpy(dtype=float)
            return Values(tuple(map(str, means.index)), values, None)
        keys = tuple(rows["item"].astype(str))
        return Values(keys, numbers, _clusters(rows))

    def gives(self, frame: pd.DataFrame, finding: Finding) -> bool:
        """Whether it is what a finding states, of as many items."""
        found = self.values(frame)
        if found is None or finding.estimate is None or len(found.values) != finding.n:
            return False
        number = float(found.values.mean())
        if self.centre is not None:
            number = abs(number - self.centre)
        return math.isclose(number, finding.estimate, rel_tol=_AGREE, abs_tol=1e-12)

    def _contrast(self, rows: pd.DataFrame, numbers: Floats) -> Values | None:
        assert self.arms is not None
        rows = rows.assign(value=numbers)
        first, second = (
            rows[rows["arm"].astype(str) == arm].set_index("pair") for arm in self.arms
        )
        if not (first.index.is_unique and second.index.is_unique):
            return None
        both = first.index.intersection(second.index, sort=False)
        first, second = first.loc[both], second.loc[both]
        values = (first["value"] - second["value"]).to_numpy(dtype=float)
        return Values(tuple(map(str, both)), values, _clusters(first))


def candidates(
    finding: Finding, path: str, frame: pd.DataFrame, where: Mapping[str, Any]
) -> Iterator[Number]:
    """The numbers of a table that a finding could state, what is likely first.

    Args:
        finding: of either run.
        path: of the table, inside the run.
        frame: its rows, one for each item.
        where: column -> value of the rows that are shown for the finding, as far as that is said.
    """
    said = _DISTANCE.search(finding.method)
    centre = float(said.group(1)) if said else None
    given = tuple((name, str(value)) for name, value in where.items() if name in frame)
    columns = _columns(frame, yes_no="Wilson" in finding.method)
    arms = _labels(frame, "arm")
    wheres = [given] if given else []
    wheres += [(("arm", arm),) for arm in arms if len(arms) > 1]
    wheres += [*_named(finding, frame), ()]
    for column in columns:
        for chosen in dict.fromkeys(wheres):
            yield Number(path, "mean", column, chosen, centre=centre)
        if "pair" in frame:
            for pair in ((one, other) for one in arms for other in arms if one != other):
                yield Number(path, "contrast", column, arms=pair, centre=centre)
        for by in frame.columns if centre is None else ():
            if finding.n is not None and len(_labels(frame, by)) == finding.n:
                yield Number(path, "spread", column, by=str(by))


def _named(finding: Finding, frame: pd.DataFrame) -> Iterator[tuple[tuple[str, str], ...]]:
    """The groups whose name ends the finding's code, as `nurse` does BIAS-OCC-NURSE."""
    code = finding.code.upper()
    for column in frame.columns:
        for label in _labels(frame, column):
            if label and code.endswith(f"-{label.upper().replace(' ', '-')}"):
                yield ((str(column), label),)


def _labels(frame: pd.DataFrame, column: Any) -> list[str]:
    """The distinct values of a column of texts; none where they are too many to be groups."""
    if column not in frame or column in {"item", "prompt"}:
        return []
    values = frame[column].tolist()
    if not all(isinstance(value, str) for value in values):
        return []
    labels = list(dict.fromkeys(values))
    return labels if len(labels) <= _MOST_VALUES else []


def _columns(frame: pd.DataFrame, *, yes_no: bool) -> list[str]:
    """The columns that can be averaged: probabilities, answers judged, labels of a judge."""
    numeric = [str(name) for name in frame.columns if frame[name].dtype.kind in "biuf"]
    known: list[str] = [name for name in ("probability", "correct") if name in numeric]
    known += [LOG] if "log_probability" in numeric else []
    known += [f"verdict={label}" for label in _labels(frame, "verdict")]
    known += [name for name in numeric if name not in {*known, "log_probability"}]
    if yes_no:
        known.sort(key=lambda name: name in numeric and frame[name].dtype.kind != "b")
    return known


def _numbers(frame: pd.DataFrame, column: str) -> Floats | None:
    """A column as numbers; None where the table has none of it."""
    if column == LOG:
        found = _numbers(frame, "log_probability")
        return None if found is None else np.exp(found)
    name, _, label = column.partition("=")
    if name not in frame:
        return None
    if label:
        return np.array([value == label for value in frame[name].tolist()], dtype=float)
    try:
        return frame[name].to_numpy(dtype=float)
    except (TypeError, ValueError):
        return None


def _clusters(rows: pd.DataFrame) -> NDArray[Any] | None:
    """The items' clusters; None where each stands alone, or none are stated."""
    if "cluster" not in rows:
        return None
    labels = rows["cluster"].astype(str).to_numpy(dtype=object)
    return None if len(set(labels)) == len(labels) else labels
