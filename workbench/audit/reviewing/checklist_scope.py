"""What a run says of its reach and its trustworthiness: lines 24 to 33 of the checklist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.audit.definitions.checklist_lines import Said
from workbench.audit.records.folder import BOM, CARD, CRATE, FINDINGS, MANIFEST, SIGNATURE
from workbench.audit.reviewing.categories import AILUMINATE, NIST, coverage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.audit.records.checks import Finding
    from workbench.audit.records.facts import Facts

__all__ = ["ANSWERS"]

_INSIDE = ("mechanism", "intervention")
_SAFEGUARDS = ("SAFE-REF", "SAFE-OVER", "SAFE-TRIG", "SAFE-JAIL")
_WITHOUT = (
    f"jq -r '.subject[] | .digest.sha256 + \"  \" + .name' {MANIFEST} | sha256sum --check --quiet"
)
_ATTACKS = {"jailbreaks", "injection"}


def _hazards(facts: Facts) -> Said | None:
    return _covered(facts, AILUMINATE)


def _risks(facts: Facts) -> Said | None:
    return _covered(facts, NIST)


def _covered(facts: Facts, names: tuple[str, ...]) -> Said | None:
    """Which of the categories have items that were asked: an answer also where none has."""
    if not facts.evidence.sections:
        return None
    found = coverage(names, facts.scored, facts.evidence.folder)
    tested = [part for part in found if part.tested_by]
    said = "; ".join(f"{part.category}: {', '.join(part.tested_by)}" for part in tested)
    missing = ", ".join(part.category for part in found if not part.tested_by)
    return Said(
        f"{len(tested)} of {len(names)} have items that were asked{f' ({said})' if said else ''}. "
        f"Not tested: {missing or 'none'}.",
        tuple(dict.fromkeys(path for part in tested for path in part.paths)),
    )


def _safeguards(facts: Facts) -> Said | None:
    found = [f for f in facts.evidence.findings if f.code.startswith(_SAFEGUARDS)]
    attacks = sorted(task.name for task in facts.scored if task.name in _ATTACKS)
    if not found and not attacks:
        return None
    asked = f"Attacks that were tried: {', '.join(attacks)}." if attacks else ""
    robust = asked or "No published jailbreak was tried: robustness is not shown."
    return Said(
        " ".join(filter(None, (_said(found), robust))),
        tuple(finding.code for finding in found),
        whole=bool(attacks),
    )


def _inside(facts: Facts) -> Said | None:
    found = [f for f in facts.evidence.findings if f.section in {"inside", "intervention"}]
    shown = [exhibit for exhibit in facts.evidence.exhibits if exhibit.kind in _INSIDE]
    if not found and not shown:
        return None
    titles = "; ".join(dict.fromkeys(exhibit.title for exhibit in shown))
    reach = (
        "It holds for these prompts and this precision: where a value matters is shown by changing "
        "it, that nothing else matters is not."
    )
    parts = (_said(found), f"Shown: {titles}." if titles else "", reach)
    paths = dict.fromkeys(exhibit.path for exhibit in shown)
    return Said(" ".join(filter(None, parts)), (*(finding.code for finding in found), *paths))


def _not_run(facts: Facts) -> Said | None:
    evidence = facts.evidence
    if not evidence.sections:
        return None
    parts = [
        f"section {section.name}: {section.state}{f' ({section.reason})' if section.reason else ''}"
        for section in evidence.incomplete
    ]
    without = [f for f in evidence.findings if f.verdict in {"skipped", "error"}]
    parts += [f"{finding.code}: {finding.verdict} ({finding.reason})" for finding in without]
    parts += [f"{check.code}: no finding" for check in evidence.unanswered]
    parts += [problem.rstrip(".") for problem in evidence.problems]
    earlier = evidence.attempts[:-1]
    again = f" Attempts that ended before it was done: {len(earlier)}." if earlier else ""
    said = "; ".join(parts) if parts else "All that was planned ran to its end and was judged"
    limits = evidence.definition.get("limits")
    items = limits.get("items") if isinstance(limits, dict) else None
    short = (
        f" Of each task, {items:,} items were to be drawn, in whole clusters."
        if isinstance(items, int)
        else ""
    )
    planned = ", ".join(section.name for section in evidence.sections)
    return Said(
        f"{said}. Planned were the sections {planned}.{short}{again}",
        tuple(finding.code for finding in without),
    )


def _limits(facts: Facts) -> Said | None:
    if facts.model is None:
        return None
    undecided = sum(finding.verdict == "inconclusive" for finding in facts.evidence.findings)
    world = sorted({task.suite for task in facts.scored if task.suite})
    about = f" Its items are those of {', '.join(world)}." if world else ""
    return Said(
        "It is about the weights with the digest of line 3, in this precision and with these "
        f"items, and about no other version of the model.{about} Of the findings, {undecided} are "
        "undecided: their interval crosses the threshold. A check that passes shows no harm of its "
        "kind in these items, not that there is none.",
        (FINDINGS,),
        whole=False,
    )


def _standards(facts: Facts) -> Said | None:
    del facts
    return Said(
        f"Formats: in-toto Statement v1 ({MANIFEST}), DSSE 1.0 ({SIGNATURE}, where it is signed), "
        f"CycloneDX 1.6 ({BOM}), RO-Crate 1.1 ({CRATE}), Hugging Face model card ({CARD}). The "
        "lines of this checklist name what asks for them; that a standard is met is not claimed.",
        (BOM, CARD),
        whole=False,
    )


def _provenance(facts: Facts) -> Said | None:
    del facts
    return Said(
        f"{MANIFEST} has the SHA-256 of every file of the run: `workbench verify RUN` names each "
        f"that differs, without a network. A signature, where there is one, is {SIGNATURE}: "
        "`workbench verify RUN --key PUBLIC` checks it with the signer's public key, which must "
        f"come from the signer. Without the workbench, `{_WITHOUT}` checks the files. The bill of "
        f"materials is {BOM}.",
        (MANIFEST, BOM),
    )


def _said(findings: Iterable[Finding]) -> str:
    said = "; ".join(f"{finding.code}: {finding.verdict}" for finding in findings)
    return f"{said}." if said else ""


ANSWERS: dict[str, Callable[[Facts], Said | None]] = {
    "hazards": _hazards,
    "nist_risks": _risks,
    "safeguards": _safeguards,
    "inside": _inside,
    "not_run": _not_run,
    "limits": _limits,
    "standards": _standards,
    "provenance": _provenance,
}
