"""Components of a model that can be ablated: heads, attention, MLPs, neurons, the stream itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workbench.errors import InputError, did_you_mean
from workbench.forward import forward, sites_in
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.model import Model

__all__ = ["COMPONENTS", "Component", "components", "grouped"]

COMPONENTS = {
    "head_out": "head",
    "attn_out": "attention",
    "neurons": "neuron",
    "mlp_out": "MLP",
    "resid_pre": "stream before",
    "resid_mid": "stream inside",
    "resid_post": "stream after",
}
"""Sites that a component can be at, and what it is called there."""

INDEXED = ("head_out", "neurons")


@dataclass(frozen=True)
class Component:
    """A part of a model whose value is replaced.

    Attributes:
        site: one of `COMPONENTS` in one layer.
        index: the head or neuron; None for all of the layer's.
        position: the token at which it is replaced, counted from the end where it is negative; None
            for all of them.
    """

    site: Site
    index: int | None = None
    position: int | None = None

    def __str__(self) -> str:
        number = "" if self.index is None else f".{self.index}"
        where = "" if self.position is None else f" at {self.position}"
        return f"{COMPONENTS.get(self.site.name, self.site.name)} {self.site.layer}{number}{where}"


def components(
    model: Model,
    name: str,
    *,
    layers: Iterable[int] | None = None,
    positions: Iterable[int] | None = None,
) -> tuple[Component, ...]:
    """Every component of one kind: each head of each layer, each neuron, each MLP.

    Args:
        model: a loaded model.
        name: one of `COMPONENTS`.
        layers: these only.
        positions: one component for each of them.

    Raises:
        InputError: for another name, or a layer that is not there.
        ModelError: for a site that these layers, or all, do not have.
    """
    _require_name(name)
    sites = (
        sites_in(model, name)
        if layers is None
        else tuple(Site(name, layer).at(model.n_layers) for layer in layers)
    )
    counts = _counts(model, sites)
    return tuple(
        Component(site, index, position)
        for site in sites
        for index in (range(counts[site]) if site in counts else (None,))
        for position in (positions if positions is not None else (None,))
    )


def grouped(
    model: Model, asked: Sequence[Component | Sequence[Component]], positions: int
) -> list[tuple[Component, ...]]:
    """Components to be replaced together, with their layers and indices counted from 0.

    Args:
        model: a loaded model.
        asked: components, or several to be replaced together.
        positions: that every text has.

    Raises:
        InputError: for none, or a layer, head, neuron or position that is not there.
        ModelError: for a site that the model does not have.
    """
    if not asked:
        raise InputError("got no component; expected at least one.")
    groups = [tuple(one) if isinstance(one, Sequence) else (one,) for one in asked]
    for one in (one for group in groups for one in group):
        _require_name(one.site.name)
    sites = {one.site.at(model.n_layers) for group in groups for one in group}
    counts = _counts(model, sites)
    return [tuple(_resolved(model, one, counts, positions) for one in group) for group in groups]


def _require_name(name: str) -> None:
    if name not in COMPONENTS:
        raise InputError(f'Nothing is ablated at "{name}". {did_you_mean(name, COMPONENTS)}')


def _counts(model: Model, sites: Iterable[Site]) -> dict[Site, int]:
    """How many heads or neurons there are at each site that has some."""
    import torch

    some = [site for site in sites if model.anatomy.place(site) and site.name in INDEXED]
    if not some:
        return {}
    token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    with torch.no_grad():
        values = forward(model, token, read=some).values
    return {site: values[site].shape[2] for site in some}


def _resolved(model: Model, one: Component, counts: dict[Site, int], positions: int) -> Component:
    site = one.site.at(model.n_layers)
    kind, index = COMPONENTS[site.name], one.index
    if index is not None:
        if site not in counts:
            raise InputError(
                f"got the index {index} for {site}; only heads (head_out) and neurons have one."
            )
        if not -counts[site] <= index < counts[site]:
            raise InputError(
                f"got {kind} {index} of layer {site.layer}; it has {kind}s 0 to {counts[site] - 1}."
            )
        index %= counts[site]
    if one.position is not None and not -positions <= one.position < positions:
        raise InputError(
            f"got position {one.position}; the shortest text has {positions} tokens, positions 0 "
            f"to {positions - 1}; pass -1 for the last of each."
        )
    return replace(one, site=site, index=index)
