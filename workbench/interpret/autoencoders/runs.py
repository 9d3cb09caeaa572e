"""What the methods on sparse autoencoders have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.tables import Chart
from workbench.tokens import encode_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workbench.interpret.autoencoders.autoencoder import SparseAutoencoder
    from workbench.model import Model

__all__ = ["TOKENS_AT_ONCE", "encode_beyond", "measures_chart", "provenance_of"]

# All features, or the logits of the whole vocabulary, are what takes memory here.
TOKENS_AT_ONCE = 512


def encode_beyond(model: Model, texts: Iterable[str], least: int) -> list[list[int]]:
    """The ids of each text.

    Raises:
        InputError: where none has more than `least` tokens, and what `encode_all` refuses.
    """
    encoded = encode_all(model, texts)
    if max(map(len, encoded)) <= least:
        raise InputError(
            f"got texts of {max(map(len, encoded))} tokens at most; expected one with more than "
            f"{least}, so that something is left to measure."
        )
    return encoded


def provenance_of(
    model: Model, sae: SparseAutoencoder, encoded: Sequence[Sequence[int]], skip: int
) -> dict[str, Any]:
    """What a measurement rests on."""
    return {
        "weights_digest": model.provenance.weights_digest,
        "sites": [str(sae.site)],
        "texts": len(encoded),
        "tokens": sum(map(len, encoded)),
        "skip": skip,
        **sae.provenance,
    }


def measures_chart(title: str, unit: str) -> Chart:
    """Measures side by side, with intervals."""
    return Chart(
        kind="intervals",
        options={
            "label": "measure",
            "value": "estimate",
            "low": "low",
            "high": "high",
            "title": title,
            "x_title": unit,
            "alt": f"{title} of the sparse autoencoder: {unit}, with intervals over texts.",
        },
    )
