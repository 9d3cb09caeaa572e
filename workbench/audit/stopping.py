"""Ctrl+C, SIGTERM and a closed terminal: one wish to stop, however often it is said."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

__all__ = ["Stop"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stop:
    """While inside, a signal to stop is noted; a second one changes nothing.

    At first it also raises KeyboardInterrupt: there is nothing yet that could be left half done.
    After `gently` it is only noted, and whoever works looks at `asked`.

    Attributes:
        asked: whether such a signal came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._gentle = False
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

    def gently(self) -> None:
        """From here on a signal is only noted."""
        self._gentle = True

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if not again and not self._gentle:
            raise KeyboardInterrupt
