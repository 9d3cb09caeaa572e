"""The items of two runs side by side: paired where both asked the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.comparison.comparison import Comparison, compare_results
from workbench.comparison.matching import match
from workbench.comparison.paired import paired, usual_metrics
from workbench.errors import InputError

if TYPE_CHECKING:
    from workbench.audit.comparing.run_tables import RunTables
    from workbench.tables import Result

__all__ = ["compared_items"]


def compared_items(
    tables: tuple[RunTables, RunTables], names: tuple[str, str]
) -> tuple[Comparison | None, list[str]]:
    """The tables that both runs have, paired on the items in both; what is not paired, and why."""
    one, other = (run.all_items() for run in tables)
    fitting: list[str] = []
    reasons = []
    for task in dict.fromkeys([*one, *other]):
        if task not in one or task not in other:
            reasons.append(f"{task}: only {names[task not in one]} has it.")
            continue
        reason, pairs = _obstacle(task, one[task], other[task], names)
        reasons += [reason] if reason else []
        fitting += [task] if pairs else []
    if not fitting:
        return None, reasons
    scored = {
        name: {task: run[task] for task in fitting}
        for name, run in zip(names, (one, other), strict=True)
    }
    return compare_results(scored), reasons


def _obstacle(task: str, one: Result, other: Result, names: tuple[str, str]) -> tuple[str, int]:
    """What cannot be paired of two tables of items, and why; and how many items can be."""
    try:
        matched = match(task, one, other, names)
        for metric in usual_metrics(matched):
            for arm in dict.fromkeys(matched.arm):
                paired(matched, arm, metric)
    except (InputError, TypeError, ValueError) as error:
        # Without answers to compare there is still nothing that differs between equal tables.
        return "" if one.table.equals(other.table) else str(error), 0
    alone, pairs = (len(matched.only_first), len(matched.only_second)), len(matched.first)
    if not any(alone):
        return "", pairs
    return (
        f"{task}: not all items are the same: {alone[0]:,} are only in {names[0]}, {alone[1]:,} "
        f"only in {names[1]}; the {pairs:,} in both are paired."
    ), pairs
