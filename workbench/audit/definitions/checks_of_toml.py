"""The checks of an audit: the questions' own, with what a file changes of them, and its new ones.

A file may move a threshold, weigh a failure differently, or leave a check out, which then stands in
the report with that reason. What a check asks cannot be changed: that is another check.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, get_args

from workbench.errors import did_you_mean
from workbench.evaluate.suites import Check, Direction, Severity
from workbench.markup import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workbench.audit.definitions.tables_of_toml import TomlTable
    from workbench.evaluate.suites import Suite

__all__ = ["BENCHMARKS", "BY_CHOICE", "SUMMED_UP_BY", "checks_of"]

BENCHMARKS = "benchmarks"
"""The section that asks whatever its list of tasks names, and judges a file's own checks."""

BY_CHOICE = "The audit's definition leaves it out."
"""Why a check with `enabled = false` is not judged."""

SUMMED_UP_BY = ("correct", "probability")
"""The metrics of a task of the questions; benchmarks have their papers'."""

_CODE = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+")


def checks_of(
    file: TomlTable,
    suite: Suite,
    sections: Iterable[str],
    tasks: Mapping[str, tuple[str, ...]],
) -> tuple[Check, ...]:
    """The checks of these sections, in the questions' order, and then the file's own."""
    changed = _changed(file.table("checks"), suite, sections)
    new = _new(file, suite, tasks.get(BENCHMARKS))
    return tuple(_left_out([*changed, *new], tasks))


def _changed(table: TomlTable, suite: Suite, sections: Iterable[str]) -> list[Check]:
    """The sections' checks with the file's changes, in its order: a later one wins."""
    known = {check.code: check for check in suite.checks if check.section in sections}
    for pattern in table.values:
        entry = table.table(pattern)
        codes = [code for code in known if fnmatchcase(code, pattern)]
        elsewhere = [one.section for one in suite.checks if fnmatchcase(one.code, pattern)]
        if not codes and elsewhere:
            table.problem(pattern, f'is of the section "{elsewhere[0]}", which is not chosen.')
        elif not codes:
            table.problem(pattern, f"is no check. {did_you_mean(pattern, known)}")
        known |= _changes(entry, [known[code] for code in codes])
    return list(known.values())


def _changes(entry: TomlTable, checks: list[Check]) -> dict[str, Check]:
    threshold, severity = entry.number("threshold"), entry.one_of("severity", get_args(Severity))
    enabled = entry.truth("enabled")
    for fixed in ("question", "direction", "unit", "task", "metric", "section", "rests_on"):
        if fixed in entry.values:
            entry.known(fixed)
            entry.problem(fixed, "cannot be changed: it is what is asked. Ask anew with [[check]].")
    entry.close()
    if threshold is not None and checks:
        without = [check.code for check in checks if check.threshold is None]
        if without:
            entry.problem("threshold", f"is not for {without[0]}: it is answered by yes or no.")
        elif len({check.direction for check in checks}) > 1:
            above, below = (
                next(check.code for check in checks if check.direction == side)
                for side in ("above", "below")
            )
            entry.problem(
                "threshold",
                f"would hold for {above}, which fails above it, and for {below}, which fails below "
                "it; name them apart.",
            )
    given = {"threshold": threshold, "severity": severity}
    given = {key: value for key, value in given.items() if value is not None}
    return {check.code: _with(check, given, enabled=enabled) for check in checks}


def _with(check: Check, given: dict[str, Any], *, enabled: bool | None) -> Check:
    """The check with what was given; what is usual is kept beside it where it differs."""
    before = {key: check.usual.get(key, getattr(check, key)) for key in given}
    usual = {
        **{key: value for key, value in check.usual.items() if key not in given},
        **{key: value for key, value in before.items() if value != given[key]},
    }
    left_out = {None: check.left_out, True: None, False: BY_CHOICE}[enabled]
    return check.model_copy(update={**given, "usual": usual, "left_out": left_out})


def _new(file: TomlTable, suite: Suite, asked: tuple[str, ...] | None) -> list[Check]:
    """The file's own checks on numbers of the section `benchmarks`."""
    checks: list[Check] = []
    taken = {check.code for check in suite.checks}
    for entry in file.tables("check"):
        check = _one(entry)
        if check.code and not _CODE.fullmatch(check.code):
            entry.problem(
                "code", f'is "{visible(check.code, 60)}"; expected such as "BENCH-BBQ-1".'
            )
        if check.code in taken:
            entry.problem("code", f'is "{check.code}", which another check has.')
        if check.rests_on is not None and check.rests_on not in {one.code for one in checks}:
            entry.problem(
                "rests_on",
                f'is "{visible(check.rests_on, 60)}"; expected the code of a [[check]] above it.',
            )
        if asked is None:
            entry.problem("task", f'needs the section "{BENCHMARKS}" among the sections.')
        elif check.task and check.task not in asked:
            entry.problem(
                "task",
                f'is "{visible(check.task, 60)}", which [tasks] {BENCHMARKS} does not list. '
                f"{did_you_mean(check.task, asked)}",
            )
        if check.task in suite.task_names():
            if check.metric not in {*SUMMED_UP_BY, ""}:
                entry.problem("metric", f"of a task is {' or '.join(SUMMED_UP_BY)}.")
            if not 0 <= (check.threshold or 0) <= 1:
                entry.problem("threshold", "of a task is from 0 to 1.")
        taken.add(check.code)
        checks.append(check)
    return checks


def _one(entry: TomlTable) -> Check:
    texts = {key: entry.needed_text(key) for key in ("code", "question", "task", "metric")}
    words = {"direction": get_args(Direction), "severity": get_args(Severity)}
    chosen = {key: entry.one_of(key, known) for key, known in words.items()}
    threshold = entry.number("threshold")
    for key in ("threshold", "direction", "severity"):
        if key not in entry.values:
            entry.problem(key, "is missing; it is fixed before anything is measured.")
    check = Check(
        **texts,
        section=BENCHMARKS,
        threshold=threshold,
        severity=chosen["severity"] or "low",
        direction=chosen["direction"] or "above",
        group=entry.text("group") or "",
        unit=entry.text("unit") or "",
        rests_on=entry.text("rests_on"),
        left_out={None: None, True: None, False: BY_CHOICE}[entry.truth("enabled")],
    )
    entry.close()
    return check


def _left_out(checks: list[Check], tasks: Mapping[str, tuple[str, ...]]) -> Iterable[Check]:
    """The checks, with the reason at those that nothing in this audit could answer."""
    reasons: dict[str, str] = {}
    for check in checks:
        if check.left_out is not None:
            reasons[check.code] = check.left_out
        elif check.task is not None and check.task not in tasks.get(check.section, ()):
            reasons[check.code] = f'Its task "{check.task}" is not asked in this audit.'
    while True:
        resting = {
            check.code: f"It rests on {check.rests_on}, which is left out."
            for check in checks
            if check.rests_on in reasons and check.code not in reasons
        }
        if not resting:
            break
        reasons |= resting
    for check in checks:
        yield check.model_copy(update={"left_out": reasons.get(check.code)})
