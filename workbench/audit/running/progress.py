"""How far an audit is: a bar on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Progress"]


class Progress:
    """Says what is being done, how far it is, and in the end where the time went.

    Attributes:
        seconds: step -> how long it took.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(
        self, name: str, total: int | None = None, *, silent: bool = False
    ) -> Iterator[Callable[[], None]]:
        """One step of the work; yields what to call after each of its `total` parts.

        A silent one is only timed.
        """
        start = time.monotonic()
        try:
            if silent:
                yield lambda: None
            elif sys.stderr.isatty():
                with _bar(name, total) as advance:
                    yield advance
            else:
                sys.stderr.write(f"{name} …\n")
                sys.stderr.flush()
                yield lambda: None
        finally:
            self.seconds[name] = time.monotonic() - start

    def summary(self) -> str:
        """Where the time went, a line for each step."""
        width = max(map(len, self.seconds), default=0)
        lines = [f"  {name.ljust(width)} {spent:6.1f} s" for name, spent in self.seconds.items()]
        total = sum(self.seconds.values())
        return "\n".join(["Time:", *lines, f"  {'total'.ljust(width)} {total:6.1f} s"])


@contextmanager
def _bar(name: str, total: int | None) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns: list[Any] = [TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn()]
    with Bars(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(name, total=total)
        yield lambda: bars.advance(task)
        if total is None:
            bars.update(task, total=1, completed=1)
