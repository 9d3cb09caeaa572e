"""What really happened to a section and to a run: by the process's own end, not by hearsay.

A cell counts as run only where the kernel replied that it had executed it, and there was no error.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from workbench.provenance import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Attempt",
    "RunState",
    "RunStatus",
    "SectionStatus",
    "State",
    "cells_run",
    "death",
    "failed_cell",
]

State = Literal[
    "complete", "failed", "killed", "timed out", "interrupted", "not started", "running"
]
RunState = Literal["running", "complete", "incomplete", "interrupted"]


class SectionStatus(Record):
    """How a section stands, or how it ended.

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


class Attempt(Record):
    """One process that worked on a run: the first, or one that went on with it.

    Attributes:
        started, ended: UTC, ISO 8601; `ended` is when its last section did, None while it runs.
        command: the command line.
        state: `killed` where the process ended without a word, which the next attempt notes.
        reason: a sentence; None where it is complete.
        sections: how each stood in the end.
        seconds: from `started` to `ended`.
    """

    started: str
    ended: str | None = None
    command: tuple[str, ...] = ()
    state: RunState | Literal["killed"] = "running"
    reason: str | None = None
    sections: dict[str, State] = Field(default_factory=dict)
    seconds: float = 0.0


class RunStatus(Record):
    """How a run stands: `complete` once every section ran to its end, in however many attempts.

    `running` in a run that nobody holds says that its process ended without a word.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    state: RunState
    attempts: tuple[Attempt, ...]


def cells_run(notebook: Mapping[str, Any]) -> tuple[int, int]:
    """How many code cells ran to their end, and how many there are."""
    cells = _code(notebook)
    done = [
        cell
        for cell in cells
        if "shell.execute_reply" in cell["metadata"].get("execution", {})
        and cell["metadata"].get("papermill", {}).get("exception") is False
    ]
    return len(done), len(cells)


def failed_cell(notebook: Mapping[str, Any]) -> int | None:
    """The place, among the code cells and from 1, of that which failed or was cut off."""
    for place, cell in enumerate(_code(notebook), 1):
        if cell["metadata"].get("papermill", {}).get("status") == "failed":
            return place
    return None


def death(exit_status: int | None, *, out_of_memory: bool | None = None) -> str:
    """A kernel's end in words.

    Args:
        exit_status: the process's own; negative for a signal.
        out_of_memory: whether the system killed for want of memory meanwhile; None if unknown.

    >>> death(-15)
    'The kernel was killed by SIGTERM'
    """
    if exit_status is None:
        return "The kernel stopped answering"
    if exit_status >= 0:
        return f"The kernel ended with exit status {exit_status}"
    name = signal.Signals(-exit_status).name
    if name != "SIGKILL":
        return f"The kernel was killed by {name}"
    return (
        "The kernel was killed by SIGKILL"
        + {
            True: ", for want of memory: the system's out-of-memory killer struck meanwhile",
            False: ", and not by the system's out-of-memory killer",
            None: " (often for want of memory)",
        }[out_of_memory]
    )


def _code(notebook: Mapping[str, Any]) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
