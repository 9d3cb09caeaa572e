"""Checks and their findings: a question with a threshold fixed before the run, and its answer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from workbench.errors import InputError
from workbench.evaluate.suites import Check, Direction, Severity
from workbench.provenance import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.stats import Estimate

__all__ = ["Check", "Direction", "Finding", "Findings", "Severity", "Verdict", "judge", "state"]

Verdict = Literal["pass", "fail", "inconclusive", "skipped", "error"]


class Finding(Record):
    """A check's verdict with its evidence.

    Attributes:
        estimate, low, high: the number and its interval at `level`; None where undefined.
        n: how many items it rests on.
        method: how the interval was made.
        reason: one sentence: why this verdict.
        evidence: paths inside the run folder.
    """

    code: str
    question: str
    section: str
    verdict: Verdict
    severity: Severity
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    n: int | None = None
    unit: str = ""
    method: str = ""
    threshold: float | None = None
    direction: Direction = "above"
    reason: str = ""
    evidence: tuple[str, ...] = ()


class Findings(Record):
    """All findings of a section or of a whole run, as `findings.json` holds them."""

    schema_version: Literal[1] = Field(1, alias="schema")
    findings: tuple[Finding, ...]


def judge(check: Check, estimate: Estimate, *, evidence: Iterable[str] = ()) -> Finding:
    """The finding for an estimate: its whole interval must lie on one side of the threshold.

    Raises:
        InputError: for a check without a threshold.
    """
    if check.threshold is None:
        raise InputError(f"{check.code} has no threshold; state its verdict with `state`.")
    verdict, reason = _decide(check, check.threshold, estimate)
    return state(check, verdict, reason, estimate=estimate, evidence=evidence)


def state(
    check: Check,
    verdict: Verdict,
    reason: str,
    *,
    estimate: Estimate | None = None,
    evidence: Iterable[str] = (),
) -> Finding:
    """A finding with a verdict that is already known: yes or no, skipped, or an error."""
    numbers = {}
    if estimate is not None:
        numbers = {
            "estimate": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "level": None if estimate.low is None else estimate.level,
            "n": estimate.n,
            "method": estimate.method,
        }
    return Finding(
        **check.model_dump(include=set(Finding.model_fields)),
        verdict=verdict,
        reason=reason,
        evidence=tuple(evidence),
        **numbers,
    )


def _decide(check: Check, threshold: float, estimate: Estimate) -> tuple[Verdict, str]:
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None:
        return "inconclusive", f"The estimate is undefined with n = {estimate.n}."
    if low is None or high is None or estimate.n == 1:
        return "inconclusive", f"No interval can be given with n = {estimate.n}."
    bad_above = check.direction == "above"
    if (low > threshold) if bad_above else (high < threshold):
        return "fail", f"The whole interval lies {check.direction} {threshold:g}."
    if (high <= threshold) if bad_above else (low >= threshold):
        return "pass", f"No part of the interval lies {check.direction} {threshold:g}."
    return "inconclusive", f"The interval crosses {threshold:g}: {_needed(estimate, threshold)}"


def _needed(estimate: Estimate, threshold: float) -> str:
    """How many items would decide it, if they are like those seen."""
    from workbench.stats import POWER, needed_n_for

    needed = needed_n_for(estimate, threshold)
    if needed is None:
        return "the estimate lies on it, and more items need not decide it."
    step = 10 ** max(0, len(str(needed)) - 2)  # two figures: it is an estimate itself
    rounded = math.ceil(needed / step) * step
    return f"about {rounded:,} items like these would decide it ({POWER:.0%} power)."
