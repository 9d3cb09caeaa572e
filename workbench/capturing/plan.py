"""What a capture will do, and the memory and disk that it needs, before it does anything."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.capturing.corpus import Batches, Corpus
from workbench.capturing.shards import BYTES, Index
from workbench.capturing.trial import dtype_name, resolved_sites, tried
from workbench.capturing.writer import PENDING
from workbench.errors import InputError, StorageError
from workbench.memory import available_memory, human_bytes
from workbench.provenance import weights_digest
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import torch

    from workbench.capturing.shards import ShardRecord, SiteRecord
    from workbench.model import Model

    Text = str | Sequence[int]

__all__ = ["SHARD_BYTES", "CapturePlan", "plan_capture"]

SHARD_BYTES = 64 << 20
"""Size of a shard: what is computed again after a kill, at most."""

TOKENS_AT_ONCE = {"cpu": 1024}  # more is no faster, and takes more memory
TOKENS_AT_ONCE_ELSEWHERE = 16384
BATCH_BYTES = 128 << 20
"""Values of a batch, at most; a single text may have more."""

_HEADER_OF_A_TENSOR = 100
_TOKENIZER = re.compile(r"tokeni[sz]er|vocab|merges|spiece|special_tokens|added_tokens")


@dataclass(frozen=True, eq=False, repr=False)
class CapturePlan:
    """A capture that can be run: what of, in which batches and shards, and what it takes.

    Attributes:
        corpus: the texts' tokens.
        batches: texts of equal length together.
        shards: the batches of each shard, from the first to the one after its last.
        index: what will be captured; no shard is finished.
        out: the folder; None where the values stay in memory.
        stored_bytes: of the values, and of the files around them.
        memory_bytes: that the capture takes at its peak, beside the model: an estimate.
    """

    corpus: Corpus
    batches: Batches
    shards: tuple[tuple[int, int], ...]
    index: Index
    out: Path | None
    stored_bytes: int
    memory_bytes: int

    @property
    def sites(self) -> tuple[Site, ...]:
        """What is read, in the order of a forward pass."""
        return tuple(Site.parse(site.site) for site in self.index.sites)

    def __str__(self) -> str:
        index = self.index
        where = "kept in memory"
        if self.out is not None:
            free = human_bytes(_free_disk(self.out))
            where = f"in {_many(len(self.shards), 'shard')} on disk ({free} free)"
        what = ", ".join(
            _many(count, word)
            for count, word in (
                (index.texts, "text"),
                (index.tokens, "token"),
                (len(index.sites), "site"),
            )
        )
        return (
            f"{what}, {_many(len(self.batches), 'batch', 'batches')}: "
            f"{human_bytes(self.stored_bytes)} as {index.dtype} {where}; at most about "
            f"{human_bytes(self.memory_bytes)} of memory beside the model "
            f"({human_bytes(available_memory())} free)"
        )

    def require_room(self, finished: Iterable[ShardRecord] = ()) -> None:
        """Check the memory and the disk.

        Args:
            finished: shards that are on the disk already.

        Raises:
            InputError: where memory does not hold it.
            StorageError: where the disk does not.
        """
        if self.memory_bytes > (free := available_memory()):
            smaller = "give out= to stream to disk, " if self.out is None else ""
            raise InputError(
                f"The capture takes about {human_bytes(self.memory_bytes)} of memory, and "
                f"{human_bytes(free)} are free: {smaller}lower batch_tokens, "
                "or capture fewer sites."
            )
        if self.out is None:
            return
        needed = self.stored_bytes - sum(shard.bytes for shard in finished)
        if needed > (left := _free_disk(self.out)):
            raise StorageError(
                f"{self.out}: the capture takes {human_bytes(needed)} of disk, and "
                f"{human_bytes(left)} are free: choose another folder, fewer sites or texts, or "
                "dtype='bfloat16'."
            )


def plan_capture(  # noqa: PLR0913 - the same questions as `capture`
    model: Model,
    texts: Iterable[Text],
    sites: str | Site | Iterable[str | Site],
    *,
    out: Path | str | None = None,
    dtype: str | torch.dtype | None = None,
    batch_tokens: int | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> CapturePlan:
    """What `capture` with the same arguments would do. Only two tokens are run through the model.

    Raises:
        InputError, ModelError: as `capture`.
    """
    usual = TOKENS_AT_ONCE.get(model.device.type, TOKENS_AT_ONCE_ELSEWHERE)
    at_once = usual if batch_tokens is None else batch_tokens
    for name, value in (("batch_tokens", at_once), ("shard_bytes", shard_bytes)):
        if value < 1:
            raise InputError(f"got {name}={value}; expected at least 1.")
    asked = dtype_name(dtype)
    wanted = resolved_sites(model, sites)
    corpus = Corpus.of(model, texts)
    shapes, computed = tried(model, wanted, corpus.text(0))
    values = _Values(shapes, asked or computed)
    batches = Batches.cut(corpus.lengths, lambda length: values.rows(length, at_once))
    run = batches.shapes(corpus.lengths)
    sizes = [count * values.of_text(length) for count, length in run]
    passing = max(_passing_bytes(model, count, length) for count, length in run)
    around = corpus.ids.nbytes + 24 * len(corpus) + len(run) * len(shapes) * _HEADER_OF_A_TENSOR
    return CapturePlan(
        corpus=corpus,
        batches=batches,
        shards=tuple(_shards(sizes, shard_bytes)),
        index=_index(model, corpus, batches, values, cut_by=(at_once, shard_bytes)),
        out=None if out is None else Path(out),
        stored_bytes=sum(sizes) + (0 if out is None else around),
        memory_bytes=passing + (sum(sizes) if out is None else (PENDING + 1) * max(sizes)),
    )


@dataclass(frozen=True)
class _Values:
    """The values of a text, as they are stored."""

    sites: tuple[SiteRecord, ...]
    dtype: str

    def of_text(self, length: int) -> int:
        """Bytes for a text of so many tokens."""
        return sum(prod(site.shape_of(length)) for site in self.sites) * BYTES[self.dtype]

    def rows(self, length: int, tokens: int) -> int:
        """How many such texts are run at once."""
        return max(1, min(tokens // length, BATCH_BYTES // self.of_text(length)))


def _shards(sizes: Sequence[int], shard_bytes: int) -> Iterator[tuple[int, int]]:
    """Whole batches, until a shard is full."""
    first = held = 0
    for batch, size in enumerate(sizes):
        held += size
        if held >= shard_bytes or batch + 1 == len(sizes):
            yield first, batch + 1
            first, held = batch + 1, 0


def _passing_bytes(model: Model, texts: int, length: int) -> int:
    """What a pass over a batch takes on the processor beside its weights: an estimate.

    Of the widest moment: a few copies of the stream, of the neurons, of the pattern in float32.
    """
    if model.device.type != "cpu":
        return 0
    config = model.hf.config.get_text_config()
    width = int(config.hidden_size)
    neurons = int(getattr(config, "intermediate_size", None) or 4 * width)
    per_token = (6 * width + 3 * neurons) * BYTES[model.provenance.dtype]
    return texts * length * (per_token + 3 * 4 * model.anatomy.heads * length)


def _index(
    model: Model, corpus: Corpus, batches: Batches, values: _Values, *, cut_by: tuple[int, int]
) -> Index:
    return Index(
        schema=1,
        model=model.name,
        weights_digest=model.provenance.weights_digest,
        tokenizer_digest=_tokenizer_digest(model),
        computed_in=model.provenance.dtype,
        device=model.device.type,
        attention=model.provenance.attention,
        layers=model.anatomy.n_layers,
        dtype=values.dtype,
        sites=values.sites,
        texts=len(corpus),
        tokens=len(corpus.ids),
        texts_digest=corpus.digest,
        batches_digest=batches.digest,
        batch_tokens=cut_by[0],
        shard_bytes=cut_by[1],
    )


def _tokenizer_digest(model: Model) -> str | None:
    files = [file for file in model.provenance.files if _TOKENIZER.match(file.name)]
    return weights_digest(files) if files else None


def _many(count: int, word: str, words: str | None = None) -> str:
    return f"{count:,} {word if count == 1 else words or word + 's'}"


def _free_disk(folder: Path) -> int:
    """The free bytes where a folder is, or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
