"""Work in batches that halve where memory runs out, say so, and go on."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["in_batches"]

_log = logging.getLogger(__name__)

Part = TypeVar("Part")


def in_batches(
    work: Callable[[slice], Part], count: int, size: int
) -> Iterator[tuple[slice, Part]]:
    """Give `work` the items 0 to `count`, at most `size` at once, and yield what it gives.

    Where memory runs out the batch is halved, with a warning in the log, and the same items are
    tried again; the smaller batch is kept.

    Args:
        work: does the items of a slice.
        count: number of items.
        size: of a batch, to begin with.

    Raises:
        MemoryError: (torch's own) where a single item does not fit.
    """
    start = 0
    while start < count:
        part = slice(start, min(count, start + size))
        try:
            done = work(part)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error) or part.stop - part.start == 1:
                raise
            size = max(1, (part.stop - part.start) // 2)
            _log.warning("Memory ran out at %d at once; going on with %d.", size * 2, size)
        else:
            yield part, done
            start = part.stop
            continue
        # Outside the handler: the error holds the frames, and these the tensors.
        _free()


def _out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # The allocators of the CPU and of MPS raise a plain RuntimeError.
    text = str(error)
    return "not enough memory" in text or "out of memory" in text


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
