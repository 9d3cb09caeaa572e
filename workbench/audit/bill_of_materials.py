"""The model, its files and the packages as a CycloneDX bill of materials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.audit.folder import BOM

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_bill_of_materials"]


def write_bill_of_materials(run: Path) -> Path:
    """Write it; its path."""
    return run / BOM
