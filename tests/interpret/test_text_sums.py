"""Intervals over texts: they cover, they widen where texts differ, and nothing is certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from workbench.interpret.text_sums import TextSums

if TYPE_CHECKING:
    from workbench.stats import Estimate


def share(parts: list[float], wholes: list[float]) -> Estimate:
    sums = TextSums()
    sums.add(parts, wholes)
    found: Estimate = sums.shares().item()
    return found


def draw(random: np.random.Generator, texts: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts of 5 to 30 tokens, each with a share of its own around 0.3."""
    lengths = random.integers(5, 31, texts)
    shares = random.beta(3, 7, texts)
    return random.binomial(lengths, shares).astype(float), lengths.astype(float)


@pytest.mark.parametrize("kind", ["shares", "means"])
def test_intervals_cover(kind: str) -> None:
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        sums = TextSums()
        sums.add(*draw(random, 40))
        found: Estimate = getattr(sums, kind)().item()
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.3 <= found.high
    assert 0.92 < hits / 400 < 0.98


def test_a_share_counted_as_if_tokens_were_independent_would_not_cover() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        parts, wholes = draw(random, 40)
        low, high = proportion_confint(parts.sum(), wholes.sum(), method="wilson")
        hits += low <= 0.3 <= high
    assert hits / 200 < 0.8


def test_batches_add_up() -> None:
    random = np.random.default_rng(1)
    parts, wholes = random.random((30, 2, 3)), random.integers(1, 9, (30, 1, 1))
    at_once, bit_by_bit = TextSums((2, 3)), TextSums((2, 3))
    at_once.add(parts, wholes)
    for start in range(0, 30, 7):
        bit_by_bit.add(parts[start : start + 7], wholes[start : start + 7])
    for one, other in zip(at_once.shares().flat, bit_by_bit.shares().flat, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
        assert (one.n, one.method) == (other.n, other.method)
    assert at_once.shares()[1, 2].value == pytest.approx(parts[:, 1, 2].sum() / wholes.sum())


def test_none_and_all_are_not_certain() -> None:
    none, every = share([0] * 20, [50] * 20), share([50] * 20, [50] * 20)
    assert (none.value, none.low, none.n) == (0, 0, 1000)
    assert none.high == pytest.approx(0.18, abs=0.01)  # 20 texts, not 1,000 tokens
    assert (every.value, every.high) == (1, 1)
    assert every.low == pytest.approx(1 - 0.18, abs=0.01)


def test_texts_that_agree_are_worth_no_more_than_their_tokens() -> None:
    found = share([3] * 30, [10] * 30)
    low, high = proportion_confint(90, 300, method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.005)


def test_one_text_has_no_interval_and_none_no_value() -> None:
    one, none = share([2], [4]), share([0], [0])
    assert (one.value, one.low, one.high, one.n) == (0.5, None, None, 4)
    assert (none.value, none.low, none.high, none.n) == (None, None, None, 0)


def test_what_is_not_finite_is_left_out() -> None:
    sums = TextSums()
    sums.add_tokens([[1, np.nan, 3], [2, 4, np.inf]])
    found = sums.means().item()
    assert (found.value, found.n) == (2.5, 4)
    assert share([1, np.nan, 2], [2, 2, 2]).value == 0.75


def test_a_mean_ends_at_its_bounds() -> None:
    sums = TextSums()
    sums.add_tokens([[0.0], [5.0], [0.0]])
    free, bound = sums.means().item(), sums.means((0, np.inf)).item()
    assert free.low is not None
    assert free.low < 0
    assert (bound.low, bound.high) == (0, free.high)
    assert bound.method == "t over 3 texts"


def test_means_of_equal_texts_are_students() -> None:
    values = np.random.default_rng(3).normal(size=12)
    sums = TextSums()
    sums.add(values, np.ones(12))
    found = sums.means().item()
    error = values.std(ddof=1) / np.sqrt(12)
    assert found.high - found.value == pytest.approx(2.201 * error, rel=1e-3)
