"""Mixtures of experts: how the routers spread tokens over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.forward import forward, sites_in
from workbench.interpret.by_layer import lines_by_layer
from workbench.interpret.jackknife import jackknife
from workbench.interpret.reading import over_texts
from workbench.interpret.routing.experts import choices
from workbench.interpret.text_sums import TextSums
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import torch
    from numpy.typing import NDArray

    from workbench.interpret.reading import Batch
    from workbench.model import Model
    from workbench.sites import Site

    Floats = NDArray[np.float64]

__all__ = ["RouterLoad", "router_load"]


@dataclass(frozen=True)
class RouterLoad:
    """What `router_load` gives.

    Attributes:
        load: one row per layer and expert.
        balance: one row per layer and measure of imbalance.
    """

    load: Result
    balance: Result


def router_load(model: Model, texts: Iterable[str]) -> RouterLoad:
    """How much of the tokens, and of the weight, each expert of each layer gets.

    Every token counts, also those that a tokenizer puts in front. An expert is chosen where it
    gets a weight that is not 0.

    Returns:
        `load`: `layer`, `expert`, the estimate of the share of tokens that choose it, `uniform`
        (the share where all experts are chosen equally often), and `weight`, `weight_low`,
        `weight_high` (its share of the weight that tokens give).
        `balance`: `layer`, `measure` and the estimate: `variation` (the coefficient of variation of
        the experts' loads; 0 where all are equal) and `entropy` (of the loads, as a share of the
        largest possible: 1 where all are equal), with `by_chance`: what as many independent uniform
        choices would show.

    Raises:
        InputError: for texts that cannot be read.
        ModelError: for a model without a mixture of experts.
    """
    sites = sites_in(model, "routing")
    cells = _Cells(sites)

    def work(batch: Batch) -> list[tuple[Floats, Floats]]:
        values = forward(model, batch.tokens, read=sites).values
        return [_by_text(values[site]) for site in sites]

    for batch, found in over_texts(model, texts, work):
        cells.add(found, batch.tokens.shape[1])
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "router load",
        "sites": [str(site) for site in sites],
        "texts": cells.texts,
        "tokens": cells.tokens,
    }
    load = Result.of("router_load", cells.loads(), provenance, _load_chart())
    chart = lines_by_layer("measure", "Balance of the experts' loads", "variation, entropy")
    balance = Result.of("router_balance", cells.balances(), provenance, chart)
    return RouterLoad(load, balance)


class _Cells:
    """Loads by text: sums for the shares, and each text's own for what is no mean over texts."""

    def __init__(self, sites: tuple[Site, ...]) -> None:
        self.layers = [site.layer for site in sites]
        self.texts = self.tokens = 0
        self._chosen: list[list[Floats]] = [[] for _ in sites]
        self._weight: list[TextSums] = []
        self._share: list[TextSums] = []

    def add(self, found: list[tuple[Floats, Floats]], length: int) -> None:
        """A batch: choices and weight of each layer `[text, expert]`, of so many tokens a text."""
        if not self._share:
            self._share = [TextSums(chosen.shape[1:]) for chosen, _ in found]
            self._weight = [TextSums(chosen.shape[1:]) for chosen, _ in found]
        for place, (chosen, weight) in enumerate(found):
            self._share[place].add(chosen, length)
            self._weight[place].add(weight, length)
            self._chosen[place].append(chosen.astype(np.float32))
        self.texts += len(found[0][0])
        self.tokens += len(found[0][0]) * length

    def loads(self) -> Iterator[dict[str, Any]]:
        for layer, shares, weights in zip(self.layers, self._share, self._weight, strict=True):
            estimates = shares.shares()
            uniform = sum(estimate.value or 0.0 for estimate in estimates) / len(estimates)
            for expert, (share, weight) in enumerate(zip(estimates, weights.shares(), strict=True)):
                given = weight.row()
                yield {
                    "layer": layer,
                    "expert": expert,
                    **share.row(),
                    "uniform": uniform,
                    "weight": given["estimate"],
                    "weight_low": given["low"],
                    "weight_high": given["high"],
                }

    def balances(self) -> Iterator[dict[str, Any]]:
        for layer, parts in zip(self.layers, self._chosen, strict=True):
            loads = np.concatenate(parts)
            experts, choices = loads.shape[1], float(loads.sum())
            # A token chooses an expert with probability p: the variance of the count is N p (1-p).
            p = choices / self.tokens / experts
            variation = np.sqrt((1 - p) / (self.tokens * p)) if 0 < p <= 1 else np.nan
            chance = {
                "variation": variation,
                "entropy": 1 - variation**2 / (2 * np.log(experts)) if experts > 1 else np.nan,
            }
            for name, measure in (("variation", _variation), ("entropy", _entropy)):
                estimate = jackknife(
                    partial(_of_some, measure, loads),
                    len(loads),
                    bounds=(0.0, np.inf if name == "variation" else 1.0),
                )
                yield {
                    "layer": layer,
                    "measure": name,
                    **estimate.row(),
                    "by_chance": chance[name],
                }


def _by_text(routing: torch.Tensor) -> tuple[Floats, Floats]:
    """Choices and weight of each expert, summed over a text's tokens `[text, expert]`."""
    chosen, shares = choices(routing)
    return chosen.sum(axis=1), shares.sum(axis=1)


def _of_some(measure: Callable[[Floats], Floats], loads: Floats, weights: Floats) -> Floats:
    """A measure of the loads `[text, expert]` of some texts `[text, draw]` alone."""
    return measure(weights.T @ loads)


def _variation(loads: Floats) -> Floats:
    """The standard deviation over experts by their mean `[draw]`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(loads.std(axis=1) / loads.mean(axis=1))


def _entropy(loads: Floats) -> Floats:
    """The entropy of the loads as a share of that of equal loads `[draw]`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = loads / loads.sum(axis=1, keepdims=True)
        terms = np.where(share > 0, share * np.log(np.where(share > 0, share, 1)), 0 * share)
        return np.asarray(-terms.sum(axis=1) / np.log(loads.shape[1]))


def _load_chart() -> Chart:
    return Chart(
        kind="heatmap",
        options={
            "x": "expert",
            "y": "layer",
            "value": "estimate",
            "midpoint": None,
            "title": "Load of the experts",
            "x_title": "expert",
            "y_title": "layer",
            "scale_title": "share of tokens that choose it",
            "alt": "The share of tokens that choose each expert, by layer.",
        },
    )
