"""Activations of many texts, in memory or read lazily from a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import numpy as np

from workbench.capturing.shards import BYTES, read_index
from workbench.capturing.store import FolderStore, read_tokens
from workbench.errors import InputError
from workbench.memory import available_memory, human_bytes
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

    from workbench.capturing.corpus import Batches, Corpus
    from workbench.capturing.shards import Index, SiteRecord

__all__ = ["Activations", "MemoryStore", "Position"]


class Position(NamedTuple):
    """Where a row of `Activations.tensor` comes from: the text, the position in it, the token."""

    text: int
    position: int
    token: int


class Store(Protocol):
    """Where the values are."""

    def read(self, batch: int, site: str) -> torch.Tensor:
        """The values of a batch at a site, `[text, ...]`."""


@dataclass(frozen=True, eq=False, repr=False)
class Activations:
    """The values at some sites for each of many texts.

    What it gives are views: clone a tensor before you change it.

    Attributes:
        index: what was captured, of which model.
        corpus: the texts' tokens.
        batches: how the texts lie in the store.
        store: where the values are.
    """

    index: Index
    corpus: Corpus
    batches: Batches
    store: Store

    @classmethod
    def open(cls, folder: Path | str, *, verify: bool = True) -> Self:
        """What `capture(…, out=folder)` left; no model is needed.

        Sizes and the tokens' digest are checked at once. Each shard is checked against its SHA-256
        when something is first read from it; `verify=False` leaves that out.

        Raises:
            InputError: for a folder that holds no activations, is not complete, or was altered.
        """
        folder = Path(folder)
        index = read_index(folder)
        corpus, batches = read_tokens(folder, index)
        store = FolderStore(folder, index, corpus, batches, verify=verify)
        return cls(index, corpus, batches, store)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites that were captured, in the order of a forward pass."""
        return tuple(Site.parse(site.site) for site in self.index.sites)

    @property
    def tokens(self) -> np.ndarray:
        """The ids of all tokens, one text after the other, `[token]`: the rows of `tensor`."""
        return self.corpus.ids

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each text, `[text]`."""
        return self.corpus.lengths

    @property
    def dtype(self) -> torch.dtype:
        """What the values are stored as."""
        import torch

        found: torch.dtype = getattr(torch, self.index.dtype)
        return found

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What a result that rests on these values states."""
        return {
            "model": self.index.model,
            "weights_digest": self.index.weights_digest,
            "texts_digest": self.index.texts_digest,
            "sites": [site.site for site in self.index.sites],
            "texts": self.index.texts,
            "tokens": self.index.tokens,
            "dtype": self.index.dtype,
            "computed_in": self.index.computed_in,
            "device": self.index.device,
            "attention": self.index.attention,
            "method": "captured by hooks, texts of equal length together, without padding",
        }

    def __len__(self) -> int:
        return len(self.corpus)

    def __repr__(self) -> str:
        sites = ", ".join(site.site for site in self.index.sites[:4])
        more = f" and {len(self.index.sites) - 4} more" if len(self.index.sites) > 4 else ""  # noqa: PLR2004 - as many as are named
        return (
            f"Activations({sites}{more}: {self.index.texts:,} texts, {self.index.tokens:,} tokens, "
            f"{self.index.dtype}, of {self.index.model})"
        )

    def of(self, text: int, site: Site | str) -> torch.Tensor:
        """The value of one text: `[pos, …]`, `[head, query, key]` for the pattern.

        Raises:
            InputError: for a text or a site that was not captured, and a file that was altered.
        """
        found = self._captured(site)
        if not 0 <= text < len(self):
            raise InputError(f"got text {text}; there are texts 0 to {len(self) - 1}.")
        batch, row = self.batches.place(text)
        return self.store.read(batch, found.site)[row]

    def values(self, site: Site | str) -> Iterator[tuple[int, torch.Tensor]]:
        """Each text's number and value, in the order of the texts. One is read at a time.

        Raises:
            InputError: for a site that was not captured, and a file that was altered.
        """
        found = self._captured(site)
        return ((text, self.of(text, found.site)) for text in range(len(self)))

    def blocks(self, site: Site | str) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """The values as they are stored: texts of equal length together, the longest first.

        The quickest way through all of them.

        Yields:
            The numbers of the texts `[text]`, and their values `[text, pos, …]`.

        Raises:
            InputError: for a site that was not captured, and a file that was altered.
        """
        found = self._captured(site)
        return (
            (self.batches.texts(batch), self.store.read(batch, found.site))
            for batch in range(len(self.batches))
        )

    def tensor(self, site: Site | str) -> torch.Tensor:
        """All values of a site in one tensor `[token, …]`, one text after the other.

        Row `i` belongs to `tokens[i]`; `where(i)` says which text and position that is.

        Raises:
            InputError: for a site that was not captured, or has no value for a single token (the
                pattern); for more than memory holds; for a file that was altered.
        """
        import torch

        found = self._captured(site)
        if None in found.shape[1:]:
            raise InputError(
                f"{found.site} has a value for each pair of tokens, so that texts of different "
                "length do not fit into one tensor; take them one by one with values() or of()."
            )
        shape = (len(self.tokens), *found.shape_of(1)[1:])
        needed = int(np.prod(shape)) * BYTES[self.index.dtype]
        if needed > (free := available_memory()):
            raise InputError(
                f"{found.site} of {len(self.tokens):,} tokens takes {human_bytes(needed)}, and "
                f"{human_bytes(free)} of memory are free; go through it with values() or blocks()."
            )
        whole = torch.empty(shape, dtype=self.dtype)
        for numbers, block in self.blocks(found.site):
            rows = torch.from_numpy(self.corpus.rows(numbers).reshape(-1))
            whole[rows] = block.reshape(-1, *shape[1:])
        return whole

    def where(self, row: int) -> Position:
        """The text, position and token that a row of `tensor` belongs to.

        Raises:
            InputError: for a row that is not there.
        """
        if not 0 <= row < len(self.tokens):
            raise InputError(f"got row {row}; there are rows 0 to {len(self.tokens) - 1}.")
        text = int(np.searchsorted(self.corpus.offsets, row, side="right")) - 1
        return Position(text, row - int(self.corpus.offsets[text]), int(self.tokens[row]))

    def verify(self) -> None:
        """Check every shard against its SHA-256 now.

        Raises:
            InputError: for the first file that is missing or was altered.
        """
        if isinstance(self.store, FolderStore):
            self.store.verify()

    def _captured(self, site: Site | str) -> SiteRecord:
        asked = site if isinstance(site, Site) else Site.parse(site)
        name = str(asked.at(self.index.layers))
        for record in self.index.sites:
            if record.site == name:
                return record
        known = ", ".join(record.site for record in self.index.sites)
        raise InputError(f"{name} was not captured; captured: {known}.")


class MemoryStore:
    """Values that are held in memory."""

    def __init__(self) -> None:
        self._values: dict[tuple[int, str], torch.Tensor] = {}

    def keep(self, batch: int, values: Mapping[str, torch.Tensor]) -> None:
        """Hold the values of a batch, by site."""
        self._values |= {(batch, site): value for site, value in values.items()}

    def read(self, batch: int, site: str) -> torch.Tensor:
        """The values of a batch at a site, `[text, ...]`."""
        return self._values[batch, site]
