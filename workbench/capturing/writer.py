"""Batches of activations written in the background, while the next ones are computed."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import numpy as np

from workbench.capturing.new_file import Entry, NewFile
from workbench.capturing.shards import (
    INDEX,
    TOKEN_TENSORS,
    TOKENS,
    Index,
    ShardRecord,
    entries_of,
    shard_name,
)
from workbench.provenance import dump_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from workbench.capturing.corpus import Batches, Corpus

__all__ = ["PENDING", "ShardWriter", "write_index", "write_tokens"]

PENDING = 2
"""Batches that wait or are being written while another is computed."""

_CODES = {"int32": "I32", "int64": "I64"}


class ShardWriter:
    """Writes shards batch by batch, in a thread of its own, and the index after each shard.

    Hashing and writing leave Python's lock free, so that they cost the computation next to
    nothing. Leaving the context waits for what is under way; after an error nothing of an
    unfinished shard remains.

    Args:
        folder: that the shards are written to.
        index: of that folder, with the shards that are finished.
        corpus, batches: what is captured.
    """

    def __init__(self, folder: Path, index: Index, corpus: Corpus, batches: Batches) -> None:
        self.index = index
        self._folder, self._corpus, self._batches = folder, corpus, batches
        self._file: NewFile | None = None
        self._pending: deque[Future[None]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shards")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._pending and kind is None:
                self._pending.popleft().result()
        finally:
            self._thread.shutdown(cancel_futures=True)
            if self._file is not None:
                self._file.abandon()

    def put(
        self, number: int, bounds: tuple[int, int], batch: int, values: Mapping[str, torch.Tensor]
    ) -> None:
        """Write the values of a batch; waits while `PENDING` others are not written.

        Args:
            number: of the shard.
            bounds: its batches, from the first to the one after its last.
            batch: one of them; they come in order.
            values: by site, on the processor and contiguous.

        Raises:
            StorageError: where an earlier batch could not be written.
        """
        self._pending.append(self._thread.submit(self._write, number, bounds, batch, values))
        # One that is done is looked at once: what went wrong there is said now.
        while self._pending and (len(self._pending) > PENDING or self._pending[0].done()):
            self._pending.popleft().result()

    def _write(
        self, number: int, bounds: tuple[int, int], batch: int, values: Mapping[str, torch.Tensor]
    ) -> None:
        first, stop = bounds
        if self._file is None:
            assert batch == first, f"shard {number} begins with batch {first}, got {batch}"
            entries = list(entries_of(self.index, self._corpus, self._batches, first, stop))
            self._file = NewFile(self._folder / shard_name(number), entries)
        for site in self.index.sites:
            self._file.add(_bytes(values[site.site]))
        if batch + 1 == stop:
            file, self._file = self._file, None
            digest = file.finish()
            shard = ShardRecord(
                file=file.path.name, bytes=file.bytes, sha256=digest, first=first, stop=stop
            )
            others = [one for one in self.index.shards if one.file != shard.file]
            shards = tuple(sorted([*others, shard], key=lambda one: one.first))
            self.index = self.index.model_copy(update={"shards": shards})
            write_index(self._folder, self.index)


def write_index(folder: Path, index: Index) -> None:
    """Write the index, atomically.

    Raises:
        StorageError: where it cannot be written.
    """
    content = index.model_dump(mode="json", by_alias=True)
    write_atomically(folder / INDEX, dump_json(content).encode())


def write_tokens(folder: Path, corpus: Corpus, batches: Batches) -> None:
    """Write the tokens and the batches, atomically.

    Raises:
        StorageError: where they cannot be written.
    """
    given = (corpus.ids, corpus.offsets, batches.order, batches.starts)
    arrays: dict[str, np.ndarray] = {
        # The file's numbers are little-endian, whatever the machine's are.
        name: np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))
        for (name, dtype), array in zip(TOKEN_TENSORS.items(), given, strict=True)
    }
    entries = [
        Entry(name, _CODES[TOKEN_TENSORS[name]], array.shape, array.nbytes)
        for name, array in arrays.items()
    ]
    # Aligned for those who map it: the widest first.
    entries.sort(key=lambda entry: entry.code, reverse=True)
    file = NewFile(folder / TOKENS, entries)
    try:
        for entry in entries:
            file.add(arrays[entry.name].data.cast("B"))
        file.finish()
    finally:
        file.abandon()


def _bytes(value: torch.Tensor) -> memoryview:
    import torch

    return value.reshape(-1).view(torch.uint8).numpy().data
