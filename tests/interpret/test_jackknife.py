"""The jackknife: Student's interval for a mean, coverage, bounds, and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.interpret.jackknife import GROUPS, jackknife


def test_of_a_mean_it_is_students_interval() -> None:
    values = np.random.default_rng(0).normal(size=20)
    found = jackknife(lambda weights: weights.T @ values / weights.sum(axis=0), 20)
    error = values.std(ddof=1) / np.sqrt(20)
    assert found.value == pytest.approx(values.mean())
    assert found.high is not None
    assert found.high - values.mean() == pytest.approx(2.093 * error, rel=1e-3)
    assert (found.n, found.method) == (20, "jackknife over 20 texts")


@pytest.mark.parametrize("texts", [30, 1000])
def test_it_covers(texts: int) -> None:
    """The standard deviation of normal values; many texts are left out in groups."""
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(150):
        values = random.normal(size=texts)

        def spread(weights: np.ndarray, values: np.ndarray = values) -> np.ndarray:
            count = weights.sum(axis=0)
            mean = weights.T @ values / count
            return np.asarray(np.sqrt(weights.T @ values**2 / count - mean**2))

        found = jackknife(spread, texts)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 1 <= found.high
    assert 0.88 < hits / 150 <= 0.99
    assert ("in 200 groups" in found.method) == (texts > GROUPS)


def test_an_interval_ends_at_the_bounds() -> None:
    values = np.array([0.0, 0.0, 1.0])
    found = jackknife(lambda weights: weights.T @ values / weights.sum(axis=0), 3, bounds=(0, 1))
    assert (found.low, found.high) == (0, 1)


def test_one_text_has_no_interval() -> None:
    found = jackknife(lambda weights: weights.sum(axis=0), 1)
    assert (found.value, found.low, found.high) == (1, None, None)


def test_what_is_undefined_is_missing() -> None:
    never = jackknife(lambda weights: np.full(weights.shape[1], np.nan), 5)
    assert (never.value, never.low, never.high) == (None, None, None)
    once = jackknife(lambda weights: np.where(weights[0] > 0, 1.0, np.nan), 5)
    assert (once.value, once.low, once.high) == (1, None, None)
