"""Capture: the values at some sites for each of many texts, in memory or streamed to disk.

    activations = capture(model, texts, "resid_post.-1", out=Path("activations"))
    activations.of(3, "resid_post.-1")         # [pos, d_model] of the fourth text

What is written can be read years later without the model: `Activations.open(folder)`.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workbench.capturing.captured import Activations, MemoryStore, Position
from workbench.capturing.plan import SHARD_BYTES, CapturePlan, plan_capture
from workbench.capturing.resume import begun, finished_shards, intact
from workbench.capturing.run import Run
from workbench.capturing.shards import locked, shard_name
from workbench.capturing.store import FolderStore
from workbench.capturing.writer import ShardWriter
from workbench.progress import counting, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import torch

    from workbench.model import Model
    from workbench.sites import Site

    Text = str | Sequence[int]

__all__ = ["Activations", "CapturePlan", "Position", "capture", "plan_capture"]

_log = logging.getLogger(__name__)


def capture(  # noqa: PLR0913 - each is a question that a user may answer, and none must be
    model: Model,
    texts: Iterable[Text],
    sites: str | Site | Iterable[str | Site],
    *,
    out: Path | str | None = None,
    dtype: str | torch.dtype | None = None,
    batch_tokens: int | None = None,
    shard_bytes: int = SHARD_BYTES,
    progress: bool | None = None,
) -> Activations:
    """The values at some sites, for each text.

    Texts of equal length run together, without padding. A pass stops after the deepest site, and
    the output head never runs. Where memory runs out the batch is halved, and says so. With `out`
    values are written while the next ones are computed, and memory does not grow with the texts
    but for their tokens (4 bytes each, 24 a text). The same call again goes on where a killed one
    ended: finished shards are checked against their digests and not computed again.

    Args:
        model: a loaded model.
        texts: texts, or the ids of their tokens; any iterable, read once.
        sites: such as `"resid_post.3"`, `Site("q", -1)`, or `"resid_post"` for every layer.
        out: a folder to stream to: a new or empty one, or that of the same capture.
        dtype: to store as: `float32`, `bfloat16` or `float16`; as computed where it is None.
        batch_tokens: tokens that are run at once, at most; 1,024 on a processor, 16,384 elsewhere.
        shard_bytes: size of a shard, which is also what a kill can lose.
        progress: say what will be needed and how far it is, on standard error; where it is None,
            only with `out`.

    Raises:
        InputError: for no text, an empty or too long one, an unknown site or layer, a folder with
            something else in it (and what differs), values that the dtype cannot hold, too little
            memory. Nothing has been computed or written then, but for values too large.
        ModelError: for a site that this model does not have.
        StorageError: for a disk that is too small or becomes full; what is finished stays, and
            the same call goes on.
    """
    plan = plan_capture(
        model,
        texts,
        sites,
        out=out,
        dtype=dtype,
        batch_tokens=batch_tokens,
        shard_bytes=shard_bytes,
    )
    shown = out is not None if progress is None else progress
    _log.info("capture: %s", plan)
    if shown:
        say(f"capture: {plan}")
    if plan.out is None:
        return _in_memory(model, plan, shown=shown)
    return _to_disk(model, plan, plan.out, shown=shown)


def _in_memory(model: Model, plan: CapturePlan, *, shown: bool) -> Activations:
    plan.require_room()
    store = MemoryStore()
    run = Run(model, plan)
    with _following(plan, plan.shards, shown=shown) as advance:
        for batch in range(len(plan.batches)):
            store.keep(batch, run.values(batch))
            advance(batch)
    return Activations(plan.index, plan.corpus, plan.batches, store)


def _to_disk(model: Model, plan: CapturePlan, folder: Path, *, shown: bool) -> Activations:
    finished = finished_shards(folder, plan)
    plan.require_room(finished)
    if finished and shown:
        say(f"capture: checking {len(finished):,} of {len(plan.shards):,} shards that are finished")
    with locked(folder):
        # Read again: another process may have gone on before this one held the lock.
        index = begun(folder, plan, intact(folder, finished_shards(folder, plan)))
        done = {shard.file for shard in index.shards}
        left = {
            number: bounds
            for number, bounds in enumerate(plan.shards)
            if shard_name(number) not in done
        }
        run = Run(model, plan)
        with (
            _following(plan, left.values(), shown=shown) as advance,
            ShardWriter(folder, index, plan.corpus, plan.batches) as writer,
        ):
            for number, bounds in left.items():
                for batch in range(*bounds):
                    writer.put(number, bounds, batch, run.values(batch))
                    advance(batch)
    # What this process has just written or checked is not hashed again.
    store = FolderStore(folder, writer.index, plan.corpus, plan.batches, verify=False)
    return Activations(writer.index, plan.corpus, plan.batches, store)


@contextmanager
def _following(
    plan: CapturePlan, shards: Iterable[tuple[int, int]], *, shown: bool
) -> Iterator[Callable[[int], None]]:
    """Says how far it is; yields what to call after each batch."""
    tokens = [texts * length for texts, length in plan.batches.shapes(plan.corpus.lengths)]
    total = sum(sum(tokens[first:stop]) for first, stop in shards)
    with counting("capture", total, "tokens", shown=shown) as advance:
        yield lambda batch: advance(tokens[batch])
