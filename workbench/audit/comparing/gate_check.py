"""The decision of a gate on one check: `gate` says what each word means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.audit.comparing.check_differences import CheckDifference
    from workbench.audit.records.checks import Finding
    from workbench.stats.difference import Difference
    from workbench.stats.estimate import Estimate

__all__ = ["DECISIONS", "CheckDecision", "Decision", "Pair", "with_numbers", "without_numbers"]

Decision = Literal[
    "worse", "gone", "cannot tell", "not comparable", "new", "unanswered", "not worse"
]
DECISIONS: tuple[Decision, ...] = (
    *("worse", "gone", "cannot tell", "not comparable", "new", "unanswered", "not worse"),
)
"""What needs attention first."""

_ANSWERED = ("pass", "fail", "inconclusive")


@dataclass(frozen=True)
class CheckDecision:
    """What a gate says of one check.

    Attributes:
        code: of the check.
        decision: one of seven.
        reason: a sentence or two.
        decides: whether the gate's own decision rests on it; not where its severity is `info`.
        first, second: the baseline's finding and the run's; None where there is none.
        margin: how much worse it may get, in the unit of the check.
        worsening: by how much it got worse, with its interval at 1 - 2 alpha; below 0 it is better.
        p, p_holm: of a worsening beyond the margin (or beyond nothing, from pass to fail).
        number: what was compared item by item; empty where the two estimates were.
        needed_n: how many items would decide it, if they are like these.
        detectable: the worsening that so many items show beyond 0 four times in five.
    """

    code: str
    decision: Decision
    reason: str
    decides: bool
    first: Finding | None
    second: Finding | None
    margin: float
    worsening: Estimate | None = None
    p: float | None = None
    p_holm: float | None = None
    number: str = ""
    needed_n: int | None = None
    detectable: float | None = None


@dataclass(frozen=True)
class Pair:
    """One check of both runs, before it is decided."""

    code: str
    first: Finding
    second: Finding
    margin: float
    found: CheckDifference

    @property
    def fell(self) -> bool:
        """Whether the verdict went from pass to fail."""
        return (self.first.verdict, self.second.verdict) == ("pass", "fail")

    @property
    def sign(self) -> int:
        """1 where more is worse."""
        return 1 if self.second.direction == "above" else -1

    def p(self) -> float | None:
        """Of a worsening beyond the margin, or beyond nothing from pass to fail."""
        difference = self.found.difference
        if difference is None:
            return None
        margin = 0.0 if self.fell else self.margin
        return difference.p_above(margin) if self.sign > 0 else difference.p_below(-margin)

    def worsening(self, level: float) -> Estimate | None:
        """By how much it got worse; None where no interval can be given."""
        if self.found.difference is None:
            return None
        found = self.found.difference.estimate(level)
        if found.value is None or found.low is None or found.high is None:
            return None
        if self.sign > 0:
            return found
        return replace(found, value=0.0 - found.value, low=0.0 - found.high, high=0.0 - found.low)


def without_numbers(
    code: str, one: Finding | None, other: Finding | None, margin: float, changed: str
) -> CheckDecision | None:
    """The decision where no number is needed for it; None where one is."""
    severity = (other or one).severity  # type: ignore[union-attr] # one of them is there
    found = _without_answer(one, other)
    if found is None:
        assert one is not None
        assert other is not None
        found = _not_comparable(one, other, changed) or _by_verdict(one, other)
    return found and CheckDecision(code, *found, severity != "info", one, other, margin)


def _without_answer(one: Finding | None, other: Finding | None) -> tuple[Decision, str] | None:
    had, has = (found is not None and found.verdict in _ANSWERED for found in (one, other))
    if had and not has:
        why = "it has no such check" if other is None else f"{other.verdict}: {other.reason}"
        return "gone", f"The baseline answered it, and the run did not ({why})"
    if has and not had:
        return "new", "The baseline has no answer to compare it with."
    return None if had else ("unanswered", "Neither run answered it.")


def _not_comparable(one: Finding, other: Finding, changed: str) -> tuple[Decision, str] | None:
    if changed:
        return "not comparable", f"The check is another here: {changed} (baseline first)."
    if (one.threshold, one.direction, one.unit) != (other.threshold, other.direction, other.unit):
        return "not comparable", "The findings have other thresholds, directions or units."
    return None


def _by_verdict(one: Finding, other: Finding) -> tuple[Decision, str] | None:
    """Of a check without an interval: yes or no, or computed without sampling."""
    if one.low is not None or other.low is not None:
        return None
    verdicts = f"{one.verdict} in the baseline, {other.verdict} here"
    if (one.verdict, other.verdict) == ("pass", "fail"):
        return "worse", f"Its verdict fell: {verdicts}; nothing about it is drawn."
    if other.verdict == "pass" or one.verdict == other.verdict == "fail":
        return "not worse", f"By its verdict: {verdicts}; nothing about it is drawn."
    return "cannot tell", f"It has no interval, and no verdict to go by: {verdicts}."


def with_numbers(pairs: Sequence[Pair], alpha: float) -> list[CheckDecision]:
    """The decisions on all checks that have numbers in both runs."""
    from workbench.stats.corrections import holm

    values = [None if pair.found.same_items is False else pair.p() for pair in pairs]
    tests = sum(value is not None for value in values)
    return [
        _decided(pair, p, float(adjusted), alpha, tests)
        for pair, p, adjusted in zip(pairs, values, holm(values), strict=True)
    ]


def _decided(pair: Pair, p: float | None, p_holm: float, alpha: float, tests: int) -> CheckDecision:
    decision = CheckDecision(
        code=pair.code,
        decision="not comparable",
        reason=pair.found.note,
        decides=pair.second.severity != "info",
        first=pair.first,
        second=pair.second,
        margin=pair.margin,
        worsening=pair.worsening(1 - 2 * alpha),
        number=pair.found.number,
    )
    if pair.found.same_items is False:
        return decision
    found = decision.worsening
    if p is None or found is None or found.high is None:
        reason = f"No interval of the difference can be given. {pair.found.note}".strip()
        return replace(decision, decision="cannot tell", reason=reason)
    decision = replace(decision, p=p, p_holm=p_holm, detectable=_detectable(found))
    if p_holm <= alpha:
        return replace(decision, decision="worse", reason=_why_worse(pair))
    if found.high < pair.margin or _exact(pair.found.difference):
        beyond = "It did not change" if _exact(pair.found.difference) else "The interval lies below"
        reason = beyond if _exact(pair.found.difference) else f"{beyond} the margin"
        return replace(decision, decision="not worse", reason=_ended(reason, pair))
    needed, why = _needed(pair, alpha, tests)
    return replace(decision, decision="cannot tell", reason=_ended(why, pair), needed_n=needed)


def _exact(difference: Difference | None) -> bool:
    return difference is not None and difference.exact


def _why_worse(pair: Pair) -> str:
    if pair.fell:
        return _ended("It passed and now fails, and the difference is no chance", pair)
    return _ended("The interval lies beyond the margin", pair)


def _ended(sentence: str, pair: Pair) -> str:
    return f"{sentence}. {pair.found.note}".strip()


def _needed(pair: Pair, alpha: float, tests: int) -> tuple[int | None, str]:
    """How many items like these would decide it, and what is to be said of it."""
    from workbench.stats.power import POWER, needed_n_for

    # Beyond the margin Holm's correction has to be met, at its hardest.
    found = pair.worsening(1 - 2 * alpha)
    assert found is not None
    assert found.value is not None
    above = found.value > pair.margin
    at = pair.worsening(1 - 2 * alpha / max(1, tests)) if above else found
    assert at is not None
    needed = needed_n_for(at, pair.margin)
    if needed is None or needed <= found.n:
        return None, f"{found.n:,} items cannot tell, and the difference lies on the margin"
    return needed, f"{found.n:,} items cannot tell: needs n ≥ {needed:,} ({POWER:.0%} power)"


def _detectable(found: Estimate) -> float | None:
    """The worsening whose interval would exclude 0 four times in five, at this n."""
    from statistics import NormalDist

    from workbench.stats.power import POWER

    if found.value is None or found.low is None:
        return None
    z = NormalDist().inv_cdf((1 + found.level) / 2)
    return (found.value - found.low) / z * (z + NormalDist().inv_cdf(POWER))
