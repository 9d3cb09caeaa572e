"""How much of a site a sparse autoencoder holds on given texts, and with how many features."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.forward import forward
from workbench.interpret.autoencoders.runs import (
    TOKENS_AT_ONCE,
    encode_beyond,
    measures_chart,
    provenance_of,
)
from workbench.interpret.jackknife import jackknife
from workbench.interpret.reading import over_encoded
from workbench.interpret.text_sums import TextSums
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from numpy.typing import NDArray

    from workbench.interpret.autoencoders.autoencoder import SparseAutoencoder
    from workbench.interpret.reading import Batch
    from workbench.model import Model
    from workbench.stats import Estimate

    Floats = NDArray[np.float64]

__all__ = ["reconstruction"]

TEXT_GROUPS = 200


def reconstruction(
    model: Model, sae: SparseAutoencoder, texts: Iterable[str], *, skip: int = 0
) -> Result:
    """How much of a site's value the features hold, and how many they are.

    Args:
        model: a loaded model.
        sae: what `load_sae` gave.
        texts: read whole.
        skip: tokens at the beginning of each text that do not count. Autoencoders are often trained
            without the first, whose value is an outlier.

    Returns:
        One row per `measure`, with its estimate: `explained variance` (1 less the squared error by
        the squared distance from the mean value of these texts), `cosine` (of value and
        reconstruction, mean over tokens), `active features` (a token's, as a share of all) and
        `dead features` (the share of features that no token activates; with more texts there are
        fewer). `count`, `count_low`, `count_high` are the last two as numbers of features: the
        first of them is L0.

    Raises:
        InputError: for an autoencoder of another width, and texts that cannot be read.
        ModelError: where the model does not have the site.
    """
    sae = sae.ready_for(model)
    encoded = encode_beyond(model, texts, skip)
    sums = _Sums(np.zeros((min(len(encoded), TEXT_GROUPS), sae.d_sae), dtype=bool))

    def work(batch: Batch) -> _Part:
        value = forward(model, batch.tokens, read=[sae.site]).values[sae.site]
        return _part(sae, value[:, skip:])

    for batch, part in over_encoded(model, encoded, work, tokens_at_once=TOKENS_AT_ONCE):
        sums.add(batch, part, max(0, batch.tokens.shape[1] - skip))
    rows = [
        {"measure": name, **estimate.row(), **_counts(name, estimate, sae.d_sae)}
        for name, estimate in sums.estimates().items()
    ]
    provenance = provenance_of(model, sae, encoded, skip) | {"method": "reconstruction"}
    return Result.of(
        "sae_reconstruction", rows, provenance, measures_chart("Reconstruction", "share")
    )


@dataclass(frozen=True)
class _Part:
    """What is kept of a batch; by text, over its tokens."""

    error: Floats
    vectors: Floats
    squares: Floats
    cosine: Floats
    active: Floats
    fired: NDArray[np.bool_]


def _part(sae: SparseAutoencoder, value: torch.Tensor) -> _Part:
    features = sae.encode(value)
    given = value.flatten(2).cpu().double()
    made = sae.reconstruct(value).flatten(2).cpu().double()
    lengths = given.norm(dim=-1) * made.norm(dim=-1)
    cosine = (given * made).sum(dim=-1) / lengths
    active = features > 0
    return _Part(
        error=_numpy((given - made).square().sum(dim=(1, 2))),
        vectors=_numpy(given.sum(dim=1)),
        squares=_numpy(given.square().sum(dim=(1, 2))),
        cosine=_numpy(cosine),
        active=_numpy(active.float().mean(dim=-1)),
        fired=active.any(dim=1).cpu().numpy(),
    )


@dataclass
class _Sums:
    """What all texts add up to.

    Attributes:
        parts: sums over the tokens of each text.
        lengths: tokens of each text.
        fired: whether a feature fired in a group of texts `[group, d_sae]`.
        cosine, active: by token.
    """

    fired: NDArray[np.bool_]
    parts: list[_Part] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    cosine: TextSums = field(default_factory=TextSums)
    active: TextSums = field(default_factory=TextSums)

    def add(self, batch: Batch, part: _Part, length: int) -> None:
        """A batch, of which so many tokens of each text count."""
        for number, fired in zip(batch.numbers, part.fired, strict=True):
            self.fired[number % len(self.fired)] |= fired
        self.lengths += [length] * len(batch.numbers)
        self.cosine.add_tokens(part.cosine)
        self.active.add_tokens(part.active)
        self.parts.append(replace(part, fired=part.fired[:0]))

    def estimates(self) -> dict[str, Estimate]:
        """By measure."""
        texts = len(self.lengths)
        error, vectors, squares = (
            np.concatenate([getattr(part, name) for part in self.parts])
            for name in ("error", "vectors", "squares")
        )
        lengths = np.array(self.lengths, dtype=float)

        def explained(weights: Floats) -> Floats:
            count = weights.T @ lengths
            with np.errstate(invalid="ignore", divide="ignore"):
                means = (weights.T @ vectors) / count[:, None]
                whole = weights.T @ squares - count * (means**2).sum(axis=1)
                return np.where(whole > 0, 1 - (weights.T @ error) / whole, np.nan)

        def dead(weights: Floats) -> Floats:
            return np.asarray((weights.T @ self.fired == 0).mean(axis=1))

        found = jackknife(dead, len(self.fired), bounds=(0, 1))
        return {
            "explained variance": jackknife(explained, texts, bounds=(-np.inf, 1)),
            "cosine": self.cosine.means((-1, 1)).item(),
            "active features": self.active.means((0, 1)).item(),
            "dead features": replace(found, n=texts),
        }


def _counts(name: str, estimate: Estimate, features: int) -> dict[str, float]:
    """A share of features as a number of them."""
    row = estimate.row()
    factor = features if name.endswith("features") else np.nan
    columns = {"count": "estimate", "count_low": "low", "count_high": "high"}
    return {ours: row[theirs] * factor for ours, theirs in columns.items()}


def _numpy(values: torch.Tensor) -> Floats:
    return np.asarray(values.cpu(), dtype=float)
