"""The first screen in words: which model, how it ended, and the way from behaviour to cause."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.marks import SYMBOLS
from workbench.markup import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.audit.records.evidence import Evidence
    from workbench.audit.reporting.dossiers import Chapter
    from workbench.audit.reporting.verdicts import Row

__all__ = ["Chain", "Step", "attempts", "chains", "model_facts", "verdict_sentence"]

CHAINS = 2
DIGEST = 12
# How a judged finding's reason ends; the number beside it says as much.
_VERDICT = re.compile(r"\s*(?:No part of the interval|The (?:whole )?interval) .*$", re.DOTALL)


def model_facts(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """What tells this model from others, in a line: what is not recorded is said."""
    found = provenance.get("model")
    model = found if isinstance(found, dict) else {}
    digest, parameters = model.get("weights_digest"), model.get("parameters")
    return [
        ("Weights", f"{digest[:DIGEST]}…" if isinstance(digest, str) else "no digest recorded"),
        ("Size", _size(parameters) if isinstance(parameters, int) else "not recorded"),
        ("Architecture", str(model.get("architecture") or "not recorded")),
        ("Licence", str(model.get("licence") or "none found")),
    ]


def _size(parameters: int) -> str:
    for power, word in ((12, "trillion"), (9, "billion"), (6, "million")):
        if parameters >= 10**power:
            return f"{number(parameters / 10**power, 3)} {word} parameters"
    return f"{parameters:,} parameters"


def verdict_sentence(evidence: Evidence) -> str:
    """The outcome in one sentence, what did not happen included."""
    findings = evidence.findings
    total = len(findings) + len(evidence.unanswered)
    if total == 0:
        return "No check was answered, so this report says nothing about the model."
    counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in SYMBOLS}
    phrases = {
        "error": "ended in an error",
        "inconclusive": _were(counts["inconclusive"], "inconclusive"),
        "skipped": _were(counts["skipped"], "skipped"),
    }
    rest = [f"{counts[verdict]} {text}" for verdict, text in phrases.items() if counts[verdict]]
    if evidence.unanswered:
        rest.append(f"{len(evidence.unanswered)} never ran")
    sentence = f"{counts['fail'] or 'None'} of {total} checks failed"
    if total == 1:
        sentence = "The only check failed" if counts["fail"] else "The only check did not fail"
    if rest:
        sentence += "; " + " and ".join(filter(None, (", ".join(rest[:-1]), rest[-1])))
    return sentence + "."


def _were(count: int, what: str) -> str:
    return f"{'was' if count == 1 else 'were'} {what}"


def attempts(evidence: Evidence) -> list[str]:
    """How a run that was taken up again went, attempt by attempt; nothing for a single one."""
    if len(evidence.attempts) < 2:  # noqa: PLR2004 # one attempt is the run itself
        return []
    lines = []
    for place, attempt in enumerate(evidence.attempts, start=1):
        started = str(attempt.get("started") or "at a time not recorded")
        state = str(attempt.get("state") or "its end is not recorded")
        if state == "running":
            state = "its process ended without a word"
        reason = attempt.get("reason")
        lines.append(f"Attempt {place}, {started}: {state}{f'. {reason}' if reason else ''}")
    return lines


@dataclass(frozen=True)
class Step:
    """One step of a chain: what it is, in a sentence, and where the page shows it."""

    word: str
    text: str
    target: str
    finding: int | None = None


@dataclass(frozen=True)
class Chain:
    """From a behaviour that failed to where it comes from, and to what changing that place did."""

    steps: tuple[Step, ...]


def chains(rows: Sequence[Row]) -> list[Chain]:
    """The chains of the findings that failed, at most two, the worst first."""
    made: dict[str, Chain] = {}
    for row in rows:
        if row.finding.verdict != "fail" or row.dossier is None or row.dossier.anchor in made:
            continue
        found = {chapter.kind: chapter for chapter in row.dossier.chapters}
        steps = [Step("Behaviour", _behaviour(row), row.anchor)]
        told = {row.place}
        for kind in ("mechanism", "intervention"):
            if kind in found:
                text = _sentence(found[kind], row, rows, told)
                steps.append(Step(found[kind].word, text, found[kind].anchor, row.place))
        if len(steps) > 1:
            made[row.dossier.anchor] = Chain(tuple(steps))
    # Those that go all the way first.
    return sorted(made.values(), key=lambda chain: -len(chain.steps))[:CHAINS]


def _behaviour(row: Row) -> str:
    if row.finding.estimate is None:
        return f"{row.finding.question} {row.finding.reason}".strip()
    return f"{row.finding.question} {row.estimate}; it {row.threshold}."


def _sentence(chapter: Chapter, row: Row, rows: Sequence[Row], told: set[int]) -> str:
    """What the finding of another section says that most of this evidence is for.

    Where there is none but those that were `told`, what the evidence is called.
    """
    shown_by = Counter(
        place
        for shown in chapter.displays
        for place in {place for part in shown.parts for place in part.findings} - told
    )
    witnesses = [
        other
        for other in rows
        if other.place in shown_by
        and other.finding.section != row.finding.section
        and other.finding.verdict not in {"skipped", "error"}
    ]
    if witnesses:
        witness = max(witnesses, key=lambda other: shown_by[other.place])
        told.add(witness.place)
        reason = _VERDICT.sub("", witness.finding.reason) or witness.finding.question
        number = f" {witness.estimate}." if witness.finding.estimate is not None else ""
        return f"{reason}{number}"
    first = chapter.displays[0]
    return f"{first.title}. {first.note}".strip(" .") + "."
