"""A gate's decision, for a terminal and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from workbench.audit.comparing.diff_text import estimate_text
from workbench.audit.comparing.terminal import columns
from workbench.markup import number, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.audit.comparing.gate import Gate
    from workbench.audit.comparing.gate_check import CheckDecision

__all__ = ["gate_json", "gate_text"]

SENTENCES = {
    "worse": "WORSE",
    "incomplete": "INCOMPLETE: the run cannot be judged whole",
    "cannot tell": "CANNOT TELL",
    "not worse": "NOT WORSE by the margin or more",
}


def gate_text(gate: Gate) -> str:
    """The decision as text: what decides first, with its reason; what hides in it is visible."""
    return "\n".join(_lines(gate))


def _lines(gate: Gate) -> Iterator[str]:
    yield visible(f"{SENTENCES[gate.decision]}: {gate.run} against {gate.baseline}.", None)
    yield from (visible(note, None) for note in gate.notes)
    for decision, members in groupby(gate.checks, key=lambda one: one.decision):
        yield from _group(decision, list(members))
    yield ""
    yield (
        f"Worse by: the worsening towards the side that fails, with its {1 - 2 * gate.alpha:.0%} "
        "interval (* from the two intervals alone, taken as independent); below 0 it is better. "
        f"Each claim errs with probability {gate.alpha:g} at most; p by Holm."
    )


def _group(decision: str, checks: list[CheckDecision]) -> Iterator[str]:
    """The checks with one decision; a reason that several share is said once."""
    yield from ("", f"{decision} ({len(checks)})")
    rows = [(one.code, _worse_by(one), _margin(one), _p(one)) for one in checks]
    bare = not any(one.worsening for one in checks)
    yield columns(
        [row[:1] for row in rows] if bare else rows,
        () if bare else ("check", "worse by", "margin", "p"),
        whole=() if bare else (2, 3),
        right=() if bare else (3,),
    )
    if decision == "not worse":
        return
    reasons: dict[str, list[str]] = {}
    for one in checks:
        reasons.setdefault(one.reason, []).append(one.code)
    for reason, codes in reasons.items():
        whom = ", ".join(codes) if len(codes) < len(checks) else "all" if len(codes) > 1 else ""
        yield visible(f"  {whom}: {reason}" if whom else f"  {reason}", None)


def _worse_by(one: CheckDecision) -> str:
    paired = "" if one.number or one.worsening is None else "*"
    return f"{estimate_text(one.worsening)}{paired}"


def _p(one: CheckDecision) -> str:
    return "" if one.p_holm is None else number(one.p_holm, 2)


def _margin(one: CheckDecision) -> str:
    return number(one.margin) if one.worsening is not None else ""


def gate_json(gate: Gate, exit_code: int) -> dict[str, Any]:
    """The same as JSON values; what is undefined is null."""
    return {
        "schema": 1,
        "decision": gate.decision,
        "exit_code": exit_code,
        "run": gate.run,
        "baseline": gate.baseline,
        "alpha": gate.alpha,
        "notes": list(gate.notes),
        "checks": [_check(one) for one in gate.checks],
    }


def _check(one: CheckDecision) -> dict[str, Any]:
    return {
        **{
            name: value
            for name, value in vars(one).items()
            if name not in {"first", "second", "worsening"}
        },
        "baseline": None if one.first is None else one.first.model_dump(mode="json"),
        "run": None if one.second is None else one.second.model_dump(mode="json"),
        "worsening": None if one.worsening is None else asdict(one.worsening),
    }
