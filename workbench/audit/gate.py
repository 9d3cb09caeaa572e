"""Is a run worse than its baseline? A decision for each check that knows how much it can know.

It is a test of non-inferiority (ICH E9 and E10; Wellek 2010, "Testing statistical hypotheses of
equivalence and noninferiority"): how much worse a check may get, its margin, is said beforehand.
Worsening is the second run's estimate minus the baseline's, towards the side on which the check
fails. With `alpha` the error of each claim:

- `worse`: the one-sided p-value of a worsening beyond the margin is at most alpha, after Holm's
  correction over all checks that are tested. Where the verdict went from pass to fail it is that of
  any worsening. So if no check has got worse, one is called so in at most alpha of all gates.
- `not worse`: the two-sided interval at 1 - 2 alpha lies wholly below the margin. A check that did
  get worse by the margin or more is called so with probability alpha at most, and so is a run,
  whose checks must all be so (an intersection-union test, which needs no correction: Berger 1982).
- `cannot tell`: neither, with the number of items that would decide it. That few items were asked
  is no evidence that nothing got worse.

How a difference and its interval are made: `workbench.audit.check_differences`. A check without an
interval (yes or no, or computed without sampling) is compared by its verdict. `new` has no answer
in the baseline, `gone` none in the run any more, which is not a pass; `unanswered` none in either.
`not comparable`: the check itself, or the items that were asked, are others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from workbench.audit.check_differences import CheckDifference, RunTables, check_difference
from workbench.audit.evidence import read_run
from workbench.audit.run_facts import changed_checks
from workbench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from workbench.audit.checks import Finding
    from workbench.audit.evidence import Evidence
    from workbench.stats.difference import Difference
    from workbench.stats.estimate import Estimate

__all__ = ["ALPHA", "MARGIN", "CheckDecision", "Decision", "Gate", "Undecided", "decide"]

MARGIN = 0.05
ALPHA = 0.05

Decision = Literal[
    "worse", "gone", "cannot tell", "not comparable", "new", "unanswered", "not worse"
]
Undecided = Literal["fail", "pass", "exit"]

CANNOT_TELL = 4
"""The exit code of what cannot be decided, unless it is to count as something else."""

_ANSWERED = ("pass", "fail", "inconclusive")
_CODES = {"not worse": 0, "worse": 1, "incomplete": 1, "cannot tell": CANNOT_TELL}


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
class Gate:
    """Whether a run is worse than its baseline.

    Attributes:
        decision: `worse`, `incomplete`, `cannot tell` or `not worse`.
        checks: each check's, those that need attention first.
        run, baseline: the folders' names.
        alpha: the error of each claim.
        notes: what a reader must know, in sentences.
    """

    decision: Literal["worse", "incomplete", "cannot tell", "not worse"]
    checks: tuple[CheckDecision, ...]
    run: str
    baseline: str
    alpha: float
    notes: tuple[str, ...]

    def exit_code(self, undecided: Undecided = "exit") -> int:
        """0 not worse; 1 worse, incomplete, or a check gone; 4 cannot tell, or as `undecided` says.

        Args:
            undecided: what "cannot tell" counts as: `fail` 1, `pass` 0, `exit` 4.
        """
        if self.decision == "cannot tell":
            return {"fail": 1, "pass": 0, "exit": CANNOT_TELL}[undecided]
        return _CODES[self.decision]


@dataclass(frozen=True)
class _Pair:
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
        return replace(found, value=-found.value, low=-found.high, high=-found.low)


def decide(
    run: Path,
    baseline: Path,
    *,
    margin: float = MARGIN,
    margins: Mapping[str, float] | None = None,
    alpha: float = ALPHA,
) -> Gate:
    """Whether a run is worse than its baseline, check by check (see the module).

    Args:
        run: the folder of the run to judge.
        baseline: the folder of the run that it is held against.
        margin: how much worse a check may get, in its own unit.
        margins: the same for some: code -> margin; `*` stands for the rest of a code.
        alpha: the error of each claim, above 0 and below 0.5.

    Raises:
        InputError: where either is no run folder, a margin is below 0 or for a check that neither
            run has, or alpha is out of range.
    """
    first, second = read_run(baseline), read_run(run)
    findings = [{f.code: f for f in evidence.findings} for evidence in (first, second)]
    codes = list(dict.fromkeys([*findings[1], *findings[0]]))
    by_code = _margins(codes, margin, margins or {}, alpha)
    tables = RunTables(baseline, first), RunTables(run, second)
    changed = changed_checks(first, second)
    decisions: list[CheckDecision] = []
    pairs: list[_Pair] = []
    for code in codes:
        one, other = (found.get(code) for found in findings)
        early = _without_numbers(code, one, other, by_code[code], changed.get(code, ""))
        if early is not None:
            decisions.append(early)
            continue
        assert one is not None
        assert other is not None
        pairs.append(_Pair(code, one, other, by_code[code], check_difference(*tables, one, other)))
    decisions += _tested(pairs, alpha)
    order = ("worse", "gone", "cannot tell", "not comparable", "new", "unanswered", "not worse")
    decisions.sort(key=lambda one: (order.index(one.decision), codes.index(one.code)))
    return Gate(
        decision=_overall(decisions, second),
        checks=tuple(decisions),
        run=run.resolve().name,
        baseline=baseline.resolve().name,
        alpha=alpha,
        notes=tuple(_notes(first, second, decisions)),
    )


def _margins(
    codes: Sequence[str], margin: float, margins: Mapping[str, float], alpha: float
) -> dict[str, float]:
    """The margin of each check: what names its code beats a pattern, a later pattern an earlier."""
    if not 0 < alpha < 0.5:  # noqa: PLR2004 - beyond it an interval at 1 - 2 alpha is none
        raise InputError(f"got alpha={alpha:g}; expected a number above 0 and below 0.5.")
    for name, value in {"margin": margin, **margins}.items():
        if not 0 <= value < float("inf"):
            raise InputError(f"got {name}={value:g}; expected a margin of 0 or more.")
    by_code = dict.fromkeys(codes, margin)
    for pattern, value in sorted(margins.items(), key=lambda item: item[0] in by_code):
        meant = [code for code in codes if fnmatchcase(code, pattern)]
        if not meant:
            raise InputError(f'Neither run has a check "{pattern}". {did_you_mean(pattern, codes)}')
        by_code.update(dict.fromkeys(meant, value))
    return by_code


def _without_numbers(
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


def _tested(pairs: Sequence[_Pair], alpha: float) -> list[CheckDecision]:
    """The decisions on all checks that have numbers in both runs."""
    from workbench.stats.corrections import holm

    values = [None if pair.found.same_items is False else pair.p() for pair in pairs]
    tests = sum(value is not None for value in values)
    return [
        _decided(pair, p, float(adjusted), alpha, tests)
        for pair, p, adjusted in zip(pairs, values, holm(values), strict=True)
    ]


def _decided(
    pair: _Pair, p: float | None, p_holm: float, alpha: float, tests: int
) -> CheckDecision:
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


def _why_worse(pair: _Pair) -> str:
    if pair.fell:
        return _ended("It passed and now fails, and the difference is no chance", pair)
    return _ended("The interval lies beyond the margin", pair)


def _ended(sentence: str, pair: _Pair) -> str:
    return f"{sentence}. {pair.found.note}".strip()


def _needed(pair: _Pair, alpha: float, tests: int) -> tuple[int | None, str]:
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


def _overall(
    decisions: Sequence[CheckDecision], run: Evidence
) -> Literal["worse", "incomplete", "cannot tell", "not worse"]:
    made = {one.decision for one in decisions if one.decides}
    if made & {"worse", "gone"}:
        return "worse"
    if run.incomplete or run.unanswered or run.problems:
        return "incomplete"
    if made & {"cannot tell", "not comparable"} or "not worse" not in made:
        return "cannot tell"
    return "not worse"


def _notes(baseline: Evidence, run: Evidence, decisions: Sequence[CheckDecision]) -> list[str]:
    notes = []
    for name, evidence in (("The run", run), ("The baseline", baseline)):
        if evidence.incomplete:
            sections = ", ".join(f"{one.name} ({one.state})" for one in evidence.incomplete)
            notes.append(f"{name} is incomplete: {sections}.")
        if evidence.unanswered:
            codes = ", ".join(check.code for check in evidence.unanswered)
            notes.append(f"{name} never answered {codes}.")
        notes += [f"{name}: {problem}" for problem in evidence.problems]
    if any(not one.decides for one in decisions):
        notes.append("Checks of severity info are shown, and do not decide.")
    unpaired = sum(one.worsening is not None and not one.number for one in decisions)
    if unpaired:
        notes.append(
            f"{unpaired} of {len(decisions)} checks are compared by their two estimates, taken as "
            "independent: for the same items that is wider than item by item."
        )
    return notes
