"""The logit lens against a tuned lens: how far each is from what the model says in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.forward import forward
from workbench.interpret.lenses.stream import (
    LOGITS_AT_ONCE,
    divergence,
    log_probabilities,
    stream_sites,
)
from workbench.interpret.reading import TOKENS_AT_ONCE, over_encoded
from workbench.stats import bootstrap_mean, bootstrap_mean_difference
from workbench.tables import Chart, Result
from workbench.tokens import encode_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from numpy.typing import NDArray

    from workbench.interpret.lenses.translators import TunedLens
    from workbench.interpret.reading import Batch
    from workbench.model import Model

    Ids = list[list[int]]

__all__ = ["LensComparison", "compare_lenses", "compared"]

LENSES = ("logit lens", "tuned lens")
MEASURES = {
    "kl": "KL divergence from the model's own answer",
    "cross_entropy": "cross-entropy of the text's next token",
}


@dataclass(frozen=True)
class LensComparison:
    """The logit lens and a tuned lens on texts that it was not fitted on.

    Both tables have one row per `layer` (0 is the embedding) and `lens`: the row of the estimate,
    the mean over tokens in nats, and beside the tuned lens its `gain` over the logit lens (above 0
    where it is better) with `gain_low` and `gain_high`. Intervals draw whole texts.

    Attributes:
        kl: KL(the model's own answer || the lens).
        cross_entropy: of the token that comes next in the text.
    """

    kl: Result
    cross_entropy: Result


def compare_lenses(
    model: Model, lens: TunedLens, texts: Iterable[str], *, seed: int = 0
) -> LensComparison:
    """The logit lens and a tuned lens on any texts; those it was fitted on would flatter it.

    Raises:
        InputError: for texts that cannot be read.
        ModelError: for a lens of another model.
    """
    lens.require(model)
    return compared(model, lens, encode_all(model, texts), seed, "texts as given")


def compared(model: Model, lens: TunedLens, encoded: Ids, seed: int, texts: str) -> LensComparison:
    """The same for texts that are ids already; `texts` says what they are, for the record."""
    losses, labels = _losses(model, lens, encoded)
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "tuned lens against logit lens",
        "sites": list(map(str, stream_sites(model))),
        "texts": f"{len(encoded)} {texts}",
        "seed": seed,
        "lens": lens.record.model_dump(mode="json", by_alias=True),
    }
    results = {
        name: Result.of(
            f"tuned_lens_{name}",
            _rows(losses[number], labels, seed),
            provenance,
            _chart(words),
        )
        for number, (name, words) in enumerate(MEASURES.items())
    }
    return LensComparison(**results)


def _losses(
    model: Model, lens: TunedLens, encoded: Ids
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each token `[measure, lens, layer, token]`, and the text that it is of `[token]`."""
    sites = stream_sites(model)

    def work(batch: Batch) -> NDArray[np.float64]:
        values = forward(model, batch.tokens, read=sites).values
        final = log_probabilities(model, values[sites[-1]])
        return np.stack(
            [
                np.stack(
                    [
                        _of_layer(model, one(layer, values[site]), final, batch.tokens)
                        for layer, site in enumerate(sites)
                    ]
                )
                for one in (_as_it_is, lens)
            ]
        )

    limit = max(1, LOGITS_AT_ONCE // model.provenance.vocabulary)
    parts, labels = [], []
    for batch, found in over_encoded(
        model, encoded, work, tokens_at_once=min(TOKENS_AT_ONCE, limit)
    ):
        parts.append(np.moveaxis(found, 2, 0))
        labels.append(np.repeat(batch.numbers, batch.tokens.shape[1]))
    return np.concatenate(parts, axis=-1), np.concatenate(labels)


def _as_it_is(_: int, residual: torch.Tensor) -> torch.Tensor:
    return residual


def _of_layer(
    model: Model, residual: torch.Tensor, final: torch.Tensor, tokens: torch.Tensor
) -> NDArray[np.float64]:
    """The measures `[measure, token]`; the last token of a text has no next one, which is NaN."""
    import torch

    read = log_probabilities(model, residual)
    entropy = torch.full_like(tokens, torch.nan, dtype=torch.float32)
    entropy[:, :-1] = -read[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0]
    both = torch.stack([divergence(final, read), entropy])
    return both.flatten(1).cpu().double().numpy()


def _rows(losses: NDArray[np.float64], texts: NDArray[np.int64], seed: int) -> list[dict[str, Any]]:
    """The rows of one measure's losses `[lens, layer, token]`."""
    rows = []
    for lens, own in zip(LENSES, losses, strict=True):
        for layer, (logit, values) in enumerate(zip(losses[0], own, strict=True)):
            row = {"lens": lens, "layer": layer}
            row |= bootstrap_mean(values, clusters=texts, seed=seed).row()
            gain = None
            if lens != LENSES[0]:
                gain = bootstrap_mean_difference(logit, values, clusters=texts, seed=seed)
            row |= {
                "gain": None if gain is None else gain.value,
                "gain_low": None if gain is None else gain.low,
                "gain_high": None if gain is None else gain.high,
            }
            rows.append(row)
    return rows


def _chart(words: str) -> Chart:
    return Chart(
        kind="lines",
        options={
            "x": "layer",
            "y": "estimate",
            "series": "lens",
            "low": "low",
            "high": "high",
            "title": f"Logit lens and tuned lens: {words}",
            "x_title": "layers run (0: the embedding)",
            "y_title": "nats per token",
            "alt": f"The {words}, by layer, of the logit lens and of the tuned lens, with "
            "intervals.",
        },
    )
