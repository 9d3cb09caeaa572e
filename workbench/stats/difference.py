"""What a number differs by between two runs: its interval at any level, and p beyond any margin.

A p-value here is the interval turned round: the smallest one-sided error at which the interval lies
wholly beyond the margin. So intervals and p-values never say different things.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from workbench.stats.clusters import design_effect
from workbench.stats.estimate import LEVEL, Estimate
from workbench.stats.means import clustered_mean, standard_error
from workbench.stats.resampling import ROUNDING, UNBOUNDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from workbench.stats.resampling import Bounds

    Floats = NDArray[np.float64]
    Ends = tuple[float | None, float | None]

__all__ = [
    "Difference",
    "distance_difference",
    "mean_difference",
    "same",
    "shares_difference",
    "square_and_add",
    "tango_ends",
]

_SMALLEST = 1e-12
"""A p-value below it is said to be this small."""
_LARGEST = 0.4999


@dataclass(frozen=True)
class Difference:
    """The second run's number minus the first's.

    Attributes:
        value: the difference.
        n: items that it rests on.
        method: how its intervals are made.
        ends: level -> the two-sided interval's ends, which grow with the level; None where there is
            none.
        paired: whether it was made item by item.
        exact: whether it is known without sampling: the two runs gave the same values.
    """

    value: float
    n: int
    method: str
    ends: Callable[[float], Ends]
    paired: bool = True
    exact: bool = False

    def estimate(self, level: float = LEVEL) -> Estimate:
        """The difference with its two-sided interval."""
        low, high = self.ends(level)
        return Estimate(self.value, low, high, self.n, self.method, level)

    def p_above(self, margin: float) -> float | None:
        """The one-sided p-value of the difference lying above the margin; None without interval."""
        return self._p(lambda level: _first(self.ends(level)), margin, 1)

    def p_below(self, margin: float) -> float | None:
        """The one-sided p-value of the difference lying below the margin; None without interval."""
        return self._p(lambda level: _second(self.ends(level)), margin, -1)

    def _p(self, end: Callable[[float], float | None], margin: float, side: int) -> float | None:
        from scipy.optimize import brentq

        beyond = side * (self.value - margin)
        if self.exact:
            return _SMALLEST if beyond > 0 else 1.0
        if end(LEVEL) is None:
            return None

        def past(log_error: float) -> float:
            reached = end(1 - 2 * math.exp(log_error))
            return -math.inf if reached is None else side * (reached - margin)

        lowest, highest = math.log(_SMALLEST), math.log(_LARGEST)
        if past(highest) <= 0:
            # On the margin's own side an interval says nothing for lying beyond it.
            return 1.0
        if past(lowest) > 0:
            return _SMALLEST
        return math.exp(brentq(past, lowest, highest, xtol=1e-9))


def same(n: int, method: str) -> Difference:
    """No difference: nothing that was drawn can make it another."""
    return Difference(0.0, n, method, lambda _: (0.0, 0.0), exact=True)


def mean_difference(
    differences: ArrayLike, clusters: ArrayLike | None = None, bounds: Bounds = UNBOUNDED
) -> Difference:
    """The mean of paired differences with Student's t interval of its clustered standard error.

    Miller 2024, "Adding error bars to evals", arXiv 2411.00640, sections 2.2 and 4.2.

    Args:
        differences: `[item]`, the second run's values minus the first's.
        clusters: `[item]` labels; None where items are independent.
        bounds: of a difference.
    """
    values = np.asarray(differences, dtype=float)
    found = clustered_mean(values, clusters, bounds=bounds)
    assert found.value is not None
    ends = _t_ends(values, clusters, bounds)
    return Difference(found.value, found.n, f"paired {found.method}", ends)


def _t_ends(values: Floats, clusters: ArrayLike | None, bounds: Bounds) -> Callable[[float], Ends]:
    """The ends of `clustered_mean`'s interval at any level, with the standard error known once."""
    from scipy.special import stdtrit

    error = standard_error(values, clusters)
    units = values.size if clusters is None else np.unique(np.asarray(clusters)).size
    if error is None or error <= ROUNDING * np.abs(values).max():

        def without_spread(level: float) -> Ends:
            at = clustered_mean(values, clusters, bounds=bounds, level=level)
            return at.low, at.high

        return without_spread
    mean = float(values.mean())

    def ends(level: float) -> Ends:
        half = float(stdtrit(units - 1, (1 + level) / 2)) * error
        return max(bounds[0], mean - half), min(bounds[1], mean + half)

    return ends


