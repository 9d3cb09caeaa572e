"""The jackknife: an interval for any smooth number that texts make together.

A similarity of whole representations or an imbalance of loads is no mean over texts, and grows
where a bootstrap draws a text twice. Leaving texts out has no such bias (Efron and Tibshirani 1993,
"An Introduction to the Bootstrap", chapter 11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.stats import LEVEL, Estimate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["jackknife"]

GROUPS = 200
_AT_ONCE = 64


def jackknife(
    statistic: Callable[[Floats], Floats],
    texts: int,
    *,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    level: float = LEVEL,
) -> Estimate:
    """A statistic of all texts, with the interval that leaving texts out in turn gives.

    Args:
        statistic: from the weights of the texts `[text, draw]`, 0 or 1, to one number a draw
            `[draw]`; NaN where it is undefined.
        texts: how many there are. More than `GROUPS` are left out in that many groups.
        bounds: the statistic's smallest and largest possible values, at which the interval ends.
        level: of the interval.
    """
    from scipy.stats import t

    groups = min(texts, GROUPS)
    method = f"jackknife over {texts} texts" + (f" in {groups} groups" if groups < texts else "")
    value = float(statistic(np.ones((texts, 1)))[0])
    if not np.isfinite(value):
        return Estimate(None, None, None, texts, method, level)
    if groups < 2:  # noqa: PLR2004 - something has to be left when one is left out
        return Estimate(value, None, None, texts, method, level)
    left_out = np.concatenate(
        [
            statistic(_without(texts, groups, range(start, min(groups, start + _AT_ONCE))))
            for start in range(0, groups, _AT_ONCE)
        ]
    )
    if not np.isfinite(left_out).all():
        return Estimate(value, None, None, texts, method, level)
    error = np.sqrt((groups - 1) * left_out.var())
    half = float(t.ppf((1 + level) / 2, groups - 1) * error)
    low, high = max(bounds[0], value - half), min(bounds[1], value + half)
    return Estimate(value, low, high, texts, method, level)


def _without(texts: int, groups: int, some: range) -> Floats:
    """Weights that leave one group out in each column."""
    member = np.arange(texts) % groups
    return np.asarray(member[:, None] != np.asarray(some)[None, :], dtype=float)
