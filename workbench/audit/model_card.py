"""A Hugging Face model card with the run's results in its `model-index`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.audit.folder import CARD

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_model_card"]


def write_model_card(run: Path) -> Path:
    """Write it; its path."""
    return run / CARD