def shares_difference(
    first: ArrayLike, second: ArrayLike, clusters: ArrayLike | None = None
) -> Difference:
    """The difference of two shares of the same items, by Tango's score interval.

    Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design". It holds its level where few answers change, or none, as Wald's does not.
    With clusters at the number of independent items that the design effect leaves (Kish 1965).

    Args:
        first: `[item]`, 1 for yes and 0 for no.
        second: `[item]`, of the same items.
        clusters: `[item]` labels.
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    design = 1.0
    method = "Tango's score interval"
    if clusters is not None:
        design = max(1.0, design_effect(other - one, clusters) or 1.0)
        method += f", design effect {design:.3g} of {np.unique(np.asarray(clusters)).size} clusters"
    n = one.size / design
    gained = float(((other == 1) & (one == 0)).sum()) / design
    lost = float(((other == 0) & (one == 1)).sum()) / design
    value = float((other - one).mean())
    return Difference(value, one.size, method, lambda level: tango_ends(gained, lost, n, level))


def tango_ends(gained: float, lost: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Tango's interval of `(gained - lost) / n`; the counts may be fractions.

    Each end is the difference `d` at which the score statistic is the quantile `z`: (gained - lost
    - n d) / sqrt(n (2 q + d (1 - d))), with `q` the likeliest share of items lost if the difference
    is `d`: the root of 2 n q^2 + (d (2 n - gained + lost) - gained - lost) q - lost d (1 - d).
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf((1 + level) / 2))

    def score(d: float) -> float:
        half = d * (2 * n - gained + lost) - gained - lost
        root = math.sqrt(max(0.0, half**2 + 8 * n * lost * d * (1 - d)))
        variance = n * (2 * (root - half) / (4 * n) + d * (1 - d))
        distance = gained - lost - n * d
        if variance <= 0:
            return math.copysign(math.inf, distance) if distance else 0.0
        return distance / math.sqrt(variance)

    value, edge = (gained - lost) / n, 1 - 1e-9
    low, high = -1.0, 1.0
    if score(-edge) > z > score(min(value, edge)):
        low = float(brentq(lambda d: score(d) - z, -edge, min(value, edge), xtol=1e-11))
    if score(edge) < -z < score(max(value, -edge)):
        high = float(brentq(lambda d: score(d) + z, max(value, -edge), edge, xtol=1e-11))
    return low, high


def distance_difference(
    first: ArrayLike,
    second: ArrayLike,
    centre: float,
    clusters: ArrayLike | None = None,
    bounds: Bounds = (0.0, 1.0),
) -> Difference:
    """What the distance of a mean from a centre differs by: |mean - centre|, second minus first.

    A distance has a kink, where a bootstrap fails. So the interval is a projection (Scheffé 1953):
    the smallest and largest value that it takes anywhere in a box that holds the first mean and
    the paired difference of the means together, each by Student's t at half the error (Bonferroni).
    It holds at least its level.

    Args:
        first: `[item]`.
        second: `[item]`, of the same items.
        centre: that the distance is from.
        clusters: `[item]` labels.
        bounds: of the values.
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    reach = (bounds[0] - bounds[1], bounds[1] - bounds[0])
    start, step = float(one.mean()), float((other - one).mean())
    value = abs(start + step - centre) - abs(start - centre)
    kind = clustered_mean(other - one, clusters, bounds=reach)

    means_at, steps_at = _t_ends(one, clusters, bounds), _t_ends(other - one, clusters, reach)

    def ends(level: float) -> Ends:
        each = 1 - (1 - level) / 2
        means, steps = means_at(each), steps_at(each)
        if None in means or None in steps:
            return None, None
        return _projected(means, steps, centre)  # type: ignore[arg-type] # neither end is None

    method = f"projection of paired {kind.method}, distance from {centre:g}"
    return Difference(value, one.size, method, ends)


def _projected(
    means: tuple[float, float], steps: tuple[float, float], centre: float
) -> tuple[float, float]:
    """The extremes of |mean + step - centre| - |mean - centre| in a box.

    It is linear between the lines mean = centre and mean + step = centre, so they lie in a corner
    of the pieces that these cut the box into.
    """
    corners = [
        *product(means, steps),
        *((centre, step) for step in steps),
        *((centre - step, step) for step in steps),
        *((mean, centre - mean) for mean in means),
        (centre, 0.0),
    ]
    inside = [
        abs(mean + step - centre) - abs(mean - centre)
        for mean, step in corners
        if means[0] <= mean <= means[1] and steps[0] <= step <= steps[1]
    ]
    return min(inside), max(inside)


def square_and_add(first: Estimate, second: Estimate) -> Difference | None:
    """The difference of two estimates that are taken as independent, from their intervals alone.

    Newcombe 1998, "Interval estimation for the difference between independent proportions", method
    10; for any estimates: Zou and Donner 2008, "Construction of confidence limits about effect
    measures". For the same items it is wider than a paired interval, since what is hard for one
    run is hard for the other. At other levels the estimates' arms grow with the normal quantile.

    Returns:
        None where a number or an interval is missing.
    """
    from scipy.stats import norm

    one, other = _arms(first), _arms(second)
    if one is None or other is None or first.value is None or second.value is None:
        return None
    value = second.value - first.value
    (down, up), (down_other, up_other) = one, other

    def ends(level: float) -> Ends:
        z = float(norm.ppf((1 + level) / 2))
        return value - z * math.hypot(down_other, up), value + z * math.hypot(up_other, down)

    method = "square-and-add of the two intervals, taken as independent"
    return Difference(value, min(first.n, second.n), method, ends, paired=False)


def _arms(estimate: Estimate) -> tuple[float, float] | None:
    """How far the interval reaches down and up, in normal standard errors."""
    from scipy.stats import norm

    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    z = float(norm.ppf((1 + estimate.level) / 2))
    if not 0 < z < math.inf:
        return None
    return (estimate.value - estimate.low) / z, (estimate.high - estimate.value) / z


def _first(ends: Ends) -> float | None:
    return ends[0]


def _second(ends: Ends) -> float | None:
    return ends[1]
