"""A run folder: what its files are called, the record of what was asked, and its findings' digest.

```
<out>/<model>/<UTC time>-<short id>/
  audit.json              what was asked, frozen before anything is measured
  status.json             how the whole run stands, attempt by attempt
  provenance.json         weights, code, packages, machine
  sections/<name>/        notebook.ipynb, *.parquet, findings.json, exhibits.json, inputs.json,
                          status.json
  findings.json           every check of the suite, also those that did not run
  findings.parquet        the same in columns, with the run's own facts: for many runs at once
  report.html             one file, no network
  bom.cdx.json, ro-crate-metadata.json, model-card.md
  manifest.json           SHA-256 of all of the above; signed in manifest.dsse.json
  .work/                  while sections are missing: what a resumed run need not compute again
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from workbench.audit.definitions.definition import Definition
from workbench.errors import InputError
from workbench.provenance import Record, sha256

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "AUDIT",
    "BOM",
    "CARD",
    "CRATE",
    "EXHIBITS",
    "FINDINGS",
    "INPUTS",
    "MANIFEST",
    "NOTEBOOK",
    "PROVENANCE",
    "REPORT",
    "SCHEMA",
    "SIGNATURE",
    "STATUS",
    "SUMMARY",
    "WORK",
    "AuditRecord",
    "findings_digest",
    "section_folder",
]

AUDIT = "audit.json"
STATUS = "status.json"
PROVENANCE = "provenance.json"
FINDINGS = "findings.json"
SUMMARY = "findings.parquet"
REPORT = "report.html"
BOM = "bom.cdx.json"
CRATE = "ro-crate-metadata.json"
CARD = "model-card.md"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.dsse.json"
WORK = ".work"

# Inside a section's folder, beside its FINDINGS and STATUS.
NOTEBOOK = "notebook.ipynb"
EXHIBITS = "exhibits.json"
INPUTS = "inputs.json"

SCHEMA = 2
"""Of audit.json; a run with a higher one was made by a newer version."""


class AuditRecord(Record):
    """What was asked of a run, written before anything is measured and never again.

    Attributes:
        run_id: the run folder's name.
        created: UTC, ISO 8601.
        model: what was asked for, as it was typed.
        definition: sections, tasks, limits and checks, as they hold in this run.
        passed: parameters that somebody gave; `from_suite` those that the suite's file states, and
            `defaulted` all others.
        command: the command line.
    """

    schema_version: Literal[2] = Field(2, alias="schema")
    run_id: str
    created: str
    model: str
    definition: Definition
    passed: dict[str, Any]
    from_suite: dict[str, Any] = Field(default_factory=dict)
    defaulted: dict[str, Any]
    command: tuple[str, ...]
    workbench_version: str


def section_folder(run: Path, section: str) -> Path:
    """Where a section's files lie."""
    return run / "sections" / section


def findings_digest(run: Path) -> str:
    """The SHA-256 of the run's `findings.json`: equal for equal findings.

    Raises:
        InputError: where the run has none.
    """
    path = run / FINDINGS
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected the findings of a finished run."
        ) from error
