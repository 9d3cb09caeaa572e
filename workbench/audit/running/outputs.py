"""A notebook as it is run and saved: whole at each moment, and true about each cell.

papermill alone writes `completed` on the cell in which a kernel died and on those never reached;
it saves only when a cell says something; and a kill while it saves leaves half a file.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import nbformat
from jupyter_core.utils import ensure_event_loop, run_sync
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager

from workbench.errors import StorageError
from workbench.provenance import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Client", "Recorder"]

SAVE_EVERY = 2.0
"""Seconds between two saves."""
_SHARE = 0.1
"""Of the time, at most, that may go into saving."""
_SENT = "execution"
_REPLIED = "shell.execute_reply"


class Recorder(NotebookExecutionManager):  # type: ignore[misc] # papermill has no types
    """Papermill's record of a run.

    Args:
        nb: the notebook.
        save_to: a file to save to, always whole; None for papermill's own `output_path`.
        on_cell: called after each cell.
        **options: papermill's.
    """

    def __init__(
        self,
        nb: Any,
        *,
        save_to: Path | None = None,
        on_cell: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        self._save_to = save_to
        self._on_cell = on_cell
        self._unsaved = False
        self._next_save = 0.0
        super().__init__(nb, **options)

    def save(self, **_: Any) -> None:
        """Save the notebook where the last time is some seconds ago; else soon."""
        self._unsaved = True
        self.save_what_is_due()

    def autosave_cell(self) -> None:
        """Note that a cell has said something."""
        self._unsaved = True

    def save_what_is_due(self) -> None:
        """Save what has changed since the last time, not too often."""
        if self._unsaved and time.monotonic() >= self._next_save:
            self.write()

    def write(self) -> None:
        """Save the notebook as it is now."""
        start = time.monotonic()
        self._unsaved = False
        if self._save_to is None:
            super().save()  # papermill's own, which knows many places
        else:
            # A lone surrogate, which a model can say, has no UTF-8: it stays an escape.
            text = nbformat.v4.writes(self.nb)  # as ever, but not validated at each save
            write_atomically(self._save_to, text.encode("utf-8", "backslashreplace"))
        now = time.monotonic()
        self._next_save = now + max(SAVE_EVERY, (now - start) / _SHARE)

    def notebook_start(self, **_: Any) -> None:
        """Begin with what no earlier run said of a cell."""
        for cell in self.nb.cells:
            cell.metadata.pop(_SENT, None)
        super().notebook_start()
        self.write()

    def cell_complete(self, cell: Any, cell_index: int | None = None, **_: Any) -> None:
        """Say that a cell is done where its kernel said so; else that it failed."""
        if cell.cell_type == "code" and _SENT in cell.metadata and not _replied(cell):
            self.cell_exception(cell, cell_index=cell_index)
        super().cell_complete(cell, cell_index=cell_index)
        if self._on_cell is not None:
            self._on_cell()

    def notebook_complete(self, **_: Any) -> None:
        """Save the end. Cells that were never reached stay `pending`."""
        self.end_time = self.now()
        about = self.nb.metadata.papermill
        about["end_time"] = self.end_time.isoformat()
        about["duration"] = (self.end_time - self.start_time).total_seconds()
        self.cleanup_pbar()
        self.write()


class Client(PapermillNotebookClient):  # type: ignore[misc] # papermill has no types
    """Runs cells; saves what they have said while they run."""

    async def async_execute_cell(self, cell: Any, cell_index: int, **how: Any) -> Any:
        """Run one cell."""
        saving = asyncio.ensure_future(self._keep_saving())
        try:
            return await super().async_execute_cell(cell, cell_index, **how)
        finally:
            saving.cancel()

    execute_cell = run_sync(async_execute_cell)

    def let_go(self) -> None:
        """End what still waits for a kernel that is not its own: it would complain of its death."""
        if self.owns_km:
            return
        loop = ensure_event_loop()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    async def _keep_saving(self) -> None:
        with suppress(StorageError):  # the next save says it
            while True:
                await asyncio.sleep(1)
                self.nb_man.save_what_is_due()


def _replied(cell: Any) -> bool:
    return _REPLIED in cell.metadata[_SENT]
