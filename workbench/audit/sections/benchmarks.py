"""The verdicts on benchmarks: checks that a definition asks of their numbers, without code."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError, did_you_mean
from workbench.evaluate.benchmarks.catalogue import LM_EVAL
from workbench.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from workbench.audit.sections.section import Section
    from workbench.evaluate.suites import Check
    from workbench.tables import Result

__all__ = ["judge_benchmarks", "show_benchmarks", "with_missing"]

_SHOWN = (
    "item",
    "cluster",
    "arm",
    "prompt",
    "target",
    "picked",
    "correct",
    "probability",
    "completion",
    "verdict",
    "recited",
    "similarity",
    "toxicity",
)
"""Columns of scored items that a reader is shown, of those that are there."""


_WHY = "longer than the model's context, or unreadable to the judge"


def judge_benchmarks(section: Section, numbers: Result, not_run: Result) -> None:
    """Judge each check of the section by the number that it names.

    Args:
        section: the section `benchmarks`.
        numbers: `task`, `arm`, `metric` and an estimate's columns (`evaluate.overview`).
        not_run: `task` and `reason` of what could not be asked: its checks are skipped with it.
    """
    reasons = {row["task"]: row["reason"] for row in not_run.frame().to_dict("records")}
    rows = numbers.frame().to_dict("records")
    for code, check in section.checks.items():
        task = _task(check)
        if task in reasons:
            section.state(code, "skipped", f"{task} was not run: {_said(reasons[task])}")
            continue
        try:
            estimate = Estimate.of_row(_row(check, rows))
        except InputError as error:
            section.state(code, "error", str(error))
            continue
        _judge(section, check, estimate)


def _judge(section: Section, check: Check, estimate: Estimate) -> None:
    """Judge a check by its number; items without a value are no error of the benchmark's."""
    if _is_share(estimate) and check.threshold is not None and not 0 <= check.threshold <= 1:
        reason = f"Its threshold is {check.threshold:g}, but the number is a share, from 0 to 1."
        section.state(check.code, "error", reason, estimate=estimate)
        return
    everything = estimate.n + estimate.undefined
    missing = f"{estimate.undefined} of {everything} items have no value ({_WHY})"
    bounded = with_missing(estimate)
    sound = check.rests_on is None or section.verdict(check.rests_on) == "pass"
    if estimate.n == 0:
        reason = f"There is nothing to judge: {missing}."
        section.state(check.code, "skipped", reason, estimate=estimate)
    elif bounded.undefined and sound:
        reason = f"It cannot be said what the others would change: {missing}."
        section.state(check.code, "inconclusive", reason, estimate=estimate)
    else:
        note = f"{missing}: they count both ways." if estimate.undefined else ""
        section.judge(check.code, replace(bounded, undefined=0), note=note)


def with_missing(estimate: Estimate) -> Estimate:
    """A share whose interval holds whatever the items without a value would have been.

    Its lower end counts all of them as 0 and its upper end as 1: worst-case bounds (Manski 1989,
    "Anatomy of the Selection Problem", The Journal of Human Resources 24(3)), around the interval's
    own ends. Estimates that are no shares stay as they are.

    >>> with_missing(Estimate(0.5, 0.25, 0.75, 8, "Wilson", undefined=8)).high
    0.875
    """
    if estimate.low is None or estimate.high is None or not estimate.undefined:
        return estimate
    if not _is_share(estimate):
        return estimate
    known = estimate.n / (estimate.n + estimate.undefined)
    return replace(
        estimate,
        low=estimate.low * known,
        high=estimate.high * known + (1 - known),
        method=f"{estimate.method}; {estimate.undefined} without a value count as 0 and as 1",
        undefined=0,
    )


def _is_share(estimate: Estimate) -> bool:
    return estimate.method.startswith("Wilson")


def show_benchmarks(section: Section, scores: Mapping[str, Result], numbers: Result) -> None:
    """Have the report show, with each check, the items and the other numbers of its benchmark."""
    for code, check in section.checks.items():
        task = _task(check)
        if task not in scores or section.verdict(code) is None:
            continue
        columns = scores[task].table.column_names
        arms = scores[task].frame()["arm"].tolist() if "arm" in columns else []
        how: dict[str, Any] = {"columns": tuple(name for name in _SHOWN if name in columns)}
        if check.group in arms:
            how["where"] = {"arm": check.group}
        if "probability" in columns:
            how["worst"] = "probability"
            how["worst_is"] = "highest" if check.direction == "above" else "lowest"
        section.show(code, "items", scores[task], f"The items of {task}", **how)
        section.show(
            code,
            "groups",
            numbers,
            f"{check.metric}, by group",
            where={"task": task, "metric": check.metric},
        )


def _said(reason: str) -> str:
    """The reason with the way in which an audit is given what is missing."""
    return re.sub(r"with --(data|classifier)\b", r"with --param \1=FOLDER", reason)


def _task(check: Check) -> str:
    return (check.task or "").removeprefix(LM_EVAL)


def _row(check: Check, rows: list[dict[Hashable, Any]]) -> dict[Hashable, Any]:
    """The row of the numbers that the check names.

    Raises:
        InputError: where there is none, with the closest.
    """
    task = _task(check)
    of_task = [row for row in rows if row["task"] == task]
    if not of_task:
        known = {row["task"] for row in rows}
        raise InputError(f'There are no numbers of "{task}". {did_you_mean(task, known)}')
    found = [row for row in of_task if row["metric"] == check.metric]
    if not found:
        known = {row["metric"] for row in of_task}
        hint = did_you_mean(str(check.metric), known)
        raise InputError(f'{task} has no metric "{check.metric}". {hint}')
    groups = {str(row["arm"]): row for row in found}
    if check.group not in groups:
        hint = did_you_mean(check.group, groups)
        raise InputError(f'{task} has no "{check.metric}" of the group "{check.group}". {hint}')
    return groups[check.group]
