"""A Hugging Face model card with the run's results in its `model-index`, as the auditor's reading.

It is written to be put beside a model's own card, not in its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from workbench.audit.records.evidence import read_run
from workbench.audit.records.facts import Facts
from workbench.audit.records.folder import CARD, REPORT
from workbench.markup import number, visible
from workbench.provenance import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from workbench.audit.records.checks import Finding

__all__ = ["write_model_card"]

_CHARACTERS = 500
_TASK = "text-generation"
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!@$]|:(?=//)|(?<=www)\.)", re.IGNORECASE)

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")

_LIMITS = (
    "The findings are about the weights with this digest and about the items that were asked, and "
    "claim nothing of other versions, languages or uses. A check that passes shows no harm of its "
    "kind in these items, not that there is none."
)
_VERIFYING = (
    f"The run's folder holds `{REPORT}`, which opens offline. `workbench verify RUN` checks every "
    "file of it against the manifest, and `workbench verify RUN --key PUBLIC` its signature with "
    "the auditor's public key, which must come from the auditor."
)


def write_model_card(run: Path) -> Path:
    """Write it from the run folder alone; its path.

    Raises:
        InputError: for what is not a run folder.
        StorageError: where it cannot be written.
    """
    facts = Facts.of(read_run(run))
    text = f"---\n{_data(facts)}---\n\n{_prose(facts)}"
    write_atomically(run / CARD, text.encode("utf-8", "backslashreplace"))
    return run / CARD


def _data(facts: Facts) -> str:
    """The card's front matter: the results, each finding's estimate a metric of its own."""
    from huggingface_hub import ModelCardData

    results = [_result(facts, f) for f in facts.evidence.findings if f.estimate is not None]
    data = ModelCardData(
        model_name=_plain(facts.evidence.model) or "unknown",
        eval_results=results or None,
        **_licence(None if facts.model is None else facts.model.licence),
        pipeline_tag=_TASK,
        tags=["audit"],
    )
    return data.to_yaml().rstrip("\n") + "\n"


def _licence(stated: str | None) -> dict[str, Any]:
    """As the hub writes it: an id in small letters, or "other" with its name."""
    if stated is None:
        return {}
    if _LICENCE.fullmatch(stated.lower()):
        return {"license": stated.lower()}
    return {"license": "other", "license_name": _plain(stated)}


def _result(facts: Facts, finding: Finding) -> Any:
    from huggingface_hub import EvalResult

    definition = facts.evidence.definition
    questions = definition.get("questions")
    return EvalResult(
        task_type=_TASK,
        dataset_type=_plain(questions if isinstance(questions, str) else "unknown"),
        dataset_name=_plain(f"{definition.get('title', 'audit')}, section {finding.section}"),
        dataset_config=_plain(finding.section),
        metric_type=_plain(finding.code),
        metric_name=_plain(f"{finding.question} ({finding.unit or 'estimate'})"),
        metric_value=finding.estimate,
        metric_args={
            "low": finding.low,
            "high": finding.high,
            "level": finding.level,
            "n": finding.n,
            "method": _plain(finding.method),
            "threshold": finding.threshold,
            "verdict": finding.verdict,
        },
    )


def _prose(facts: Facts) -> str:
    evidence = facts.evidence
    parts = [
        f"# Audit of {_text(evidence.model)}",
        _origin(facts),
        "## Findings",
        *_findings(facts),
        "## What did not run",
        "\n".join(_missing(facts)),
        "## Limits",
        _LIMITS,
        *_stated(facts.statements),
        "## How to verify",
        _VERIFYING,
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _origin(facts: Facts) -> str:
    """Which run it was, and of which weights."""
    evidence, model = facts.evidence, facts.model
    origin = (
        f"Written from the run `{_code(evidence.run_id)}` of {_text(evidence.created)} by version "
        f"{_text(evidence.version)} of the Open Weights Workbench. It says what an audit found, "
        "not what the model's makers say of it."
    )
    if model is None:
        return f"{origin}\n\nWhich weights were audited is not recorded."
    revision = f", revision `{_code(model.revision)}`" if model.revision else ""
    return (
        f"{origin}\n\n{_text(model.architecture)} with {model.parameters:,} parameters{revision}; "
        f"weights digest `{_code(model.weights_digest)}`; "
        f"licence: {_text(model.licence or 'none found')}."
    )


def _findings(facts: Facts) -> Iterator[str]:
    findings = facts.evidence.findings
    if not findings:
        yield "There are none."
        return
    rows = [
        "| Check | Question | Verdict | Estimate | n |",
        "|---|---|---|---|---|",
        *(
            f"| {_text(finding.code)} | {_text(finding.question)} | {finding.verdict} "
            f"| {_estimate(finding)} | {number(finding.n)} |"
            for finding in findings
        ),
    ]
    yield "\n".join(rows)


def _estimate(finding: Finding) -> str:
    if finding.low is None or finding.high is None:
        return number(finding.estimate)
    return f"{number(finding.estimate)} ({number(finding.low)} to {number(finding.high)})"


def _missing(facts: Facts) -> Iterable[str]:
    evidence = facts.evidence
    lines = [
        f"- section {_text(section.name)}: {section.state}"
        f"{f' ({_text(section.reason)})' if section.reason else ''}"
        for section in evidence.incomplete
    ]
    lines += [
        f"- {_text(finding.code)}: {finding.verdict} ({_text(finding.reason)})"
        for finding in evidence.findings
        if finding.verdict in {"skipped", "error"}
    ]
    lines += [f"- {_text(check.code)}: no finding" for check in evidence.unanswered]
    lines += [f"- {_text(problem)}" for problem in evidence.problems]
    return lines or ["All that was planned ran to its end and was judged."]


def _stated(statements: dict[str, str]) -> Iterator[str]:
    if statements:
        yield "## Stated by the auditor, not measured"
        yield "\n".join(f"- {_text(key)}: {_text(text)}" for key, text in statements.items())


def _plain(text: str) -> str:
    """One line with nothing hidden in it."""
    return visible(text, _CHARACTERS)


def _code(text: str) -> str:
    """A text inside a pair of backticks."""
    return _plain(text).replace("`", "'").replace("|", "/")


def _text(text: str) -> str:
    """A text whose characters mean nothing in Markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", _plain(text)).strip()
