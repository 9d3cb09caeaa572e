"""What a run says of how it measured and what it found: lines 14 to 23 of the checklist."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, get_args

from workbench.audit.definitions.checklist_lines import Said
from workbench.audit.records.checks import Verdict
from workbench.audit.records.folder import AUDIT, FINDINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.audit.records.facts import Facts, Scored

__all__ = ["ANSWERS", "verdicts"]

_BASELINES = ("chance", "control")
_MEMORISATION = "memorisation"
CHOICES = "choices"


def verdicts(facts: Facts) -> str:
    """How many findings have each verdict.

    As "3 pass, 1 fail"; empty where there are none.
    """
    counts = Counter(finding.verdict for finding in facts.evidence.findings)
    return ", ".join(f"{counts[name]} {name}" for name in get_args(Verdict) if counts[name])


def _benchmarks(facts: Facts) -> Said | None:
    if not facts.scored:
        return None
    named = "; ".join(_named(task) for task in facts.scored)
    whole = all(task.licence and task.data for task in facts.scored)
    missing = "" if whole else " Where a licence or a digest is missing here, the run lacks it."
    return Said(f"{named}.{missing}", _paths(facts.scored), whole=whole)


def _named(task: Scored) -> str:
    suite = f" of {task.suite} {task.version}".rstrip() if task.suite else ""
    licence = f", {task.licence}" if task.licence else ""
    data = ", ".join(f"{name} sha256 {digest}" for name, digest in task.data.items())
    return f"{task.name}{suite}{licence}{f', {data}' if data else ''}"


def _items(facts: Facts) -> Said | None:
    if not facts.scored:
        return None
    counts = "; ".join(
        f"{task.name}: {task.drawn or f'{task.rows:,} items'} ({_type(facts, task)})"
        for task in facts.scored
    )
    return Said(f"{counts}. Every item stands in the tables.", _paths(facts.scored))


def _type(facts: Facts, task: Scored) -> str:
    columns = next(table.columns for table in facts.tables if table.path == task.path)
    return CHOICES if "choices" in columns else "text that the model writes"


def _prompting(facts: Facts) -> Said | None:
    if not facts.scored:
        return None
    kinds = {_asked(task, _type(facts, task)) for task in facts.scored}
    return Said(
        f"{' '.join(sorted(kinds))} Each prompt stands beside its answer in the tables.",
        _paths(facts.scored),
        whole=all(task.setup for task in facts.scored),
    )


def _asked(task: Scored, kind: str) -> str:
    setup = task.setup
    seed = f"seed {setup.get('seed')}"
    if kind == CHOICES:
        chat = "in the model's chat template" if setup.get("chat") is True else "as plain text"
        return f"Choices are asked {chat}, {seed}."
    chat = "as plain text" if setup.get("chat") is False else "in its chat template, if it has one"
    return f"What the model writes is asked {chat}, {setup.get('max_new_tokens')} tokens, {seed}."


def _scoring(facts: Facts) -> Said | None:
    if not facts.scored:
        return None
    scorers = "; ".join(sorted({task.scorer for task in facts.scored if task.scorer}))
    judges = [task.setup.get(kind) for task in facts.scored for kind in ("judge", "classifier")]
    named = sorted({_judge(judge) for judge in judges if judge})
    judged = f"Judges: {', '.join(named)}." if named else "No judge was asked."
    unknown = " How far a judge is right is not in the run." if named else ""
    return Said(
        f"{scorers[:1].upper()}{scorers[1:]}. {judged}{unknown}",
        _paths(facts.scored),
        whole=bool(scorers) and not named,
    )


def _judge(record: object) -> str:
    if isinstance(record, dict):
        for key in ("judge", "name", "kind", "source"):
            if isinstance(record.get(key), str):
                return str(record[key])
    return "one that is named in the tables"


def _results(facts: Facts) -> Said | None:
    findings = facts.evidence.findings
    if not findings:
        return None
    interval = sum(finding.low is not None for finding in findings)
    complete = not facts.evidence.incomplete and not facts.evidence.unanswered
    return Said(
        f"{len(findings)} findings: {verdicts(facts)}. {interval} of them have an estimate with "
        "interval, n and method; the others answer yes or no, or say why they do not. Repeats "
        "are not recorded.",
        (FINDINGS,),
        whole=complete,
    )


def _groups(facts: Facts) -> Said | None:
    shown = [found for found in facts.evidence.exhibits if found.kind == "groups"]
    if not shown:
        return None
    titles = "; ".join(dict.fromkeys(found.title for found in shown))
    return Said(
        f"{titles}. Of intersections and other languages, the run shows what these tables show.",
        tuple(dict.fromkeys(found.path for found in shown)),
        whole=False,
    )


def _baselines(facts: Facts) -> Said | None:
    found = {word: _mentioning(facts, word) for word in _BASELINES}
    said = "; ".join(f"{word}: {', '.join(codes)}" for word, codes in found.items() if codes)
    if not said:
        return None
    return Said(
        f"Measured against {said}. No other model was asked in this run.",
        tuple(dict.fromkeys(code for codes in found.values() for code in codes)),
        whole=False,
    )


def _mentioning(facts: Facts, word: str) -> list[str]:
    """The findings whose code, unit or method speaks of something."""
    return [
        finding.code
        for finding in facts.evidence.findings
        if word in f"{finding.code} {finding.unit} {finding.method}".lower()
    ]


def _thresholds(facts: Facts) -> Said | None:
    checks = facts.evidence.checks
    if not checks:
        return None
    fixed = sum(check.threshold is not None for check in checks)
    return Said(
        f"{fixed} of {len(checks)} checks have a threshold, the others are answered by yes or no. "
        f"All stand in {AUDIT}, which is written before anything is measured. "
        f"Outcome: {verdicts(facts) or 'no findings'}.",
        (AUDIT, FINDINGS),
    )


def _contamination(facts: Facts) -> Said | None:
    tables = [table for table in facts.tables if "contamination" in table.path]
    asked = [task for task in facts.scored if task.name == _MEMORISATION]
    if not tables and not asked:
        return None
    return Said(
        "The model was asked to recite texts, some of which it should not know.",
        (*(table.path for table in tables), *_paths(asked)),
        whole=False,
    )


def _paths(scored: Iterable[Scored]) -> tuple[str, ...]:
    return tuple(task.path for task in scored)


ANSWERS: dict[str, Callable[[Facts], Said | None]] = {
    "benchmarks": _benchmarks,
    "items": _items,
    "prompting": _prompting,
    "scoring": _scoring,
    "results": _results,
    "groups": _groups,
    "baselines": _baselines,
    "thresholds": _thresholds,
    "contamination": _contamination,
}
