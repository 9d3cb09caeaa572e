"""The run as an RO-Crate: what each file is, and what made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.audit.folder import CRATE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_crate"]


def write_crate(run: Path) -> Path:
    """Write it; its path."""
    return run / CRATE
