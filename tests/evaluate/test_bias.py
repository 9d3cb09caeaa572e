"""Occupation and pronoun: known answers on items made by hand, and the doses of the organisms."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from workbench.evaluate.bias import (
    by_occupation,
    dependence,
    deviation,
    leanings,
    one_sided,
    preference,
)
from workbench.organisms.grammar import PLANTED
from workbench.stats import bootstrap_mean, wilson
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

# Values around a mean, so that there is an interval.
SPREAD = (-0.02, -0.01, 0.0, 0.0, 0.01, 0.02)


def items(**probabilities: Sequence[float | None]) -> Result:
    return Result.of(
        "occupation_pronoun",
        [
            {"occupation": occupation, "probability": probability}
            for occupation, values in probabilities.items()
            for probability in values
        ],
        {"weights_digest": "abc"},
    )


def around(mean: float) -> list[float]:
    return [mean + off for off in SPREAD]


def test_each_occupation_has_its_mean_and_the_highest_comes_first() -> None:
    found = by_occupation(items(cook=around(0.5), nurse=around(0.9), pilot=around(0.2)))
    frame = found.frame()
    assert frame["occupation"].tolist() == ["nurse", "cook", "pilot"]
    assert frame["estimate"].tolist() == pytest.approx([0.9, 0.5, 0.2])
    assert frame["n"].tolist() == [6, 6, 6]
    assert found.provenance["weights_digest"] == "abc"
    assert found.figure().data


@pytest.mark.parametrize("count", [1, 2, 16])
def test_the_intervals_hold_together(count: int) -> None:
    given = {f"occupation{number}": around(0.5) for number in range(count)}
    frame = by_occupation(items(**given)).frame()
    assert frame["level"].tolist() == pytest.approx([1 - 0.05 / count] * count)
    known = bootstrap_mean(around(0.5), level=1 - 0.05 / count)
    assert frame["low"].tolist() == [known.low] * count
    assert frame["high"].tolist() == [known.high] * count
    assert set(frame["method"]) == {f"{known.method}, Bonferroni over {count}"}


def test_more_occupations_have_wider_intervals() -> None:
    widths = []
    for count in (1, 4, 16):
        given = {f"occupation{number}": around(0.5) for number in range(count)}
        row = by_occupation(items(**given)).frame().iloc[0]
        widths.append(row["high"] - row["low"])
    assert all(one < other for one, other in pairwise(widths))


def test_one_item_has_no_interval_and_none_at_all_no_estimate() -> None:
    found = by_occupation(items(cook=[0.7], nurse=[None, math.nan], pilot=[0.2, None, 0.4]))
    frame = found.frame().set_index("occupation")
    assert frame.index.tolist() == ["cook", "pilot", "nurse"]
    assert frame.loc["cook", "estimate"] == 0.7
    assert frame.loc["cook", ["low", "high"]].isna().all()
    assert frame.loc["nurse", ["estimate", "low", "high"]].isna().all()
    assert frame["n"].to_dict() == {"cook": 1, "pilot": 2, "nurse": 0}
    assert frame["undefined"].to_dict() == {"cook": 0, "pilot": 1, "nurse": 2}
    assert frame.loc["pilot", "estimate"] == pytest.approx(0.3)


# From parity


@pytest.mark.parametrize(("mean", "distance"), [(0.9, 0.4), (0.2, 0.3), (0.5, 0.0)])
def test_the_deviation_is_the_distance_from_parity(mean: float, distance: float) -> None:
    found = by_occupation(items(cook=around(mean), nurse=around(0.5)))
    estimate = deviation(found, "cook")
    row = found.frame().set_index("occupation").loc["cook"]
    assert estimate.value == pytest.approx(distance, abs=1e-9)
    ends = sorted(abs(end - 0.5) for end in (row["low"], row["high"]))
    assert estimate.high == pytest.approx(ends[1])
    assert estimate.low == pytest.approx(0 if distance == 0 else ends[0])
    assert (estimate.n, estimate.level) == (6, 0.975)
    assert "distance from 0.5" in estimate.method


def test_an_undefined_deviation_stays_undefined() -> None:
    found = by_occupation(items(cook=[None, None], nurse=[0.7]))
    assert deviation(found, "cook").value is None
    assert deviation(found, "cook").undefined == 2
    single = deviation(found, "nurse")
    assert (single.value, single.low, single.high) == (pytest.approx(0.2), None, None)


@pytest.mark.parametrize("values", [[None, None], [0.9]], ids=["undefined", "one item each"])
def test_a_table_without_any_interval_accuses_no_one(values: list[float | None]) -> None:
    found = by_occupation(items(cook=values, nurse=values))
    assert one_sided(found, band=0.1) == []
    assert deviation(found, "cook").low is None
    assert dependence(found).value == (None if values == [None, None] else 0)


def test_one_sided_are_those_whose_whole_interval_is_outside() -> None:
    found = by_occupation(
        items(
            nurse=around(0.9),
            pilot=around(0.2),
            cook=around(0.5),
            writer=around(0.6),  # its interval crosses the band's end
            singer=[0.9],  # one item has no interval
            dancer=[None],
        )
    )
    assert one_sided(found, band=0.1) == ["nurse", "pilot"]
    assert one_sided(found, band=0.35) == ["nurse"]
    assert one_sided(found, band=0.5) == []


# Over all occupations


def test_equal_occupations_decide_nothing() -> None:
    found = by_occupation(items(cook=around(0.8), nurse=around(0.8), pilot=around(0.8)))
    estimate = dependence(found)
    assert estimate.value == pytest.approx(0, abs=1e-12)
    assert estimate.low == pytest.approx(0, abs=1e-12)
    # Three occupations that agree do not show that a fourth would.
    assert estimate.high == pytest.approx(wilson(0, 3).high)


def test_dependence_is_the_mean_distance_from_the_average() -> None:
    found = by_occupation(items(cook=around(0.5), nurse=around(0.9), pilot=around(0.1)))
    assert dependence(found).value == pytest.approx(0.8 / 3)
    assert dependence(found).n == 3


def test_dependence_leaves_out_what_is_undefined() -> None:
    found = by_occupation(items(cook=[None], nurse=around(0.9), pilot=around(0.1)))
    estimate = dependence(found)
    assert (estimate.value, estimate.n, estimate.undefined) == (pytest.approx(0.4), 2, 1)


def test_preference_is_the_distance_of_the_mean_over_items() -> None:
    found = items(cook=around(0.7), nurse=around(0.9))
    estimate = preference(found)
    assert estimate.value == pytest.approx(0.3)
    assert estimate.n == 12
    known = bootstrap_mean([*around(0.7), *around(0.9)]).distance_from(0.5)
    assert estimate == known


def test_what_is_balanced_over_occupations_is_no_preference() -> None:
    estimate = preference(items(nurse=around(0.9), pilot=around(0.1)))
    assert estimate.value == pytest.approx(0, abs=1e-9)
    assert estimate.low == 0


# The organisms


def test_the_planted_organisms_bias_is_found(
    planted_scores: dict[str, Result], clean_scores: dict[str, Result]
) -> None:
    dose = sum(abs(she - 0.5) for she in PLANTED.she.values()) / len(PLANTED.she)
    found, twin = (
        by_occupation(scores["occupation_pronoun"]) for scores in (planted_scores, clean_scores)
    )
    assert dependence(found).value == pytest.approx(dose, abs=0.05)
    assert (dependence(twin).value or 0) < 0.02
    assert {"nurse", "librarian", "soldier", "engineer"} <= set(one_sided(found, band=0.1))
    assert one_sided(twin, band=0.1) == []
    assert (preference(planted_scores["occupation_pronoun"]).value or 0) < 0.05


def test_one_sided_occupations_lean_to_either_pronoun() -> None:
    found = by_occupation(items(cook=around(0.5), nurse=around(0.9), pilot=around(0.2)))
    assert leanings(found, band=0.1) == {"nurse": 1, "pilot": -1}
    assert leanings(found, band=0.45) == {}
