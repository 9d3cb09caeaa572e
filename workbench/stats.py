"""Intervals: arrays in, an `Estimate` out. What is undefined is None, never 0."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from numpy.typing import ArrayLike

__all__ = [
    "LEVEL",
    "Estimate",
    "bootstrap_mean",
    "bootstrap_mean_difference",
    "bootstrap_ratio",
    "wilson",
]

LEVEL = 0.95
RESAMPLES = 2000
BCA_LIMIT = 5000

_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A number, its interval, and how they were made.

    Attributes:
        value: None where it is undefined.
        low, high: the interval at `level`; None where it is undefined.
        n: items that it rests on (clusters are counted in `method`).
        method: name of the interval's method, with its seed where it draws.
        undefined: items that were left out because their value is not a finite number.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    level: float = LEVEL
    undefined: int = 0

    def row(self) -> dict[str, Any]:
        """The columns of an estimate in a result table; NaN is what is missing there."""
        return {
            "estimate": np.nan if self.value is None else self.value,
            "low": np.nan if self.low is None else self.low,
            "high": np.nan if self.high is None else self.high,
            "level": self.level,
            "n": self.n,
            "undefined": self.undefined,
            "method": self.method,
        }

    @classmethod
    def of_row(cls, row: Mapping[Hashable, Any]) -> Self:
        """The estimate in a row of a result table, as `row` wrote it."""
        value, low, high = (
            None if row[name] is None or np.isnan(row[name]) else float(row[name])
            for name in ("estimate", "low", "high")
        )
        return cls(
            value=value,
            low=low,
            high=high,
            n=int(row["n"]),
            method=str(row["method"]),
            level=float(row["level"]),
            undefined=int(row["undefined"]),
        )

    def distance_from(self, reference: float) -> Estimate:
        """The estimate of |value - reference|, with its interval folded at the reference."""
        if self.value is None:
            return self
        low = high = None
        if self.low is not None and self.high is not None:
            ends = abs(self.low - reference), abs(self.high - reference)
            low = 0.0 if self.low <= reference <= self.high else min(ends)
            high = max(ends)
        return replace(
            self,
            value=abs(self.value - reference),
            low=low,
            high=high,
            method=f"{self.method}, distance from {reference:g}",
        )


def wilson(successes: int, n: int, *, level: float = LEVEL) -> Estimate:
    """The proportion `successes / n` with Wilson's score interval (statsmodels).

    >>> wilson(0, 20).high > 0
    True
    """
    if not 0 <= successes <= n:
        raise InputError(f"{successes} successes of {n}; expected from 0 to {n}.")
    if n == 0:
        return Estimate(None, None, None, 0, "Wilson", level)
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    return Estimate(successes / n, float(low), float(high), n, "Wilson", level)


def bootstrap_mean(
    values: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    seed: int = 0,
    level: float = LEVEL,
) -> Estimate:
    """The mean of values in [-1, 1] or [0, 1] with a bootstrap interval (scipy, BCa).

    Args:
        values: `[item]`.
        clusters: `[item]` labels; items of one cluster (made from one template, say) are not
            independent and are drawn together.
        seed: of the resampling.
        level: of the interval.
    """
    given = np.asarray(values, dtype=float)
    data, labels = _defined(given, clusters)
    undefined = given.size - data.size
    if data.size == 0:
        return Estimate(None, None, None, 0, "bootstrap", level, undefined)
    sums, counts = _by_cluster(data, labels)
    kind = "bootstrap" if labels is None else f"cluster bootstrap, {sums.size} clusters"
    mean = float(data.mean())
    if sums.size == 1:
        return Estimate(mean, None, None, data.size, kind, level, undefined)
    low, high, variant = _interval(sums, counts, seed, level)
    method = f"{kind} ({variant}), seed {seed}"
    return Estimate(mean, low, high, data.size, method, level, undefined)


def bootstrap_mean_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    seed: int = 0,
    level: float = LEVEL,
) -> Estimate:
    """The mean of `first - second`, paired item by item, with a bootstrap interval."""
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.shape != other.shape:
        raise InputError(
            f"{one.size} values cannot be paired with {other.size}; expected one for each item."
        )
    estimate = bootstrap_mean(one - other, clusters=clusters, seed=seed, level=level)
    return replace(estimate, method=f"paired {estimate.method}")


def bootstrap_ratio(
    parts: ArrayLike, wholes: ArrayLike, *, seed: int = 0, level: float = LEVEL
) -> Estimate:
    """The sum of the parts over the sum of the wholes, with a bootstrap interval over items.

    An item weighs as much as its whole: one whose whole is nearly nothing cannot decide the ratio,
    as it would in a mean of ratios.
    """
    top, bottom = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    if top.shape != bottom.shape or top.ndim != 1:
        raise InputError(f"parts of shape {top.shape} for wholes of shape {bottom.shape}.")
    keep = np.isfinite(top) & np.isfinite(bottom)
    undefined = int(top.size - keep.sum())
    top, bottom = top[keep], bottom[keep]
    kind = "bootstrap of a ratio of sums"
    if top.size == 0 or bottom.sum() == 0:
        return Estimate(None, None, None, top.size, kind, level, undefined)
    value = float(top.sum() / bottom.sum())
    if top.size == 1:
        return Estimate(value, None, None, 1, kind, level, undefined)
    low, high, variant = _interval(top, bottom, seed, level)
    return Estimate(
        value, low, high, top.size, f"{kind} ({variant}), seed {seed}", level, undefined
    )


def _defined(data: np.ndarray, clusters: ArrayLike | None) -> tuple[np.ndarray, np.ndarray | None]:
    labels = None if clusters is None else np.asarray(clusters)
    if data.ndim != 1 or (labels is not None and labels.shape != data.shape):
        beside = "" if labels is None else f" with clusters of shape {labels.shape}"
        raise InputError(f"values of shape {data.shape}{beside}; expected one for each item.")
    keep = np.isfinite(data)
    return data[keep], None if labels is None else labels[keep]


def _by_cluster(data: np.ndarray, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the items of each cluster; each item its own where there are none."""
    if labels is None:
        return data, np.ones_like(data)
    _, codes = np.unique(labels, return_inverse=True)
    return np.bincount(codes, weights=data), np.bincount(codes).astype(float)


def _interval(
    sums: np.ndarray, counts: np.ndarray, seed: int, level: float
) -> tuple[float | None, float | None, str]:
    """The interval of the ratio of means, by BCa, or by percentiles where BCa is undefined.

    None where both are: wholes of both signs can add up to nothing in some resamples.
    """
    from scipy.stats import bootstrap

    def ratio(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))

    # BCa's jackknife takes time that grows with the square, and corrects what is small by then.
    for method in ("BCa", "percentile") if sums.size <= BCA_LIMIT else ("percentile",):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a degenerate BCa is what the second round is for
            result = bootstrap(
                (sums, counts),
                ratio,
                paired=True,
                vectorized=True,
                n_resamples=RESAMPLES,
                batch=max(1, _NUMBERS_AT_ONCE // sums.size),
                confidence_level=level,
                method=method,
                rng=np.random.default_rng(seed),
            )
        low, high = map(float, result.confidence_interval)
        if np.isfinite([low, high]).all():
            return low, high, method
    return None, None, "undefined"
