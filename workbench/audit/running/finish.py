"""What is written when the sections are done: summary, report, papers of proof, manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.audit.comparing.summary import write_summary
from workbench.audit.proof.bill_of_materials import write_bill_of_materials
from workbench.audit.proof.crate import write_crate
from workbench.audit.proof.manifest import write_manifest
from workbench.audit.proof.model_card import write_model_card
from workbench.audit.reporting.report import build_report

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["finish"]


def finish(run: Path) -> Path:
    """Write all that a run's folder needs to be read, checked and compared; the report's path.

    Everything is made from the folder alone.

    Raises:
        StorageError: where the folder cannot be written.
    """
    write_summary(run)
    write_bill_of_materials(run)
    write_model_card(run)
    report = build_report(run)
    write_crate(run)
    write_manifest(run)  # the last: it states every other file's digest
    return report
