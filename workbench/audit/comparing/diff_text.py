"""Two runs side by side, for a terminal."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from workbench.audit.comparing.terminal import columns
from workbench.marks import SYMBOLS, interval_text
from workbench.markup import MISSING, number, visible
from workbench.stats.estimate import LEVEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from workbench.audit.comparing.diff import FindingChange, RunDiff, Side
    from workbench.audit.records.checks import Finding
    from workbench.stats.estimate import Estimate

__all__ = ["TITLES", "diff_text", "estimate_text", "finding_text"]

TITLES = {
    "verdict": "Verdict changed",
    "lost": "Only in the first run",
    "gained": "Only in the second run",
    "definition": "Asked or judged by something else: their verdicts cannot be compared",
    "numbers": "Same verdict, other numbers",
    "same": "The same",
}
CHANGES_SHOWN = 20


def diff_text(diff: RunDiff) -> str:
    """The difference of two runs as text; what hides in it is made visible."""
    return "\n".join(_lines(diff))


def _lines(diff: RunDiff) -> Iterator[str]:
    sides = zip(_FACTS, _side(diff.first), _side(diff.second), strict=True)
    yield columns(list(sides), ("", "first", "second"), whole=(0,))
    yield ""
    yield visible(diff.sentence, None)
    for side in (diff.first, diff.second):
        if side.incomplete:
            yield visible(f"{side.name} is incomplete: {', '.join(side.incomplete)}.", None)
        yield from (visible(f"{side.name}: {problem}", None) for problem in side.problems)
    changed = [one for one in diff.findings if one.change != "same"]
    for kind, members in groupby(changed, key=lambda one: one.change):
        yield from _findings(TITLES[kind], list(members))
    if changed:
        yield ""
        yield (
            f"Differences are second minus first, with {LEVEL:.0%} intervals, paired item by item "
            "(* from the two intervals alone, taken as independent). p and q are of no difference, "
            "over all checks: p by Holm, q by Benjamini and Hochberg."
        )
    if diff.facts:
        yield from ("", "What else differs")
        rows = [(fact.group, fact.name, fact.first, fact.second) for fact in diff.facts]
        yield columns(rows, ("", "", "first", "second"))
    yield from _paired(diff)


_FACTS = ("model", "run", "made", "suite", "weights")


def _side(side: Side) -> tuple[str, ...]:
    suite = f"{side.suite} {side.suite_version}".strip()
    made = f"{side.created[:16].replace('T', ' ')} UTC"
    return side.model, side.name, made, suite, (side.weights_digest or "not recorded")[:16]


def _findings(title: str, changes: list[FindingChange]) -> Iterator[str]:
    yield from ("", f"{title} ({len(changes)})")
    headings = ("check", "first", "second", "difference", "p", "q")
    yield columns([_row(one) for one in changes], headings, right=(4, 5), whole=(4, 5))
    notes = dict.fromkeys(
        one.definition or one.found.note
        for one in changes
        if one.definition or one.found.same_items is False
    )
    yield from (visible(f"  {note}", None) for note in notes)


def _row(one: FindingChange) -> tuple[str, ...]:
    difference = estimate_text(one.difference)
    found = one.found.difference
    return (
        one.code,
        finding_text(one.first),
        finding_text(one.second),
        f"{difference}{'*' if found is not None and not found.paired else ''}",
        number(one.p_holm, 2),
        number(one.q, 2),
    )


def finding_text(finding: Finding | None) -> str:
    """A finding's verdict, with its number and interval."""
    if finding is None:
        return MISSING
    text = f"{SYMBOLS[finding.verdict]} {finding.verdict}"
    if finding.estimate is None:
        return text
    return f"{text} {interval_text(finding.model_copy(update={'unit': ''}))}"


def estimate_text(estimate: Estimate | None, digits: int = 3) -> str:
    """A number with its interval."""
    if estimate is None or estimate.value is None:
        return MISSING
    text = number(estimate.value, digits)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{number(estimate.low, digits)}, {number(estimate.high, digits)}]"


def _paired(diff: RunDiff) -> Iterator[str]:
    yield from _reasons(diff)
    if diff.comparison is None or not diff.changed_answers:
        return
    rows: list[Mapping[Any, Any]] = [
        row for row in diff.comparison.table.frame().to_dict("records") if row["discordant"]
    ]
    yield from ("", "Items answered differently")
    cells = [
        (
            f"{row['task']} ({row['arm']})" if row["arm"] else str(row["task"]),
            str(row["metric"]),
            number(row["n"]),
            number(row["gained"]),
            number(row["lost"]),
            _interval(row),
            number(row["p_holm"], 2),
        )
        for row in rows
    ]
    headings = ("task", "metric", "n", "gained", "lost", "difference", "p")
    yield columns(cells, headings, right=(2, 3, 4, 6), whole=(2, 3, 4, 6))


def _interval(row: Mapping[Any, Any]) -> str:
    value, low, high = (number(row[f"difference{end}"], 3) for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"


def _reasons(diff: RunDiff) -> Iterator[str]:
    if diff.not_paired:
        yield from ("", "Not paired")
        yield from (visible(f"  {reason}", None) for reason in diff.not_paired)
