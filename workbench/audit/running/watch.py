"""Ends what a kernel does where it takes too long or too much, or where it is to stop."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import psutil

from workbench.memory import human_bytes

if TYPE_CHECKING:
    from types import TracebackType

    from workbench.audit.definitions.definition import Limits
    from workbench.audit.running.stopping import Stop
    from workbench.audit.running.warm import WarmKernel

__all__ = ["Ending", "Watch"]

GRACE = 3.0
_PAUSE = 0.1


@dataclass(frozen=True)
class Ending:
    """Why a kernel was ended from outside: a state and a sentence."""

    state: Literal["timed out", "killed", "interrupted"]
    reason: str


class Watch:
    """Watches a kernel from a thread while inside.

    A time-out and a wish to stop interrupt the cell, and kill the kernel where that does not help;
    too much memory kills it at once.

    Args:
        kernel: to watch.
        limits: `section_seconds` from the entry on, and `memory_bytes` of all its processes.
        stop: the wish to stop.
        grace: seconds that an interrupted cell has for its traceback.

    Attributes:
        ending: why it was ended; None where it was not.
    """

    def __init__(
        self, kernel: WarmKernel, limits: Limits, stop: Stop, *, grace: float = GRACE
    ) -> None:
        self.ending: Ending | None = None
        self._kernel = kernel
        self._limits = limits
        self._stop = stop
        self._grace = grace
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_PAUSE):
            self.ending = self._ending()
            if self.ending is not None:
                break
        if self.ending is not None:
            if self._grace and self.ending.state != "killed":
                self._kernel.signal(signal.SIGINT)
                if self._over.wait(self._grace):
                    return
            self._kernel.signal(signal.SIGKILL)

    def _ending(self) -> Ending | None:
        if self._stop.asked:
            return Ending("interrupted", "It was stopped by hand.")
        seconds = self._limits.section_seconds
        if seconds is not None and time.monotonic() - self._start > seconds:
            return Ending("timed out", f"It took longer than {seconds:g} s (--section-timeout).")
        allowed = self._limits.memory_bytes
        if allowed is None:
            return None
        used = _resident(self._kernel.pid)
        if used <= allowed:
            return None
        return Ending(
            "killed",
            f"It took {human_bytes(used)} of memory; the limit of this audit is "
            f"{human_bytes(allowed)} (--memory-limit).",
        )


def _resident(pid: int | None) -> int:
    """Bytes of a process and all that it has started, in memory."""
    if pid is None:
        return 0
    total = 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.Error:  # ended meanwhile
        pass
    return total
