"""A run that an audit is writing is held: by a lock on its folder that ends with the process."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workbench.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such locks: there a run is never held
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["held", "hold"]

_TRIES = 5
_PAUSE = 0.05


@contextmanager
def hold(run: Path) -> Iterator[None]:
    """Hold a run folder while inside; a kill of this process lets it go.

    Raises:
        InputError: where another process holds it.
    """
    descriptor = _locked(run, exclusive=True)
    if descriptor is None:
        raise InputError(f"{run}: an audit is writing this run. Wait until it ends, or stop it.")
    try:
        yield
    finally:
        os.close(descriptor)


def held(run: Path) -> bool:
    """Whether a living audit writes this run."""
    descriptor = _locked(run, exclusive=False)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _locked(run: Path, *, exclusive: bool) -> int | None:
    """A descriptor that holds the lock; None where another process has it.

    A few tries: somebody who only asks has it for a moment, too.
    """
    # It is not inherited: the lock is this process's alone, not its kernel's.
    descriptor = os.open(run, os.O_RDONLY)
    if fcntl is None:
        return descriptor
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError:  # a file system without locks
            return descriptor
        else:
            return descriptor
    os.close(descriptor)
    return None
