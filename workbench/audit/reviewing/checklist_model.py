"""What a run says of its report, its model and its setting: lines 1 to 13 of the checklist."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from workbench.audit.definitions.checklist_lines import Said
from workbench.audit.records.folder import AUDIT, FINDINGS, PROVENANCE
from workbench.audit.reviewing.openness import NOT_ASSESSED, NOT_CLASSIFIED, assess
from workbench.licences import LICENCE_FILES
from workbench.memory import human_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.audit.records.facts import Facts

__all__ = ["ANSWERS"]

_POLICY = LICENCE_FILES[-1]


def _report(facts: Facts) -> Said | None:
    evidence = facts.evidence
    if not evidence.run_id:
        return None
    version = evidence.definition.get("version", "")
    attempts = len(evidence.attempts)
    several = f" It took {attempts} attempts." if attempts > 1 else ""
    return Said(
        f"Run {evidence.run_id}, begun {evidence.created}, suite {evidence.suite} {version}, by "
        f"version {evidence.version} of the workbench.{several} What it supersedes, the run does "
        "not say.",
        (AUDIT,),
        whole=False,
    )


def _auditor(facts: Facts) -> Said | None:
    if facts.model is None:
        return None
    seconds = [attempt.get("seconds") for attempt in facts.evidence.attempts]
    known = [value for value in seconds if isinstance(value, int | float)]
    took = f", for {sum(known):,.0f} seconds" if known else ""
    return Said(
        f"The audit had the weights themselves{took}. Who the auditor was, and how independent, "
        "the run does not say.",
        (PROVENANCE,),
        whole=False,
    )


def _model(facts: Facts) -> Said | None:
    model = facts.model
    if model is None:
        return None
    revision = f"revision {model.revision}" if model.revision else "no revision: not from the hub"
    return Said(
        f"{model.source} ({model.kind}, {revision}); weights digest {model.weights_digest}. "
        f"The SHA-256 of all {len(model.files)} files is in {PROVENANCE}.",
        (PROVENANCE,),
    )


def _architecture(facts: Facts) -> Said | None:
    model = facts.model
    if model is None:
        return None
    context = f"{model.context_length:,} tokens" if model.context_length else "not stated"
    tokenizer = [name for name in _names(facts) if "token" in name.lower()]
    template = _chat_template(facts)
    said = {True: "a chat template", False: "no chat template", None: ""}[template]
    unknown = "" if said else " Whether it has a chat template, the run does not say."
    return Said(
        f"{model.architecture} ({model.model_type}), {model.parameters:,} parameters, context "
        f"length {context}, vocabulary {model.vocabulary:,}; tokenizer: "
        f"{', '.join(tokenizer) or 'no file of its own'}{f'; {said}' if said else ''}.{unknown}",
        (PROVENANCE,),
        whole=template is not None,
    )


def _licence(facts: Facts) -> Said | None:
    model = facts.model
    if model is None:
        return None
    policy = [name for name in _names(facts) if name.upper().startswith(_POLICY)]
    terms = (
        f"Acceptable-use terms: {', '.join(policy)}."
        if policy
        else f"No acceptable-use terms ({_POLICY}) are among the files that were read."
    )
    licence = (
        f"{model.licence}, stated by {model.licence_source}."
        if model.licence
        else "No licence was found among the files that were read."
    )
    return Said(f"{licence} {terms}", _codes(facts, "ID-LICENCE-1", "ID-OPEN-1"))


def _openness(facts: Facts) -> Said | None:
    if facts.model is None:
        return None
    found = assess(facts.evidence)
    freedoms = "; ".join(f"{freedom.name}: {freedom.answer}" for freedom in found.freedoms)
    form = "; ".join(f"{part.name}: {part.answer}" for part in found.preferred_form)
    mof = found.mof if found.mof == NOT_CLASSIFIED else f"class {found.mof}"
    return Said(
        f"The four freedoms: {freedoms}. {form[:1].upper()}{form[1:]}. "
        f"Model Openness Framework: {mof}. {found.reason}".strip(),
        _codes(facts, "ID-OPEN-1"),
        whole=all(part.answer != NOT_ASSESSED for part in found.preferred_form),
    )


def _changes(facts: Facts) -> Said | None:
    model = facts.model
    if model is None:
        return None
    origin = (
        f"The files are those of revision {model.revision} on the hub."
        if model.revision
        else "Whether they are those of the release, the run cannot know."
    )
    return Said(
        f"Stored as {', '.join(model.stored_dtypes) or 'unknown'}, computed in {model.dtype}. "
        f"{origin} What was done to the model before, the run does not say.",
        (PROVENANCE,),
        whole=False,
    )


def _environment(facts: Facts) -> Said | None:
    host, model = facts.host, facts.model
    if host is None:
        return None
    device = f", computed on {model.device}" if model else ""
    packages = ", ".join(f"{name} {version}" for name, version in facts.packages.items())
    return Said(
        f"{host.system} on {host.machine}, {host.processors} processors, "
        f"{human_bytes(host.memory_bytes)}, accelerator: {host.accelerator or 'none'}{device}; "
        f"Python {host.python}. {packages}. A lock file is not recorded.",
        (PROVENANCE,),
        whole=False,
    )


def _parameters(facts: Facts) -> Said | None:
    evidence = facts.evidence
    if not evidence.command:
        return None
    seed = evidence.provenance.get("seed")
    seeds = f" Seed {seed}." if isinstance(seed, int) else ""
    return Said(
        f"{shlex.join(evidence.command)}. Parameters given: {len(evidence.passed)}; left at their "
        f"defaults: {len(evidence.defaulted)}; all are in {AUDIT}.{seeds} Equal findings have "
        f"equal bytes in {FINDINGS}, so that a repetition can be compared.",
        (AUDIT, FINDINGS),
    )


def _names(facts: Facts) -> list[str]:
    return [] if facts.model is None else [file.name for file in facts.model.files]


def _chat_template(facts: Facts) -> bool | None:
    """Whether the tokenizer has one, as the table of openness says it."""
    for table in facts.tables:
        said = table.provenance.get("chat_template")
        if isinstance(said, bool):
            return said
    return None


def _codes(facts: Facts, *codes: str) -> tuple[str, ...]:
    """Those that the run has findings of."""
    there = {finding.code for finding in facts.evidence.findings}
    return tuple(code for code in codes if code in there)


ANSWERS: dict[str, Callable[[Facts], Said | None]] = {
    "report": _report,
    "auditor": _auditor,
    "model": _model,
    "architecture": _architecture,
    "licence": _licence,
    "openness": _openness,
    "changes_since_release": _changes,
    "environment": _environment,
    "parameters": _parameters,
}
