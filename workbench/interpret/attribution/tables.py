"""The tables and charts of direct logit attribution."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.stats import bootstrap_mean
from workbench.tables import Chart, Result
from workbench.tokens import token_texts

if TYPE_CHECKING:
    import torch

    from workbench.interpret.attribution.contributions import Contributions
    from workbench.model import Model

__all__ = ["biases", "heads", "neurons", "parts", "prompts"]


def parts(found: Contributions, provenance: dict[str, Any], seed: int) -> Result:
    """One row per part and layer."""
    chart = Chart(
        kind="bars",
        options={
            "x": "place",
            "y": "estimate",
            "series": "part",
            "low": "low",
            "high": "high",
            "reference": 0,
            "title": "What each part says for the answer against the foil",
            "y_title": "contribution, nats",
            "alt": "The contribution of the embedding, of each layer's attention and MLP and of "
            "the biases to the logit difference, with intervals.",
        },
    )
    return Result.of("attribution_parts", _rows(found.parts, seed), provenance, chart)


def biases(found: Contributions, provenance: dict[str, Any], seed: int) -> Result:
    """One row per part whose bias it is, and layer."""
    return Result.of("attribution_biases", _rows(found.biases, seed), provenance)


def heads(found: Contributions, provenance: dict[str, Any], seed: int) -> Result | None:
    """One row per layer and head; None where no layer has heads."""
    rows = [
        {"layer": layer, "head": head, **bootstrap_mean(values.numpy(), seed=seed).row()}
        for (part, layer), shares in sorted(found.shares.items())
        if part == "attention"
        for head, values in enumerate(shares.T)
    ]
    chart = Chart(
        kind="heatmap",
        options={
            "x": "head",
            "y": "layer",
            "value": "estimate",
            "midpoint": 0,
            "title": "What each head says for the answer against the foil",
            "x_title": "head",
            "y_title": "layer",
            "scale_title": "nats",
            "alt": "The contribution of each head to the logit difference, by layer.",
        },
    )
    return Result.of("attribution_heads", rows, provenance, chart) if rows else None


def neurons(
    found: Contributions, provenance: dict[str, Any], count: int, seed: int
) -> Result | None:
    """The neurons with the largest mean contributions, whatever their sign."""
    shares = {layer: one for (part, layer), one in found.shares.items() if part == "MLP"}
    if not shares:
        return None
    means = {layer: one.mean(dim=0).numpy() for layer, one in shares.items()}
    total = sum(map(len, means.values()))
    places = [(layer, neuron) for layer, one in means.items() for neuron in range(len(one))]
    size = np.nan_to_num(np.abs(np.concatenate(list(means.values()))), nan=-1.0)
    rows = []
    for place in np.argsort(-size, kind="stable")[:count].tolist():
        layer, neuron = places[place]
        estimate = bootstrap_mean(shares[layer][:, neuron].numpy(), seed=seed)
        # Chosen by what it measures: the interval of the largest is a little too favourable.
        chosen = replace(estimate, method=f"{estimate.method}; one of the largest of {total}")
        rows.append({"layer": layer, "neuron": neuron, "label": f"{layer}.{neuron}"} | chosen.row())
    chart = Chart(
        kind="intervals",
        options={
            "label": "label",
            "value": "estimate",
            "low": "low",
            "high": "high",
            "reference": 0,
            "title": "The neurons that say most for the answer against the foil, or against it",
            "x_title": "contribution, nats",
            "y_title": "layer.neuron",
            "alt": "The largest contributions of single neurons to the logit difference, with "
            "intervals.",
        },
    )
    return Result.of("attribution_neurons", rows, provenance, chart)


def prompts(
    model: Model, found: Contributions, tokens: torch.Tensor, provenance: dict[str, Any]
) -> Result:
    """One row per prompt: what was compared, and how well the sums hold."""
    answers, foils = (token_texts(model, column.tolist()) for column in tokens.T)
    columns = zip(answers, foils, found.difference.tolist(), found.gap().tolist(), strict=True)
    rows = [
        {"answer": answer, "foil": foil, "difference": difference, "gap": gap}
        for answer, foil, difference, gap in columns
    ]
    return Result.of("attribution_prompts", rows, provenance)


def _rows(found: dict[tuple[str, int | None], torch.Tensor], seed: int) -> list[dict[str, Any]]:
    """Rows in the order of a forward pass."""

    def place(key: tuple[str, int | None]) -> tuple[float, bool]:
        part, layer = key
        if layer is None:
            return (-1 if part == "embedding" else np.inf), False
        return layer, part == "per-layer input"

    return [
        {
            "part": part,
            "layer": layer,
            "place": part if layer is None else f"layer {layer}",
            **bootstrap_mean(found[part, layer].numpy(), seed=seed).row(),
        }
        for part, layer in sorted(found, key=place)
    ]
