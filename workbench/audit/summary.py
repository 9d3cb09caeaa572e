"""A run's findings in columns, with the run's own facts: what many runs are compared by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.audit.folder import SUMMARY

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_summary"]


def write_summary(run: Path) -> Path:
    """Write it; its path."""
    return run / SUMMARY
