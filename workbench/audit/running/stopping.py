"""Ctrl+C, SIGTERM and a closed terminal: one wish to stop, however often it is said."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

__all__ = ["Stop"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stop:
    """While inside, a signal to stop is noted, and whoever works looks at `asked`.

    So nothing is left half done, whenever it comes; a second one changes nothing.

    Attributes:
        asked: whether such a signal came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Handlers are the main thread's. A signal that is ignored (nohup) stays so.
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def check(self) -> None:
        """Raise KeyboardInterrupt where such a signal came."""
        if self.asked:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While inside, raise it as soon as such a signal comes: for what only reads."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if self._at_once and not again:
            raise KeyboardInterrupt
