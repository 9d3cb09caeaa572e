"""Two runs side by side: what they answer differently, and what was different about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.audit.comparing.check_differences import CheckDifference, check_difference
from workbench.audit.comparing.diff_items import compared_items
from workbench.audit.comparing.run_facts import FactChange, changed_checks, changed_facts
from workbench.audit.comparing.run_tables import RunTables
from workbench.audit.records.evidence import read_run

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.records.checks import Finding
    from workbench.audit.records.evidence import Evidence
    from workbench.comparison.comparison import Comparison
    from workbench.stats.estimate import Estimate

__all__ = ["CHANGES", "FindingChange", "RunDiff", "Side", "diff_runs"]

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
    comparison, not_paired = compared_items(tables, names)
    return RunDiff(
        first=_side(one, names[0]),
        second=_side(other, names[1]),
        findings=tuple(_findings(one, other, tables)),
        facts=tuple(changed_facts(one, other)),
        comparison=comparison,
        not_paired=tuple(not_paired),
    )


def _side(evidence: Evidence, name: str) -> Side:
    return Side(
        name=name,
        run_id=evidence.run_id,
        model=evidence.model,
        created=evidence.created,
        suite=evidence.suite,
        suite_version=str(evidence.definition.get("version", "")),
        workbench_version=evidence.version,
        weights_digest=evidence.weights_digest,
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
