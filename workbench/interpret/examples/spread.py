"""How a stream of numbers lies: mean, share above zero and quantiles, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.interpret.text_sums import TextSums
from workbench.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["QUANTILES", "Spread"]

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)
SAMPLE = 100_000


@dataclass
class Spread:
    """Values text by text.

    Every value draws a random number, and those with the smallest are the sample: it does not
    depend on the order of the texts (bottom-k sampling).

    Attributes:
        seed: of the draws.
        size: of the sample. With no more values than that, the quantiles rest on all of them.
    """

    seed: int = 0
    size: int = SAMPLE
    _ends: tuple[float, float] = (np.inf, -np.inf)
    _seen: int = 0
    _mean: TextSums = field(default_factory=TextSums)
    _above: TextSums = field(default_factory=TextSums)
    # Draws, values and the numbers of their texts `[3, value]`, and how many are held.
    _parts: list[Floats] = field(default_factory=list)
    _held: int = 0

    def add(self, texts: Sequence[int], values: NDArray[Any]) -> None:
        """The values of texts `[text, pos]`, by number; those that are not finite are left out."""
        given = np.asarray(values, dtype=float)
        known = np.isfinite(given)
        if not known.any():
            return
        kept = given[known]
        self._seen += kept.size
        self._ends = min(self._ends[0], float(kept.min())), max(self._ends[1], float(kept.max()))
        self._mean.add_tokens(given)
        self._above.add_tokens(np.where(known, given > 0, np.nan))
        draws = [np.random.default_rng([self.seed, text]).random(given.shape[1]) for text in texts]
        text = np.broadcast_to(np.asarray(texts, dtype=float)[:, None], given.shape)
        self._parts.append(np.stack([np.stack(draws)[known], kept, text[known]]))
        self._held += kept.size
        if self._held > 2 * self.size:
            self._sample()

    def rows(self) -> list[dict[str, Any]]:
        """One row for each number: `statistic`, and the columns of an estimate."""
        found = {_words(share): self._quantile(share) for share in QUANTILES}
        found["mean"] = self._mean.means().item()
        found["share above 0"] = self._above.shares().item()
        return [{"statistic": name, **estimate.row()} for name, estimate in found.items()]

    def _sample(self) -> Floats:
        """What is held, thinned to the size of the sample."""
        held = np.concatenate(self._parts, axis=1)
        if held.shape[1] > self.size:
            held = held[:, np.argsort(held[0], kind="stable")[: self.size]]
        self._parts, self._held = [held], held.shape[1]
        return held

    def _quantile(self, share: float) -> Estimate:
        """The interval is that of the share of values up to it, read off the values' own axis.

        (Woodruff 1952, doi 10.1080/01621459.1952.10483443.) The ends are those of these texts, and
        have no interval.
        """
        if share in {0.0, 1.0}:
            return Estimate(self._ends[round(share)], None, None, self._seen, "of these texts")
        _, values, texts = self._sample()
        value = _at(values, share)
        _, text = np.unique(texts, return_inverse=True)
        below = TextSums()
        below.add(np.bincount(text, weights=values <= value), np.bincount(text))
        found: Estimate = below.shares().item()
        if found.value is None or found.low is None or found.high is None:
            return Estimate(value, None, None, self._seen, found.method)
        # Around the share that was asked for: with equal values, more of them can lie below.
        low, high = found.low - found.value + share, found.high - found.value + share
        sampled = "" if values.size == self._seen else f", {values.size:,} values, seed {self.seed}"
        method = f"Woodruff, {found.method}{sampled}"
        return Estimate(value, _at(values, low), _at(values, high), self._seen, method)


def _at(values: Floats, share: float) -> float:
    return float(np.quantile(values, min(1.0, max(0.0, share)), method="inverted_cdf"))


def _words(share: float) -> str:
    return {0.0: "smallest", 0.5: "median", 1.0: "largest"}.get(share, f"{share:.4g} quantile")
