"""Intervals: known answers, and what is undefined stays missing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from workbench.errors import InputError
from workbench.stats import (
    BCA_LIMIT,
    Estimate,
    bootstrap_mean,
    bootstrap_mean_difference,
    bootstrap_ratio,
    wilson,
)

COUNTS = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
VALUES = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=2, max_size=30)


def interval(found: Estimate) -> list[float]:
    """Both ends of an interval, which is there."""
    assert found.low is not None
    assert found.high is not None
    return [found.low, found.high]


def test_wilson_is_wilsons() -> None:
    # Newcombe (1998), table I, case 4: 81 of 263.
    found = wilson(81, 263)
    assert interval(found) == pytest.approx([0.2553, 0.3662], abs=5e-5)


@given(COUNTS)
def test_wilson_contains_its_proportion(counts: tuple[int, int]) -> None:
    found = wilson(*counts)
    assert found.low is not None
    assert found.high is not None
    assert found.value == counts[0] / counts[1]
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    assert (found.low, found.high) == pytest.approx(proportion_confint(*counts, method="wilson"))


@given(COUNTS)
def test_wilson_is_the_same_from_the_other_side(counts: tuple[int, int]) -> None:
    successes, n = counts
    one, other = wilson(successes, n), wilson(n - successes, n)
    assert one.low == pytest.approx(1 - (other.high or 0), abs=1e-12)


def test_wilson_of_nothing_is_missing() -> None:
    assert wilson(0, 0) == Estimate(None, None, None, 0, "Wilson")


@pytest.mark.parametrize("counts", [(-1, 3), (4, 3), (0, -1)])
def test_wilson_of_impossible_counts(counts: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="successes of"):
        wilson(*counts)


@pytest.mark.parametrize("values", [[], [math.nan], [math.nan, math.nan]])
def test_a_mean_of_nothing_is_missing(values: list[float]) -> None:
    found = bootstrap_mean(values)
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 0)


def test_one_item_has_a_mean_and_no_interval() -> None:
    found = bootstrap_mean([0.5])
    assert (found.value, found.low, found.high, found.n) == (0.5, None, None, 1)


def test_one_cluster_has_a_mean_and_no_interval() -> None:
    found = bootstrap_mean([0, 1, 1], clusters=["a", "a", "a"])
    assert (found.low, found.high, found.n) == (None, None, 3)
    assert found.method == "cluster bootstrap, 1 clusters"


def test_missing_values_are_left_out_with_their_clusters() -> None:
    found = bootstrap_mean([0.1, math.nan, 0.3, 0.5], clusters=["a", "b", "c", "c"])
    assert found.n == 3
    assert "2 clusters" in found.method


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = bootstrap_mean([0.5] * 10)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert "percentile" in found.method


@settings(deadline=None, max_examples=20)
@given(VALUES)
def test_an_interval_lies_among_the_values(values: list[float]) -> None:
    found = bootstrap_mean(values)
    assert found.value == pytest.approx(np.mean(values))
    assert found.low is not None
    assert found.high is not None
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_the_seed_decides_the_interval() -> None:
    values = np.random.default_rng(1).random(40)
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3).low != bootstrap_mean(values, seed=4).low
    assert "seed 3" in bootstrap_mean(values, seed=3).method


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [bootstrap_mean(rng.random(40), seed=k, level=0.9) for k in range(200)]
    covered = sum((one.low or 1) <= 0.5 <= (one.high or 0) for one in found)
    # Nine tenths, within three standard errors and the bootstrap's own optimism.
    assert 165 <= covered <= 196


def test_items_of_a_cluster_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.random(10), 20)
    alone, together = (
        bootstrap_mean(centres),
        bootstrap_mean(centres, clusters=np.arange(200) // 20),
    )
    assert (together.high or 0) - (together.low or 0) > 3 * ((alone.high or 0) - (alone.low or 0))


def test_many_items_take_little_memory() -> None:
    values = np.random.default_rng(0).random(BCA_LIMIT * 20)
    found = bootstrap_mean(values)
    error = values.std() / math.sqrt(values.size)
    assert (found.high or 0) - (found.low or 0) == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert "percentile" in found.method


def test_a_paired_difference() -> None:
    first = np.random.default_rng(0).random(30)
    found = bootstrap_mean_difference(first + 0.25, first)
    assert found.value == pytest.approx(0.25)
    assert interval(found) == pytest.approx([0.25, 0.25])
    assert found.method.startswith("paired bootstrap")


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap_mean([[1.0, 2.0]]),
        lambda: bootstrap_mean(1.0),
        lambda: bootstrap_mean([1, 2], clusters=["a"]),
        lambda: bootstrap_mean_difference([1, 2, 3], [1]),
    ],
)
def test_shapes_that_do_not_belong_together(call: Any) -> None:
    with pytest.raises(InputError, match="expected one for each item"):
        call()


@given(COUNTS, st.floats(0, 1))
def test_a_distance_is_folded_at_its_reference(counts: tuple[int, int], reference: float) -> None:
    found = wilson(*counts)
    folded = found.distance_from(reference)
    assert folded.value is not None
    assert folded.low is not None
    assert folded.high is not None
    assert 0 <= folded.low <= folded.value + 1e-12
    assert folded.value <= folded.high + 1e-12
    assert folded.n == found.n


def test_a_distance_across_the_reference_begins_at_zero() -> None:
    folded = Estimate(0.5, 0.4, 0.7, 10, "x").distance_from(0.45)
    assert folded.value == pytest.approx(0.05)
    assert interval(folded) == pytest.approx([0.0, 0.25])


def test_a_distance_of_nothing_is_missing() -> None:
    missing = Estimate(None, None, None, 0, "x")
    assert missing.distance_from(0.5) == missing


def test_a_ratio_weighs_items_by_their_wholes() -> None:
    parts, wholes = [1.0, 2.0, 5.0], [2.0, 4.0, 1e-6]
    estimate = bootstrap_ratio(parts, wholes)
    assert estimate.value == pytest.approx(8 / 6.000001)
    assert estimate.n == 3
    same = bootstrap_ratio([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert (same.value, same.low, same.high) == pytest.approx((0.5, 0.5, 0.5))


def test_a_ratio_is_missing_where_there_is_no_whole() -> None:
    assert bootstrap_ratio([], []).value is None
    assert bootstrap_ratio([1.0, 2.0], [1.0, -1.0]).value is None
    left = bootstrap_ratio([1.0, np.nan], [2.0, 1.0])
    assert (left.value, left.low, left.n, left.undefined) == (0.5, None, 1, 1)
    with pytest.raises(InputError, match="parts of shape"):
        bootstrap_ratio([1.0], [1.0, 2.0])
