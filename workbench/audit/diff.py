"""Two runs side by side: what they answer differently, and what was different about them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.audit.check_differences import CheckDifference, RunTables, check_difference
from workbench.audit.evidence import read_run
from workbench.audit.run_facts import FactChange, changed_checks, changed_facts
from workbench.comparison.comparison import Comparison, compare_results
from workbench.comparison.matching import match
from workbench.comparison.paired import usual_metrics
from workbench.errors import InputError
from workbench.stats.estimate import LEVEL, Estimate

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.checks import Finding
    from workbench.audit.evidence import Evidence
    from workbench.tables import Result

__all__ = ["CHANGES", "FindingChange", "RunDiff", "Side", "diff_json", "diff_runs"]

Change = Literal["verdict", "lost", "gained", "definition", "numbers", "same"]
CHANGES: tuple[Change, ...] = ("verdict", "lost", "gained", "definition", "numbers", "same")

_NUMBERS = ("estimate", "low", "high", "level", "n", "unit", "method", "severity")


@dataclass(frozen=True)
class Side:
    """One of the two runs, in short.

    Attributes:
        name: what it is called here: its id, or its place where both have the same.
        incomplete: its sections that did not complete, with their state.
        problems: what of it is missing or cannot be read, in sentences.
    """

    name: str
    run_id: str
    model: str
    created: str
    suite: str
    suite_version: str
    workbench_version: str
    weights_digest: str | None
    incomplete: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class FindingChange:
    """One check in both runs.

    Attributes:
        code: of the check.
        change: the verdict is another; only the first run has it (lost), or only the second
            (gained); the check itself is another, by threshold or definition, so that its verdicts
            answer different questions; only its numbers differ; or nothing does.
        first, second: the findings; None where a run has none.
        definition: what of the check differs, in words; empty where nothing does.
        found: what its number differs by, second minus first.
        p: two-sided, of no difference; None where there is no interval.
        p_holm, q: corrected over all checks (Holm; Benjamini and Hochberg).
    """

    code: str
    change: Change
    first: Finding | None
    second: Finding | None
    definition: str
    found: CheckDifference
    p: float | None = None
    p_holm: float | None = None
    q: float | None = None

    @property
    def difference(self) -> Estimate | None:
        """The difference with its interval; None where there is none."""
        return None if self.found.difference is None else self.found.difference.estimate()


@dataclass(frozen=True)
class RunDiff:
    """Two runs side by side.

    Attributes:
        first, second: the runs.
        findings: every check of either, what changed most first.
        facts: what else differs, by group.
        comparison: the tables of items that both have, paired; None where there are none.
        not_paired: the items that are not, table by table, and why.
    """

    first: Side
    second: Side
    findings: tuple[FindingChange, ...]
    facts: tuple[FactChange, ...]
    comparison: Comparison | None
    not_paired: tuple[str, ...]

    @property
    def counts(self) -> dict[Change, int]:
        """How many checks changed in each way."""
        return {kind: sum(one.change == kind for one in self.findings) for kind in CHANGES}

    @property
    def findings_differ(self) -> bool:
        """Whether any finding does."""
        return any(one.change != "same" for one in self.findings)

    @property
    def changed_answers(self) -> int:
        """Items on which the two answered differently."""
        return 0 if self.comparison is None else len(self.comparison.changed)

    @property
    def equal(self) -> bool:
        """Whether nothing differs at all but time and name."""
        other_items = bool(self.not_paired) or self.changed_answers
        return not self.findings_differ and not self.facts and not other_items

    @property
    def sentence(self) -> str:
        """The outcome in one sentence."""
        if self.equal:
            return "No difference: findings, items, parameters, model and packages are the same."
        words = {
            "verdict": "changed their verdict",
            "lost": "are only in the first run",
            "gained": "are only in the second",
            "definition": "ask or judge by something else",
            "numbers": "differ in their numbers alone",
            "same": "are the same",
        }
        parts = [f"{self.counts[kind]} {words[kind]}" for kind in CHANGES if self.counts[kind]]
        return (
            f"Of {len(self.findings)} checks " + ", ".join(parts) + "." if parts else "No checks."
        )


def diff_runs(first: Path, second: Path) -> RunDiff:
    """What differs between two runs, from their folders alone.

    Raises:
        InputError: where either is no run folder, or of a newer version.
    """
    one, other = read_run(first), read_run(second)
    tables = RunTables(first, one), RunTables(second, other)
    names = (one.run_id, other.run_id)
    if names[0] == names[1] or not all(names):
        names = ("the first run", "the second run")
    comparison, not_paired = _compared(tables, names)
    return RunDiff(
        first=_side(one, names[0]),
        second=_side(other, names[1]),
        findings=tuple(_findings(one, other, tables)),
        facts=tuple(changed_facts(one, other)),
        comparison=comparison,
        not_paired=tuple(not_paired),
    )


def _side(evidence: Evidence, name: str) -> Side:
    model = evidence.provenance.get("model")
    digest = model.get("weights_digest") if isinstance(model, dict) else None
    return Side(
        name=name,
        run_id=evidence.run_id,
        model=evidence.model,
        created=evidence.created,
        suite=evidence.suite,
        suite_version=str(evidence.definition.get("version", "")),
        workbench_version=evidence.version,
        weights_digest=digest if isinstance(digest, str) else None,
        incomplete=tuple(f"{one.name} ({one.state})" for one in evidence.incomplete),
        problems=tuple(evidence.problems),
    )


def _findings(
    first: Evidence, second: Evidence, tables: tuple[RunTables, RunTables]
) -> list[FindingChange]:
    from workbench.stats.corrections import benjamini_hochberg, holm

    before, after = ({f.code: f for f in run.findings} for run in (first, second))
    changed = changed_checks(first, second)
    codes = list(dict.fromkeys([*before, *after]))
    found = [
        _change(code, before.get(code), after.get(code), changed.get(code, ""), tables)
        for code in codes
    ]
    values = [one.p for one in found]
    corrected = zip(found, holm(values), benjamini_hochberg(values), strict=True)
    rows = [
        FindingChange(**{**vars(one), "p_holm": _known(p_holm), "q": _known(q)})
        for one, p_holm, q in corrected
    ]
    return sorted(rows, key=lambda one: (CHANGES.index(one.change), codes.index(one.code)))


def _change(
    code: str,
    one: Finding | None,
    other: Finding | None,
    definition: str,
    tables: tuple[RunTables, RunTables],
) -> FindingChange:
    if one is None or other is None:
        none = CheckDifference(None, note="Only one of the runs has it.")
        return FindingChange(code, "lost" if other is None else "gained", one, other, "", none)
    found = check_difference(*tables, one, other)
    change: Change = "same"
    if definition or _judged(one) != _judged(other):
        change = "definition"
        definition = definition or "the findings state other thresholds"
    elif one.verdict != other.verdict:
        change = "verdict"
    elif any(getattr(one, name) != getattr(other, name) for name in _NUMBERS):
        change = "numbers"
    return FindingChange(code, change, one, other, definition, found, _two_sided(found))


def _judged(finding: Finding) -> tuple[Any, ...]:
    return finding.threshold, finding.direction


def _two_sided(found: CheckDifference) -> float | None:
    """The p-value of no difference: the smallest error at which the interval leaves out 0."""
    if found.difference is None:
        return None
    one, other = found.difference.p_above(0.0), found.difference.p_below(0.0)
    return None if one is None or other is None else min(1.0, 2 * min(one, other))


def _known(value: float) -> float | None:
    return None if value != value else float(value)  # noqa: PLR0124 - NaN alone is not


def _compared(
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
        usual_metrics(matched)
    except (InputError, TypeError, ValueError) as error:
        return str(error), 0
    alone, pairs = (len(matched.only_first), len(matched.only_second)), len(matched.first)
    if not any(alone):
        return "", pairs
    return (
        f"{task}: not all items are the same: {alone[0]:,} are only in {names[0]}, {alone[1]:,} "
        f"only in {names[1]}; the {pairs:,} in both are paired."
    ), pairs


def diff_json(diff: RunDiff) -> dict[str, Any]:
    """The same as JSON values; what is undefined is null."""
    return {
        "schema": 1,
        "first": asdict(diff.first),
        "second": asdict(diff.second),
        "equal": diff.equal,
        "findings_differ": diff.findings_differ,
        "counts": dict(diff.counts),
        "findings": [_finding_json(one) for one in diff.findings],
        "facts": [asdict(one) for one in diff.facts],
        "paired": _rows(diff.comparison.table) if diff.comparison else [],
        "changed_items": _rows(diff.comparison.changed) if diff.comparison else [],
        "not_paired": list(diff.not_paired),
        "level": LEVEL,
    }


def _finding_json(one: FindingChange) -> dict[str, Any]:
    found = one.found.difference
    return {
        "code": one.code,
        "change": one.change,
        "definition": one.definition,
        "first": None if one.first is None else one.first.model_dump(mode="json"),
        "second": None if one.second is None else one.second.model_dump(mode="json"),
        "difference": None if one.difference is None else asdict(one.difference),
        "paired": bool(found is not None and found.paired),
        "same_items": one.found.same_items,
        "number": one.found.number,
        "note": one.found.note,
        "p": one.p,
        "p_holm": one.p_holm,
        "q": one.q,
    }


def _rows(table: Result) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(table.frame().to_json(orient="records"))
    return rows
