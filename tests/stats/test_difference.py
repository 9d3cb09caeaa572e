"""Differences between two runs: known answers, and intervals that hold what they claim."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from workbench.stats import Estimate
from workbench.stats.difference import (
    distance_difference,
    mean_difference,
    same,
    shares_difference,
    square_and_add,
    tango_ends,
)


def test_tangos_interval_is_the_published_one() -> None:
    # Fagerland, Lydersen and Laake 2017, "Statistical analysis of contingency tables", chapter 8:
    # of 161 patients 6 improved and 16 got worse (Cavo et al. 2012).
    low, high = tango_ends(6, 16, 161)
    assert (round(low, 4), round(high, 4)) == (-0.1240, -0.0054)


def test_tangos_interval_is_wilsons_where_only_one_side_has_any() -> None:
    # Worked out by hand: with no answer lost and none gained the ends are z^2 / (n + z^2).
    z = 1.959963984540054
    low, high = tango_ends(0, 0, 50)
    assert high == pytest.approx(z**2 / (50 + z**2), abs=1e-9)
    assert low == pytest.approx(-high, abs=1e-12)
    assert tango_ends(0, 50, 50)[0] == -1.0
    assert tango_ends(50, 0, 50)[1] == 1.0


def test_the_interval_of_a_mean_is_students() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.5, 0.1, 40), rng.normal(0.55, 0.1, 40)
    found = mean_difference(second - first)
    peer = ttest_rel(second, first).confidence_interval(0.9)
    assert found.ends(0.9) == pytest.approx((peer.low, peer.high))
    assert found.estimate(0.9).value == pytest.approx((second - first).mean())


def test_a_p_value_is_its_interval_turned_round() -> None:
    values = np.random.default_rng(1).normal(0.03, 0.1, 30)
    found = mean_difference(values)
    for margin in (-0.02, 0.0, 0.01):
        peer = ttest_1samp(values, margin, alternative="greater").pvalue
        assert found.p_above(margin) == pytest.approx(peer, rel=1e-6)
    assert found.p_below(0.0) == 1.0
    p = found.p_above(0.0)
    assert p is not None
    low, _ = found.ends(1 - 2 * p)
    assert low == pytest.approx(0.0, abs=1e-9)


def test_items_of_a_cluster_count_less() -> None:
    values = np.repeat(np.random.default_rng(2).normal(0.05, 0.1, 10), 8)
    alone, together = mean_difference(values), mean_difference(values, np.repeat(range(10), 8))
    one, other = alone.ends(0.95), together.ends(0.95)
    assert other[0] < one[0] < one[1] < other[1]
    answers = np.repeat([0, 0, 0, 1, 1], 8)
    labels = np.repeat(range(5), 8)
    one, other = (shares_difference(answers * 0, answers, c).ends(0.95) for c in (None, labels))
    assert other[0] < one[0]
    assert "design effect" in shares_difference(answers * 0, answers, labels).method


def test_equal_values_leave_what_is_unseen_open() -> None:
    assert mean_difference(np.zeros(30), bounds=(-1, 1)).ends(0.9)[1] == pytest.approx(
        2.7055 / (30 + 2.7055), abs=1e-4
    )
    assert mean_difference(np.zeros(30)).ends(0.9) == (None, None)
    assert mean_difference(np.zeros(30)).p_above(-0.1) is None
    known = same(30, "the same")
    assert (known.ends(0.9), known.p_above(0.0), known.p_below(0.1)) == ((0.0, 0.0), 1.0, 1e-12)


def test_square_and_add_is_newcombes_method_10() -> None:
    # Newcombe 1998, table II (a): 56/70 and 48/80 give 0.2000 with 0.0524 to 0.3339.
    first = Estimate(48 / 80, 0.4905, 0.7001, 80, "Wilson")
    second = Estimate(56 / 70, 0.6916, 0.8769, 70, "Wilson")
    found = square_and_add(first, second)
    assert found is not None
    low, high = found.ends(0.95)
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=2e-4)
    assert not found.paired
    assert square_and_add(Estimate(0.5, None, None, 1, ""), second) is None


def test_distances_from_a_centre_differ_by_what_they_should() -> None:
    rng = np.random.default_rng(3)
    first = np.clip(rng.normal(0.8, 0.05, 60), 0, 1)
    second = first - rng.normal(0.1, 0.01, 60)
    found = distance_difference(first, second, 0.5)
    assert found.value == pytest.approx(second.mean() - first.mean())
    # On one side of the centre it is the paired difference, and as narrow nearly.
    low, high = found.ends(0.9)
    bare = mean_difference(second - first).ends(0.95)
    assert (low, high) == pytest.approx(bare, abs=1e-9)
    # Mirrored at the centre nothing has changed, whatever the difference of the means.
    mirrored = distance_difference(first, 1 - first, 0.5)
    assert mirrored.value == pytest.approx(0, abs=1e-12)
    low, high = mirrored.ends(0.9)
    assert low is not None
    assert high is not None
    assert low < 0 < high


@pytest.mark.parametrize("kind", ["shares", "means", "distances"])
def test_an_interval_holds_its_level(kind: str) -> None:
    """The upper end at 1 - 2 alpha lies below the truth in alpha of draws, or fewer."""
    rng = np.random.default_rng(4)
    draws, alpha, below, above = 600, 0.05, 0, 0
    for _ in range(draws):
        if kind == "shares":
            # 5 % lost and none gained: where Wald's interval errs in 12 %.
            first = np.ones(100)
            second = (rng.random(100) > 0.05).astype(float)
            found, truth = shares_difference(first, second), -0.05
        elif kind == "means":
            difficulty = np.repeat(rng.normal(0, 0.05, 20), 4)
            clusters = np.repeat(range(20), 4)
            found = mean_difference(difficulty + rng.normal(0.03, 0.05, 80), clusters)
            truth = 0.03
        else:
            # The first mean lies on the centre: on the kink.
            first = rng.normal(0.5, 0.1, 50)
            second = first + rng.normal(0.04, 0.1, 50)
            found, truth = distance_difference(first, second, 0.5), 0.04
        low, high = found.ends(1 - 2 * alpha)
        assert low is not None
        assert high is not None
        below += high < truth
        above += low > truth
    # Two standard errors of a share of 5 % in 600 draws.
    most = alpha + 2 * np.sqrt(alpha * (1 - alpha) / draws)
    assert below / draws <= most
    assert above / draws <= most
