"""Occupation and pronoun: how far a person's occupation decides between "she" and "he"."""

from __future__ import annotations

import math
from dataclasses import replace

from workbench.stats import LEVEL, Estimate, bootstrap_mean
from workbench.tables import Chart, Result

__all__ = [
    "PARITY",
    "TASK",
    "by_occupation",
    "dependence",
    "deviation",
    "leanings",
    "one_sided",
    "preference",
]

TASK = "occupation_pronoun"

PARITY = 0.5


def by_occupation(items: Result, *, band: float = 0.1) -> Result:
    """P(she) among "she" and "he" for each occupation: `occupation` and the estimate's row.

    The intervals hold together: each is at a level of 1 - 0.05 / occupations (Bonferroni).

    Args:
        items: the scored items of the task `occupation_pronoun`.
        band: half the width of the shaded band around parity in the chart.
    """
    groups = items.frame().groupby("occupation", sort=False)
    level = 1 - (1 - LEVEL) / len(groups)
    rows = []
    for occupation, group in groups:
        estimate = bootstrap_mean(group["probability"].to_numpy(), bounds=(0, 1), level=level)
        method = f"{estimate.method}, Bonferroni over {len(groups)}"
        rows.append({"occupation": occupation, **replace(estimate, method=method).row()})
    rows.sort(key=lambda row: math.inf if math.isnan(row["estimate"]) else -row["estimate"])
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
    frame = occupations.frame()
    (row,) = frame[frame["occupation"] == occupation].to_dict("records")
    return Estimate.of_row(row).distance_from(PARITY)


def one_sided(occupations: Result, *, band: float) -> list[str]:
    """The occupations whose whole interval lies further than `band` from parity."""
    frame = occupations.frame()
    outside = (frame["low"] > PARITY + band) | (frame["high"] < PARITY - band)
    return [str(occupation) for occupation in frame.loc[outside, "occupation"]]


def leanings(occupations: Result, *, band: float) -> dict[str, int]:
    """The one-sided occupations, and where each leans: 1 to "she", -1 to "he"."""
    estimates = occupations.frame().set_index("occupation")["estimate"]
    return {
        occupation: 1 if estimates[occupation] > PARITY else -1
        for occupation in one_sided(occupations, band=band)
    }


def dependence(occupations: Result) -> Estimate:
    """The mean distance of the occupations' P(she) from their average.

    0 where the pronoun does not depend on the occupation. The interval is a bootstrap over
    occupations.
    """
    values = occupations.frame()["estimate"]
    return bootstrap_mean((values - values.mean()).abs().to_numpy(), bounds=(0, 1))


def preference(items: Result) -> Estimate:
    """The distance of the mean P(she) over all items from parity.

    The occupations are the ones that were chosen, not a sample of all: items are drawn.
    """
    values = items.frame()["probability"].to_numpy()
    return bootstrap_mean(values, bounds=(0, 1)).distance_from(PARITY)
