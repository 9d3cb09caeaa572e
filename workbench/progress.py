"""How far a long computation is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["counting", "say"]

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def counting(
    name: str, total: int, unit: str, *, shown: bool = True
) -> Iterator[Callable[[int], None]]:
    """Yields what to call with the number of units that were done; says it on standard error.

    Args:
        name: of the work.
        total: units in all.
        unit: what is counted, in the plural.
        shown: False keeps silent.
    """
    if not shown:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar(name, total) as advance:
            yield advance
    else:
        with _lines(name, total, unit) as advance:
            yield advance


@contextmanager
def _lines(name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    started = said = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, said
        done += count
        now = time.monotonic()
        if now - said < SECONDS_BETWEEN_LINES or done >= total:
            return
        said = now
        left = (now - started) * (total - done) / max(1, done)
        say(f"{name}: {done:,} of {total:,} {unit}, about {left:,.0f} s to go")

    yield advance
    say(f"{name}: {done:,} {unit} in {time.monotonic() - started:,.1f} s")


def say(line: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(name, total=total)
        yield lambda count: bars.advance(task, count)
