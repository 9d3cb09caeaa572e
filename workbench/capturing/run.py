"""Batches of texts through the model, to the deepest site and no further."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.batches import in_batches
from workbench.errors import InputError, ModelError
from workbench.forward import forward

if TYPE_CHECKING:
    import numpy as np
    import torch

    from workbench.capturing.plan import CapturePlan
    from workbench.capturing.shards import SiteRecord
    from workbench.model import Model

__all__ = ["Run"]


class Run:
    """Batch after batch through the model; where memory ran out once, less at once from then on."""

    def __init__(self, model: Model, plan: CapturePlan) -> None:
        self._model, self._plan = model, plan
        self._at_once = plan.index.batch_tokens

    def values(self, batch: int) -> dict[str, torch.Tensor]:
        """The values of a batch by site, `[text, …]`, on the processor and contiguous.

        Raises:
            InputError: for values that the stored dtype cannot hold.
            MemoryError: (torch's own) where a single text does not fit.
        """
        import torch

        ids = self._plan.corpus.stacked(self._plan.batches.texts(batch)).astype("int64")
        rows, length = ids.shape
        size = min(rows, max(1, self._at_once // length))
        parts = []
        for part, values in in_batches(lambda part: self._passed(ids[part]), rows, size):
            if part.stop - part.start < size and part.stop < rows:
                self._at_once = (part.stop - part.start) * length
            parts.append(values)
        if len(parts) == 1:
            return parts[0]
        return {site: torch.cat([part[site] for part in parts]) for site in parts[0]}

    def _passed(self, ids: np.ndarray) -> dict[str, torch.Tensor]:
        import torch

        tokens = torch.from_numpy(ids).to(self._model.device)
        with torch.no_grad():
            values = forward(self._model, tokens, read=self._plan.sites).values
            by_name = {str(site): value for site, value in values.items()}
            return {
                record.site: self._stored(record, by_name[record.site], ids.shape)
                for record in self._plan.index.sites
            }

    def _stored(
        self, record: SiteRecord, value: torch.Tensor, ids: tuple[int, ...]
    ) -> torch.Tensor:
        """A value as it is stored: without a copy where it is so already."""
        import torch

        expected = (ids[0], *record.shape_of(ids[1]))
        if tuple(value.shape) != expected:
            raise ModelError(
                f"{record.site} has the shape {list(value.shape)} for {ids[0]} texts of {ids[1]} "
                f"tokens; expected {list(expected)}. It cannot be captured in this model."
            )
        stored = value.to(getattr(torch, self._plan.index.dtype))
        if stored.dtype != value.dtype and stored.isinf().sum() > value.isinf().sum():
            raise InputError(
                f"{record.site} reaches {float(value.abs().max()):.3g}, which {stored.dtype} "
                "cannot hold; store as 'bfloat16' or 'float32'."
            )
        stored = stored.to("cpu").contiguous()
        # A view would hold all of what it is a part of: queries hold the keys and values, too.
        whole = stored.untyped_storage().nbytes() == stored.nbytes
        return stored if whole else stored.clone()
