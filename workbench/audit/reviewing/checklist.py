"""The reviewer's checklist: 33 lines, each answered from the run or "not assessed".

What the auditor states in the definition's `[statements]` is shown as that, and never as measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from workbench.audit.definitions.checklist_lines import KEYS, LINES, Line, Said
from workbench.audit.records.facts import Facts
from workbench.audit.reviewing import checklist_method, checklist_model, checklist_scope

if TYPE_CHECKING:
    from workbench.audit.records.evidence import Evidence

__all__ = ["KEYS", "LINES", "Answer", "AnswerState", "Line", "answers"]

AnswerState = Literal["answered", "partly", "not assessed", "stated by the auditor"]

STATEMENT = "The auditor states: "
"""What a statement begins with where it stands beside what the run shows."""

NOTHING = "The run does not show it, and the auditor states nothing of it."

_ANSWERS = {**checklist_model.ANSWERS, **checklist_method.ANSWERS, **checklist_scope.ANSWERS}


@dataclass(frozen=True)
class Answer:
    """A line's answer.

    Attributes:
        text: plain text; untrusted where it holds names or the auditor's words.
        links: paths inside the run, and codes of findings.
        sources: standards that ask for the line.
    """

    number: int
    key: str
    question: str
    state: AnswerState
    text: str
    links: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def answers(evidence: Evidence) -> tuple[Answer, ...]:
    """All lines, answered as far as the run goes.

    They rest on what a report can rest on: not on the files that are written after it (the crate,
    the manifest and its signature), so that it is the same when it is built again.
    """
    facts = Facts.of(evidence)
    found = []
    for line in LINES:
        answer = _ANSWERS.get(line.key)
        said = None if answer is None else answer(facts)
        found.append(_answer(line, said, facts.statements.get(line.key)))
    return tuple(found)


def _answer(line: Line, said: Said | None, statement: str | None) -> Answer:
    if said is None:
        state: AnswerState = "not assessed" if statement is None else "stated by the auditor"
        said = Said(NOTHING if statement is None else statement)
    else:
        state = "answered" if said.whole else "partly"
        if statement is not None:
            said = replace(said, text=f"{said.text} {STATEMENT}{statement}")
    return Answer(line.number, line.key, line.question, state, said.text, said.links, line.sources)
