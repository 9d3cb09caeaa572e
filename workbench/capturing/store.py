"""A folder of activations, opened: nothing in it is believed before it was checked."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.capturing.corpus import Batches, Corpus
from workbench.capturing.shards import INDEX, TOKEN_TENSORS, TOKENS, entries_of, require_intact
from workbench.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from workbench.capturing.shards import Index, ShardRecord

__all__ = ["FolderStore", "read_tokens"]

_OPEN_FILES = 64
_HEADER = 4096


class FolderStore:
    """Values in the shards of a folder, mapped into memory when they are read.

    Args:
        folder: that holds them.
        index: its index.
        corpus, batches: its tokens.
        verify: check a shard against its digest before it is first read.

    Raises:
        InputError: for a shard that is missing or has another size; for what is not complete.
    """

    def __init__(
        self, folder: Path, index: Index, corpus: Corpus, batches: Batches, *, verify: bool
    ) -> None:
        self._folder, self._index = folder, index
        self._corpus, self._batches = corpus, batches
        self._shards = sorted(index.shards, key=lambda shard: shard.first)
        self._unchecked = {shard.file for shard in self._shards} if verify else set()
        self._open: OrderedDict[str, Any] = OrderedDict()
        _require_complete(folder, self._shards, len(batches))
        for shard in self._shards:
            require_intact(folder / shard.file, shard, content=False)
        self._firsts = np.array([shard.first for shard in self._shards])

    def read(self, batch: int, site: str) -> torch.Tensor:
        """The values of a batch at a site, `[text, ...]`."""
        shard = self._shards[int(np.searchsorted(self._firsts, batch, side="right")) - 1]
        found: torch.Tensor = self._file(shard).get_tensor(f"{site}/{batch}")
        return found

    def verify(self) -> None:
        """Check every shard against its digest."""
        for shard in self._shards:
            require_intact(self._folder / shard.file, shard)
            self._unchecked.discard(shard.file)

    def _file(self, shard: ShardRecord) -> Any:
        if shard.file not in self._open:
            if shard.file in self._unchecked:
                require_intact(self._folder / shard.file, shard)
                self._unchecked.discard(shard.file)
            self._open[shard.file] = self._opened(shard)
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
        self._open.move_to_end(shard.file)
        return self._open[shard.file]

    def _opened(self, shard: ShardRecord) -> Any:
        """A shard whose tensors are those that the index promises."""
        from safetensors import SafetensorError, safe_open

        path = self._folder / shard.file
        expected = {
            entry.name: (entry.code, entry.shape)
            for entry in entries_of(
                self._index, self._corpus, self._batches, shard.first, shard.stop
            )
        }
        try:
            file: Any = safe_open(path, framework="pt")
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: not a whole safetensors file ({error}).") from error
        found = {
            name: (piece.get_dtype(), tuple(piece.get_shape())) for name, piece in slices.items()
        }
        if found != expected:
            raise InputError(
                f"{path}: does not hold the tensors that {INDEX} promises; it was altered or "
                "belongs to another capture."
            )
        return file


def read_tokens(folder: Path, index: Index) -> tuple[Corpus, Batches]:
    """The tokens and batches of a folder, which are as its index says.

    Raises:
        InputError: for a file that is missing or was altered.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / TOKENS
    largest = 4 * index.tokens + 8 * (3 * index.texts + 2) + _HEADER
    try:
        if path.stat().st_size > largest:
            raise InputError(f"{path}: larger than the tokens that {INDEX} promises.")
        with safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in TOKEN_TENSORS}
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}). Run the same capture again, or get the file again."
        ) from error
    if any(array.ndim != 1 or array.dtype != TOKEN_TENSORS[name] for name, array in arrays.items()):
        raise InputError(f"{path}: holds other tensors than tokens; it was altered.")
    corpus = Corpus(arrays["ids"], arrays["offsets"])
    batches = Batches(arrays["order"], arrays["starts"])
    if (corpus.digest, batches.digest) != (index.texts_digest, index.batches_digest):
        raise InputError(f"{path}: other tokens than {INDEX} says; one of them was altered.")
    if not _consistent(corpus, batches, index):
        raise InputError(f"{path}: tokens, texts and batches contradict each other.")
    return corpus, batches


def _consistent(corpus: Corpus, batches: Batches, index: Index) -> bool:
    """Whether each text is in one batch, with others of its length."""
    lengths, order, starts = corpus.lengths, batches.order, batches.starts
    whole = (
        len(order) == len(corpus.offsets) - 1 == index.texts > 0
        and len(corpus.ids) == index.tokens == corpus.offsets[-1]
        and corpus.offsets[0] == 0
        and bool((lengths > 0).all())
        and np.array_equal(np.sort(order), np.arange(len(order)))
        and len(starts) > 1
        and starts[0] == 0
        and starts[-1] == len(order)
        and bool((np.diff(starts) > 0).all())
    )
    if not whole:
        return False
    firsts = np.repeat(lengths[order[starts[:-1]]], np.diff(starts))
    return np.array_equal(lengths[order], firsts)


def _require_complete(folder: Path, shards: list[ShardRecord], batches: int) -> None:
    ends = [0, *(shard.stop for shard in shards)]
    starts = [*(shard.first for shard in shards), batches]
    if ends != starts:
        raise InputError(
            f"{folder}: not complete: {len(shards)} finished shards do not hold all of "
            f"{batches:,} batches. Run the same capture again to go on."
        )
