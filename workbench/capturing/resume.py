"""Going on in a folder where the same capture was begun, and nowhere else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from workbench.capturing.shards import INDEX, Index, read_index, require_intact, shard_name
from workbench.capturing.store import read_tokens
from workbench.capturing.writer import write_index, write_tokens
from workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workbench.capturing.plan import CapturePlan
    from workbench.capturing.shards import ShardRecord

__all__ = ["begun", "finished_shards", "intact"]

_log = logging.getLogger(__name__)

# What must be equal for a capture to go on in a folder, in the words of a refusal.
_IDENTITY = {
    "weights_digest": "weights",
    "tokenizer_digest": "tokenizer",
    "texts_digest": "texts",
    "sites": "sites",
    "dtype": "stored dtype",
    "computed_in": "dtype of the weights",
    "device": "device",
    "attention": "attention kernel",
    "batch_tokens": "batch_tokens",
    "shard_bytes": "shard_bytes",
    "batches_digest": "batches",
}


def finished_shards(folder: Path, plan: CapturePlan) -> tuple[ShardRecord, ...]:
    """The shards of this very capture that a folder has; raises where it has something else."""
    if not folder.exists():
        return ()
    if not folder.is_dir():
        raise InputError(f"{folder}: is a file; expected a folder to write to.")
    if not (folder / INDEX).exists():
        others = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        if others:
            raise InputError(
                f"{folder}: holds {others[0]} and no {INDEX}; expected an empty folder, or one "
                "with the same capture. Choose another."
            )
        return ()
    index = read_index(folder)
    if differing := _differences(index, plan.index):
        raise InputError(
            f"{folder}: holds another capture, which this one would not go on with. "
            f"{'; '.join(differing)}. Choose another folder, or remove that one."
        )
    planned = {shard_name(number): bounds for number, bounds in enumerate(plan.shards)}
    return tuple(
        shard for shard in index.shards if planned.get(shard.file) == (shard.first, shard.stop)
    )


def _differences(there: Index, asked: Index) -> list[str]:
    found = [
        f"{words}: there {_shown(there, name)}, here {_shown(asked, name)}"
        for name, words in _IDENTITY.items()
        if getattr(there, name) != getattr(asked, name)
    ]
    # Batches follow from the rest: they are named only where nothing else explains them.
    return found[:-1] if len(found) > 1 and found[-1].startswith("batches:") else found


def _shown(index: Index, name: str) -> str:
    value = getattr(index, name)
    if name == "sites":
        return ", ".join(site.site for site in index.sites)
    if name == "texts_digest":
        return f"{index.texts:,} with {index.tokens:,} tokens ({value[:12]}…)"
    return f"{value[:12]}…" if name.endswith("digest") and value else str(value)


def intact(folder: Path, finished: Iterable[ShardRecord]) -> list[ShardRecord]:
    """Those that are as they were written; the others are computed again."""
    found = []
    for shard in finished:
        try:
            require_intact(folder / shard.file, shard)
        except InputError as error:
            _log.warning("%s It is computed again.", str(error).partition(" Run the same")[0])
        else:
            found.append(shard)
    return found


def begun(folder: Path, plan: CapturePlan, shards: list[ShardRecord]) -> Index:
    """The index of a folder that is ready for the shards which are left."""
    index = plan.index.model_copy(update={"shards": tuple(shards)})
    write_index(folder, index)
    try:
        read_tokens(folder, index)
    except InputError:
        write_tokens(folder, plan.corpus, plan.batches)
    return index
