"""Two checkpoints side by side: how far apart are their predictions, after each layer?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.forward import sites_in
from workbench.interpret.by_layer import lines_by_layer
from workbench.interpret.comparing.alike import provenance_of_both, require_alike, values_of_both
from workbench.interpret.lenses.stream import divergence, log_probabilities
from workbench.interpret.reading import over_encoded
from workbench.interpret.text_sums import TextSums
from workbench.tables import Result
from workbench.tokens import encode_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from numpy.typing import NDArray

    from workbench.interpret.reading import Batch
    from workbench.model import Model

    Floats = NDArray[np.float64]

__all__ = ["compare_predictions"]

DIRECTIONS = ("first to second", "second to first")
# The vocabulary is what takes memory here.
TOKENS_AT_ONCE = 256


def compare_predictions(first: Model, second: Model, texts: Iterable[str]) -> Result:
    """How far apart the next-token distributions are that the two read off after each layer.

    After each layer the residual stream goes through the model's own final norm and output head
    (the logit lens); after the last these are the model's own predictions.

    Returns:
        `direction` (`first to second`: what coding the first's tokens for the second costs),
        `layer`, and the estimate of the Kullback-Leibler divergence in nats, mean over tokens.

    Raises:
        InputError: for models that are not alike (what differs is named), or texts that cannot be
            read.
    """
    require_alike(first, second)
    encoded = encode_all(first, texts)
    sites = sites_in(first, "resid_post")
    sums = {(direction, site): TextSums() for direction in DIRECTIONS for site in sites}

    def work(batch: Batch) -> list[tuple[Floats, Floats]]:
        one, other = values_of_both(first, second, batch.tokens, sites)
        return [_divergences(first, second, one[site], other[site]) for site in sites]

    for _, found in over_encoded(first, encoded, work, tokens_at_once=TOKENS_AT_ONCE):
        for site, values in zip(sites, found, strict=True):
            for direction, distances in zip(DIRECTIONS, values, strict=True):
                sums[direction, site].add_tokens(distances)
    rows = [
        {"direction": direction, "layer": site.layer, **total.means((0, np.inf)).item().row()}
        for (direction, site), total in sums.items()
    ]
    provenance = provenance_of_both(
        first, second, "logit lens on two checkpoints, KL divergence"
    ) | {
        "sites": [str(site) for site in sites],
        "texts": len(encoded),
        "tokens": sum(map(len, encoded)),
    }
    chart = lines_by_layer("direction", "Divergence of the two predictions", "KL divergence, nats")
    return Result.of("checkpoint_predictions", rows, provenance, chart)


def _divergences(
    first: Model, second: Model, one: torch.Tensor, other: torch.Tensor
) -> tuple[Floats, Floats]:
    """KL of the first from the second, and of the second from the first, by token."""
    said = log_probabilities(first, one)
    also = log_probabilities(second, other).to(said.device)
    # Rounding can take what is nearly 0 below it.
    found = divergence(said, also).clamp(min=0), divergence(also, said).clamp(min=0)
    return np.asarray(found[0].cpu(), dtype=float), np.asarray(found[1].cpu(), dtype=float)
