"""Is a run worse than its baseline? A decision for each check that knows how much it can know.

It is a test of non-inferiority (ICH E9 and E10; Wellek 2010, "Testing statistical hypotheses of
equivalence and noninferiority"): how much worse a check may get, its margin, is said beforehand.
Worsening is the second run's estimate minus the baseline's, towards the side on which the check
fails. With `alpha` the error of each claim:

- `worse`: the one-sided p-value of a worsening beyond the margin is at most alpha, after Holm's
  correction over all checks with numbers. Where the verdict went from pass to fail it is that of
  any worsening. So if no check has got worse, one is called so in at most alpha of all gates.
- `not worse`: the two-sided interval at 1 - 2 alpha lies wholly below the margin. A check that did
  get worse by the margin or more is called so with probability alpha at most, and so is a run,
  whose checks must all be so (an intersection-union test, which needs no correction: Berger 1982).
- `cannot tell`: neither, with the number of items that would decide it. That few items were asked
  is no evidence that nothing got worse.

How a difference and its interval are made: `check_differences`. A check without an
interval (yes or no, or computed without sampling) is compared by its verdict. `new` has no answer
in the baseline, `gone` none in the run any more, which is not a pass; `unanswered` none in either.
`not comparable`: the check itself, or the items that were asked, are others.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from workbench.audit.comparing.check_differences import check_difference
from workbench.audit.comparing.gate_check import (
    DECISIONS,
    CheckDecision,
    Decision,
    Pair,
    with_numbers,
    without_numbers,
)
from workbench.audit.comparing.run_facts import changed_checks
from workbench.audit.comparing.run_tables import RunTables
from workbench.audit.records.evidence import read_run
from workbench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from workbench.audit.records.evidence import Evidence

__all__ = ["ALPHA", "MARGIN", "CheckDecision", "Decision", "Gate", "Undecided", "decide"]

MARGIN = 0.05
ALPHA = 0.05

Undecided = Literal["fail", "pass", "exit"]

CANNOT_TELL = 4
"""The exit code of what cannot be decided, unless it is to count as something else."""

_CODES = {"not worse": 0, "worse": 1, "incomplete": 1, "cannot tell": CANNOT_TELL}


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
    pairs: list[Pair] = []
    for code in codes:
        one, other = (found.get(code) for found in findings)
        early = without_numbers(code, one, other, by_code[code], changed.get(code, ""))
        if early is not None:
            decisions.append(early)
            continue
        assert one is not None
        assert other is not None
        pairs.append(Pair(code, one, other, by_code[code], check_difference(*tables, one, other)))
    decisions += with_numbers(pairs, alpha)
    decisions.sort(key=lambda one: (DECISIONS.index(one.decision), codes.index(one.code)))
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
