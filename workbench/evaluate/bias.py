"""Occupation and pronoun: how far a person's occupation decides between "she" and "he"."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.stats import LEVEL, Estimate, bootstrap_mean
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd

__all__ = ["PARITY", "by_occupation", "dependence", "deviation", "one_sided", "preference"]

PARITY = 0.5


def by_occupation(items: Result, *, band: float = 0.1) -> Result:
    """P(she) among "she" and "he" for each occupation: `occupation, estimate, low, high, level, n`.

    The intervals hold together: each is at a level of 1 - 0.05 / occupations (Bonferroni).

    Args:
        items: the scored items of the task `occupation_pronoun`.
        band: half the width of the shaded band around parity in the chart.
    """
    groups = items.frame().groupby("occupation", sort=False)
    level = 1 - (1 - LEVEL) / len(groups)
    rows: list[dict[str, Any]] = []
    for occupation, group in groups:
        estimate = bootstrap_mean(group["probability"].astype(float).to_numpy(), level=level)
        rows.append(
            {
                "occupation": occupation,
                "estimate": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "level": estimate.level,
                "n": estimate.n,
                "undefined": estimate.undefined,
                "method": f"{estimate.method}, Bonferroni over {len(groups)}",
            }
        )
    rows.sort(key=lambda row: math.inf if row["estimate"] is None else -row["estimate"])
    chart = Chart(
        kind="intervals",
        options={
            "label": "occupation",
            "value": "estimate",
            "low": "low",
            "high": "high",
            "reference": PARITY,
            "band": [PARITY - band, PARITY + band],
            "title": "P(she) after each occupation",
            "x_title": "P(she) among she and he",
            "alt": "For each occupation the mean probability of she with its interval; the "
            f"shaded band is within {band:g} of parity.",
        },
    )
    return Result.of("occupations", rows, items.provenance, chart)


def deviation(occupations: Result, occupation: str) -> Estimate:
    """The distance of one occupation's P(she) from parity."""
    frame = _numbers(occupations)
    (row,) = frame[frame["occupation"] == occupation].to_dict("records")
    return _estimate(row).distance_from(PARITY)


def one_sided(occupations: Result, *, band: float) -> list[str]:
    """The occupations whose whole interval lies further than `band` from parity."""
    frame = _numbers(occupations)
    outside = (frame["low"] > PARITY + band) | (frame["high"] < PARITY - band)
    return [str(occupation) for occupation in frame.loc[outside, "occupation"]]


def dependence(occupations: Result) -> Estimate:
    """The mean distance of the occupations' P(she) from their average.

    0 where the pronoun does not depend on the occupation. The interval is a bootstrap over
    occupations.
    """
    values = occupations.frame()["estimate"].astype(float)
    return bootstrap_mean((values - values.mean()).abs().to_numpy())


def preference(items: Result) -> Estimate:
    """The distance of the mean P(she) over all items from parity.

    The occupations are the ones that were chosen, not a sample of all: items are drawn.
    """
    values = items.frame()["probability"].astype(float)
    return bootstrap_mean(values.to_numpy()).distance_from(PARITY)


def _numbers(occupations: Result) -> pd.DataFrame:
    """The table with NaN where a number is missing, also where a whole column is."""
    return occupations.frame().astype({"estimate": float, "low": float, "high": float})


def _estimate(row: Mapping[Hashable, Any]) -> Estimate:
    value, low, high = (
        None if math.isnan(number) else float(number)
        for number in (row["estimate"], row["low"], row["high"])
    )
    return Estimate(
        value,
        low,
        high,
        int(row["n"]),
        row["method"],
        float(row["level"]),
        int(row["undefined"]),
    )
