"""Activations on disk: an index, the tokens, and shards that are whole or not there.

The folder:

    index.json                      what was captured of which model; each finished shard's digest
    tokens.safetensors              `ids` `[token]`, `offsets` `[text + 1]`, `order` `[text]` and
                                    `starts` `[batch + 1]` (see `workbench.capturing.corpus`)
    activations-00000.safetensors   for each batch and site one tensor `resid_post.3/17`:
                                    `[text, pos, d_model]` of the equally long texts of batch 17

Every file can be read with the safetensors library alone.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from math import prod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from workbench.capturing.new_file import PART, Entry
from workbench.errors import InputError
from workbench.provenance import Record, sha256, storage_error
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.capturing.corpus import Batches, Corpus

__all__ = [
    "INDEX",
    "TOKENS",
    "TOKEN_TENSORS",
    "Index",
    "ShardRecord",
    "SiteRecord",
    "entries_of",
    "locked",
    "read_index",
    "require_intact",
    "shard_name",
]

INDEX = "index.json"
TOKENS = "tokens.safetensors"

CODES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64"}
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}

TOKEN_TENSORS = {"ids": "int32", "offsets": "int64", "order": "int64", "starts": "int64"}
"""Of the tokens' file, and their dtypes."""

_INDEX_LIMIT = 256_000_000

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 62)]


class SiteRecord(Record):
    """A site and the shape of one text's value there; None stands for the text's length."""

    site: str
    shape: tuple[Annotated[int, Field(ge=1, lt=1 << 32)] | None, ...]

    def shape_of(self, length: int) -> tuple[int, ...]:
        """The shape of the value of a text of so many tokens."""
        return tuple(length if size is None else size for size in self.shape)


class ShardRecord(Record):
    """A finished shard: its file, and the batches `first` to `stop` (without) in it."""

    # Its name is checked against its number: none leads out of the folder.
    file: str
    bytes: Count
    sha256: Digest
    first: Count
    stop: Count


class Index(Record):
    """What a folder of activations holds.

    Attributes:
        model: the model's name; what it is known by is `weights_digest`.
        tokenizer_digest: over the tokenizer's files; None where there are none.
        computed_in: dtype of the weights.
        device, attention: what computed it; kernels differ in their last digits.
        layers: number of the model's.
        dtype: what the values are stored as.
        texts, tokens: how many.
        texts_digest: SHA-256 of the texts' tokens.
        batches_digest: SHA-256 of the order and the batches.
        batch_tokens, shard_bytes: what the batches and shards were cut by.
        shards: those that are finished.
    """

    kind: Literal["activations"] = "activations"
    schema_version: Literal[1] = Field(1, alias="schema")
    model: str
    weights_digest: str
    tokenizer_digest: str | None
    computed_in: str
    device: str
    attention: str
    layers: Annotated[int, Field(ge=1, lt=1 << 32)]
    dtype: Literal["float32", "float16", "bfloat16", "float64"]
    sites: tuple[SiteRecord, ...]
    texts: Count
    tokens: Count
    texts_digest: Digest
    batches_digest: Digest
    batch_tokens: Count
    shard_bytes: Count
    shards: tuple[ShardRecord, ...] = ()


def entries_of(
    index: Index, corpus: Corpus, batches: Batches, first: int, stop: int
) -> Iterator[Entry]:
    """The tensors of the batches `first` to `stop` (without), as they lie in a shard."""
    for batch in range(first, stop):
        texts = batches.texts(batch)
        length = len(corpus.text(texts[0]))
        for site in index.sites:
            shape = (len(texts), *site.shape_of(length))
            size = prod(shape) * BYTES[index.dtype]
            yield Entry(f"{site.site}/{batch}", CODES[index.dtype], shape, size)


def shard_name(number: int) -> str:
    """The file of a shard."""
    return f"activations-{number:05}.safetensors"


def read_index(folder: Path) -> Index:
    """The index of a folder of activations.

    Raises:
        InputError: where there is none, or it was altered.
    """
    path = folder / INDEX
    if not path.is_file():
        raise InputError(
            f"{folder}: no {INDEX}; expected a folder that capture(…, out=folder) wrote."
        )
    if path.stat().st_size > _INDEX_LIMIT:
        raise InputError(f"{path}: too large for an index of activations; it was altered.")
    index = Index.read(path)
    for site in index.sites:
        Site.parse(site.site).at(index.layers)
    names = [shard.file for shard in index.shards]
    if any(not _is_shard(name) for name in names) or len(set(names)) < len(names):
        raise InputError(
            f"{path}: names a file that is no shard of this folder ({names[:3]}). "
            "It was altered; get the folder again from a source that you trust."
        )
    return index


def _is_shard(name: str) -> bool:
    digits = name.removeprefix("activations-").removesuffix(".safetensors")
    return digits.isascii() and digits.isdecimal() and shard_name(int(digits[:12])) == name


def require_intact(path: Path, record: ShardRecord, *, content: bool = True) -> None:
    """Check a shard against its record: its size, and where `content` is set its digest.

    Raises:
        InputError: for a file that is missing or differs.
    """
    again = "Run the same capture again, which computes this shard anew, or get the file again."
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). {again}") from error
    if size != record.bytes:
        raise InputError(f"{path}: has {size:,} bytes; expected {record.bytes:,}. {again}")
    if content and (found := sha256(path)) != record.sha256:
        raise InputError(
            f"{path}: was altered: its SHA-256 is {found[:12]}…; expected "
            f"{record.sha256[:12]}…. {again}"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else writes this folder; what a killed writer left unfinished is gone.

    Raises:
        InputError: where another process is writing it.
        StorageError: where it cannot be made.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _lock(folder, held)
            for left in folder.glob(f".*{PART}"):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(folder, error) from error
        yield


def _lock(folder: Path, held: ExitStack) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows: there, two writers are not told apart
        return
    descriptor = os.open(folder, os.O_RDONLY)
    held.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{folder}: another process is writing activations here. "
            "Wait for it, or choose another folder."
        ) from None
    except OSError:  # a file system without locks
        return
