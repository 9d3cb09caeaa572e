"""What really happened to a section: by the kernel's own end, not by the notebook's word.

After a hard death papermill writes `completed` on cells that never ran or were cut off, so a cell
counts as run only where the kernel replied that it had executed it, and there was no error.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from workbench.provenance import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SectionStatus", "State", "cells_run", "death"]

State = Literal[
    "complete", "failed", "killed", "timed out", "interrupted", "not started", "running"
]


class SectionStatus(Record):
    """How a section ended.

    Attributes:
        state: one word.
        reason: a sentence; None where it is complete.
        seconds: from its start to its end.
        cells_run, cells_total: code cells that ran to their end, and all of them.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    section: str
    state: State
    reason: str | None = None
    seconds: float = 0.0
    cells_run: int = 0
    cells_total: int = 0


def cells_run(notebook: Mapping[str, Any]) -> tuple[int, int]:
    """How many code cells ran to their end, and how many there are."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    done = [
        cell
        for cell in code
        if "shell.execute_reply" in cell["metadata"].get("execution", {})
        and cell["metadata"].get("papermill", {}).get("exception") is False
    ]
    return len(done), len(code)


def death(exit_status: int | None) -> str:
    """A kernel's end in words.

    >>> death(-9)
    'The kernel was killed by SIGKILL (often for want of memory)'
    """
    if exit_status is None:
        return "The kernel stopped answering"
    if exit_status < 0:
        name = signal.Signals(-exit_status).name
        memory = " (often for want of memory)" if name == "SIGKILL" else ""
        return f"The kernel was killed by {name}{memory}"
    return f"The kernel ended with exit status {exit_status}"
