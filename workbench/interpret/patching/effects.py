"""What patches gain, cell by cell and pair by pair, and the table that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.sites import VOCABULARY
from workbench.stats import bootstrap_ratio
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

__all__ = ["PatchingEffects"]


@dataclass(frozen=True)
class PatchingEffects:
    """The gain of each patch in each pair.

    Attributes:
        site: what is patched.
        axes: names of the cells' axes: `layer`, then `head`, `position`, or both.
        gained: what the patch adds to the pair's result, in nats `[*axes, pair]`.
        effect: clean minus corrupted result of each pair, in nats `[pair]`.
        tokens: one text for each position, for the axis `position`.
        provenance: how they were made.
    """

    site: str
    axes: tuple[str, ...]
    gained: np.ndarray
    effect: np.ndarray
    tokens: tuple[str, ...]
    provenance: Mapping[str, Any]

    def shares(self, pairs: np.ndarray | None = None) -> np.ndarray:
        """The share of the effect that each cell restores, over all pairs or some of them."""
        import numpy as np

        some = np.arange(len(self.effect)) if pairs is None else pairs
        shares: np.ndarray = self.gained[..., some].sum(axis=-1) / self.effect[some].sum()
        return shares

    def result(self, name: str) -> Result:
        """One row a cell: `site`, the axes, `token` by position, and the row of the estimate.

        The estimate is the share of the effect that the patch restores, over all pairs together:
        0 where nothing changes, 1 where the clean result is back. Pairs whose two prompts give the
        same result are left out.
        """
        import numpy as np

        cells = self.gained.shape[:-1]
        some = np.abs(self.effect) > np.finfo(np.float32).eps
        effect = self.effect[some]
        rows = []
        for cell in np.ndindex(cells):
            place = dict(zip(self.axes, cell, strict=True))
            if "position" in place:
                place["token"] = self.tokens[place["position"]]
            estimate = bootstrap_ratio(self.gained[cell][some], effect)
            rows.append({"site": self.site, **place, **estimate.row()})
        return Result.of(name, rows, self.provenance, self._chart())

    def _chart(self) -> Chart | None:
        # Three axes are a table to be filtered, not one picture.
        if len(self.axes) != 2:  # noqa: PLR2004 - a picture has two
            return None
        words, across = VOCABULARY[self.site].words, self.axes[1]
        return Chart(
            kind="heatmap",
            options={
                "x": across,
                "y": "layer",
                "value": "estimate",
                "x_text": "token" if across == "position" else None,
                "midpoint": 0,
                "title": f"Patching {words}",
                "x_title": across,
                "y_title": "layer",
                "scale_title": "share restored",
                "alt": f"The share of the effect that patching {words} restores, by layer and "
                f"{across}.",
            },
        )
