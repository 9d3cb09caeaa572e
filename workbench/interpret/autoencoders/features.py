"""The features of a sparse autoencoder on texts: which fire where, and how often each does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import InputError
from workbench.forward import forward
from workbench.interpret.autoencoders.runs import TOKENS_AT_ONCE, encode_beyond, provenance_of
from workbench.interpret.reading import over_encoded
from workbench.interpret.text_sums import TextSums
from workbench.tables import Chart, Result
from workbench.tokens import token_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from numpy.typing import NDArray

    from workbench.interpret.autoencoders.autoencoder import SparseAutoencoder
    from workbench.interpret.reading import Batch
    from workbench.model import Model

__all__ = ["feature_frequencies", "features_on_texts"]

COLUMNS = ["text", "position", "token", "rank", "feature", "activation", "place"]


def features_on_texts(
    model: Model, sae: SparseAutoencoder, texts: Iterable[str], *, most: int = 5
) -> Result:
    """The strongest features of each token.

    These are values of the texts that were given, and no estimates.

    Args:
        model: a loaded model.
        sae: what `load_sae` gave.
        texts: a few.
        most: features of a token at most; only those that fire are there.

    Returns:
        `text`, `position`, `token`, `rank`, `feature`, `activation`, and `place` (text, position
        and token in one, for the chart). A token on which none fires has no row.

    Raises:
        InputError: for an autoencoder of another width, and texts that cannot be read.
        ModelError: where the model does not have the site.
    """
    import pandas as pd

    if most < 1:
        raise InputError(f"got most={most}; expected at least 1 feature for each token.")
    sae = sae.ready_for(model)
    encoded = encode_beyond(model, texts, 0)

    def work(batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        strongest = _features(model, sae, batch).topk(min(most, sae.d_sae), dim=-1)
        return strongest.values.cpu().numpy(), strongest.indices.cpu().numpy()

    found: dict[int, tuple[NDArray[np.float32], NDArray[np.int64]]] = {}
    for batch, parts in over_encoded(model, encoded, work, tokens_at_once=TOKENS_AT_ONCE):
        found |= dict(zip(batch.numbers, zip(*parts, strict=True), strict=True))
    rows = [
        {
            "text": text,
            "position": position,
            "token": token,
            "rank": rank,
            "feature": int(feature),
            "activation": float(value),
            "place": f"{text}: {position} {token.strip()}",
        }
        for text, ids in enumerate(encoded)
        for position, token in enumerate(token_texts(model, ids))
        for rank, (value, feature) in enumerate(
            zip(*(part[position] for part in found[text]), strict=True), 1
        )
        if value > 0
    ]
    provenance = provenance_of(model, sae, encoded, 0) | {"method": "features on texts"}
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return Result.of("sae_features", frame, provenance, _token_chart())


def feature_frequencies(
    model: Model, sae: SparseAutoencoder, texts: Iterable[str], *, skip: int = 0
) -> Result:
    """How often each feature fires, and how strongly where it does.

    Args:
        model: a loaded model.
        sae: what `load_sae` gave.
        texts: as many as there are; a feature that never fires on them may do so on others.
        skip: tokens at the beginning of each text that do not count.

    Returns:
        One row per feature, the most frequent first: `feature`, `rank`, the estimate of the share
        of tokens on which it fires, `strength` (its mean where it fires; missing where it never
        does).

    Raises:
        InputError: for an autoencoder of another width, and texts that cannot be read.
        ModelError: where the model does not have the site.
    """
    sae = sae.ready_for(model)
    encoded = encode_beyond(model, texts, skip)
    fires, total = TextSums((sae.d_sae,)), np.zeros((2, sae.d_sae))

    def work(batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        features = _features(model, sae, batch)[:, skip:]
        return (features > 0).sum(dim=1).cpu().numpy(), features.sum(dim=1).cpu().numpy()

    for batch, (fired, sums) in over_encoded(model, encoded, work, tokens_at_once=TOKENS_AT_ONCE):
        fires.add(fired, max(0, batch.tokens.shape[1] - skip))
        total += np.stack([fired.sum(axis=0), sums.sum(axis=0)])
    count, strength = total
    order = np.lexsort((np.arange(sae.d_sae), -count))
    estimates = fires.shares()
    rows = [
        {
            "feature": int(feature),
            "rank": rank,
            **estimates[feature].row(),
            "strength": strength[feature] / count[feature] if count[feature] else np.nan,
        }
        for rank, feature in enumerate(order, 1)
    ]
    provenance = provenance_of(model, sae, encoded, skip) | {"method": "feature frequencies"}
    return Result.of("sae_frequencies", rows, provenance, _frequency_chart())


def _features(model: Model, sae: SparseAutoencoder, batch: Batch) -> torch.Tensor:
    return sae.encode(forward(model, batch.tokens, read=[sae.site]).values[sae.site])


def _token_chart() -> Chart:
    return Chart(
        kind="heatmap",
        options={
            "x": "place",
            "y": "rank",
            "value": "activation",
            "x_text": "token",
            "text": "feature",
            "midpoint": None,
            "title": "The strongest features of each token",
            "y_title": "rank",
            "scale_title": "activation",
            "alt": "The numbers of each token's strongest features, coloured by their activation.",
        },
    )


def _frequency_chart() -> Chart:
    return Chart(
        kind="lines",
        options={
            "x": "rank",
            "y": "estimate",
            "low": "low",
            "high": "high",
            "title": "How often features fire",
            "x_title": "features, the most frequent first",
            "y_title": "share of tokens",
            "alt": "The share of tokens on which each feature fires, with intervals over texts.",
        },
    )
