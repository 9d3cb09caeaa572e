"""What goes wrong, said so that the person in front of it can act.

Each message says what came, what was expected and what to do. The command line prints it on
standard error and leaves with the error's exit code.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AuditIncompleteError",
    "InputError",
    "InputErrors",
    "ModelError",
    "OfflineError",
    "StorageError",
    "UnsafeWeightsError",
    "WorkbenchError",
    "did_you_mean",
]


class WorkbenchError(Exception):
    """Anything that the workbench itself refuses or could not do."""

    exit_code = 2


class InputError(WorkbenchError, ValueError):
    """An argument, parameter or name that cannot be used."""


class InputErrors(InputError):  # noqa: N818 - several of them
    """Several things that are wrong at once: of what, and then each, a line for each.

    Attributes:
        lines: the first says of what.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n  ".join(self.lines))


class ModelError(InputError):
    """A model that cannot be read: missing, incomplete, corrupt or of an unknown architecture."""


class UnsafeWeightsError(ModelError):
    """Weights in a format that can run code when read."""


class StorageError(WorkbenchError, OSError):
    """A place that cannot be written, or is full."""


class OfflineError(WorkbenchError):
    """A connection was needed, and this run may not make one."""


class AuditIncompleteError(WorkbenchError):
    """A section of an audit died; its report exists and says so."""

    exit_code = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that offers the closest known name, and all of them where none is close.

    >>> did_you_mean("bais", ["bias", "safety"])
    'Did you mean "bias"?'
    """
    known = sorted(known)
    if not known:
        return "There are none."
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f'Did you mean "{close[0]}"?'
    return "Known: " + ", ".join(known) + "."
