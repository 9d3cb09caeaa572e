"""Attention patterns: how much each token attends to each token before it, in one head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import InputError
from workbench.forward import forward
from workbench.sites import Site
from workbench.tables import Chart, Result
from workbench.tokens import encode, token_texts

if TYPE_CHECKING:
    from workbench.model import Model

__all__ = ["attention_pattern"]


def attention_pattern(model: Model, text: str, layer: int, head: int) -> Result:
    """How much each token of a text attends to each token before it, and to itself.

    The weights of a query sum to 1, except where a family lets attention go to nothing (the sinks
    of gpt-oss): `smallest_row_sum` in the provenance says so.

    Args:
        model: a loaded model.
        text: a prompt.
        layer: -1 is the last.
        head: from 0.

    Returns:
        One row per `query` and `key` (positions), with `query_token`, `key_token` and `weight`.

    Raises:
        InputError: for a layer or a head that is not there, a text that is empty or too long.
        ModelError: for a layer that has no pattern.
    """
    import torch

    site = Site("pattern", layer).at(model.n_layers)
    heads = model.anatomy.heads
    if not 0 <= head < heads:
        raise InputError(f"got head {head}; this model has heads 0 to {heads - 1} in each layer.")
    ids = encode(model, text)
    with torch.no_grad():
        tokens = torch.tensor([ids], device=model.device)
        pattern = forward(model, tokens, read=[site]).values[site][0, head].float().cpu()
    texts = token_texts(model, ids)
    rows = [
        {
            "query": query,
            "key": key,
            "query_token": texts[query],
            "key_token": texts[key],
            "weight": weight,
            "row": f"{query} {texts[query]}",
        }
        for query, weights in enumerate(pattern.tolist())
        for key, weight in enumerate(weights[: query + 1])
    ]
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "attention pattern",
        "sites": [str(site)],
        "head": head,
        "text": text,
        "smallest_row_sum": pattern.sum(dim=-1).min().item(),
    }
    return Result.of("attention_pattern", rows, provenance, _pattern_chart(site.layer, head))


def _pattern_chart(layer: int, head: int) -> Chart:
    return Chart(
        kind="heatmap",
        options={
            "x": "key",
            "y": "row",
            "value": "weight",
            "x_text": "key_token",
            "y_text": "query_token",
            "midpoint": None,
            "title": f"Attention of head {head} in layer {layer}",
            "x_title": "attended token",
            "y_title": "attending token",
            "scale_title": "weight",
            "alt": f"How much each token attends to each token before it, in head {head} of layer "
            f"{layer}.",
        },
    )
