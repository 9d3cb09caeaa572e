"""A run's findings in columns, with the run's own facts: what many runs are compared by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.audit.definitions.definition import definition_digest
from workbench.audit.records.evidence import read_run
from workbench.audit.records.folder import FINDINGS, SUMMARY
from workbench.provenance import sha256
from workbench.tables import Result

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from workbench.audit.records.checks import Finding
    from workbench.audit.records.evidence import Evidence

__all__ = ["COLUMNS", "run_facts", "write_summary"]

COLUMNS = {
    # Of the run: the same in every row.
    "run_id": "string",
    "created": "string",
    "model": "string",
    "weights_digest": "string",
    "suite": "string",
    "suite_version": "string",
    "definition_digest": "string",
    "findings_digest": "string",
    "complete": "bool",
    "state": "string",
    "seconds": "double",
    "workbench_version": "string",
    # Of the finding.
    "code": "string",
    "question": "string",
    "section": "string",
    "verdict": "string",
    "severity": "string",
    "estimate": "double",
    "low": "double",
    "high": "double",
    "level": "double",
    "n": "int64",
    "unit": "string",
    "method": "string",
    "threshold": "double",
    "direction": "string",
}
"""Of `findings.parquet`, with the names of their Arrow types."""

_ENDED = ("complete", "incomplete", "interrupted")
_LARGEST = 2**63 - 1


def write_summary(run: Path) -> Path:
    """Write `findings.parquet` from what lies in the run folder; its path.

    A row for each finding, in the order of the run's `findings.json`; equal folders leave equal
    bytes. An incomplete run has one, too: its rows say so.

    Raises:
        InputError: where `run` is no run folder, or one of a newer version.
        StorageError: where it cannot be written.
    """
    import pyarrow as pa

    evidence = read_run(run)
    facts = run_facts(run, evidence)
    rows = [{**facts, **_finding(finding)} for finding in evidence.findings]
    columns = {
        name: pa.array([row[name] for row in rows], type=_type(kind))
        for name, kind in COLUMNS.items()
    }
    return Result(SUMMARY.removesuffix(".parquet"), pa.table(columns)).save(run)


def run_facts(run: Path, evidence: Evidence) -> dict[str, Any]:
    """The columns of the run; None for what is not recorded."""
    digest = evidence.weights_digest
    complete = bool(evidence.sections) and not evidence.incomplete and not evidence.problems
    seconds = [section.seconds for section in evidence.sections if section.seconds is not None]
    return {
        "run_id": _text(evidence.run_id or run.name),
        "created": _text(evidence.created),
        "model": _text(evidence.model),
        "weights_digest": None if digest is None else _text(digest),
        "suite": _text(evidence.suite),
        "suite_version": _text(str(evidence.definition.get("version", ""))),
        "definition_digest": definition_digest(evidence.definition),
        "findings_digest": sha256(run / FINDINGS) if (run / FINDINGS).is_file() else None,
        "complete": complete,
        "state": evidence.state
        if evidence.state in _ENDED
        # It is not written yet: what the sections say.
        else ("complete" if complete else "incomplete"),
        "seconds": float(sum(seconds)) if seconds else None,
        "workbench_version": _text(evidence.version),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    values = finding.model_dump(include=set(COLUMNS))
    if finding.n is not None and abs(finding.n) > _LARGEST:
        values["n"] = None
    return {
        name: _text(value) if isinstance(value, str) else value for name, value in values.items()
    }


def _text(text: str) -> str:
    """With lone surrogates, which no file of UTF-8 can hold, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _type(kind: str) -> pa.DataType:
    import pyarrow as pa

    return pa.type_for_alias(kind)
