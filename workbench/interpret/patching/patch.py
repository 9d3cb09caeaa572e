"""Activation patching: which place, given the clean run's value, restores the clean answer.

Exact, every cell by its own run (Meng et al. 2022, arXiv 2202.05262; the normalisation of Wang et
al. 2022, arXiv 2211.00593). What follows attention in a layer works on each position alone. So a
value that is patched there at a position changes what leaves the layer at that position, and
nothing else: every such patch is a patch of the residual stream before the next layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from workbench.batches import in_batches
from workbench.errors import InputError, did_you_mean
from workbench.forward import forward, sites_in
from workbench.interpret.patching.effects import PatchingEffects
from workbench.interpret.patching.sweep import Sweep
from workbench.interpret.readout import Readout
from workbench.sites import VOCABULARY, Site
from workbench.stats import Estimate

if TYPE_CHECKING:
    import numpy as np
    import torch

    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model
    from workbench.tables import Result

__all__ = ["SITES", "patching_effects", "patching_map", "strongest"]

By = Literal["position", "head", "head and position"]

SITES = ("resid_pre", "attn_out", "mlp_out")
"""The sites of the three usual maps, layer by position."""

PAIRS_AT_ONCE = 64
"""Their recorded runs are in memory together."""

PATCHABLE = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_out")


def patching_map(model: Model, pairs: EncodedPairs, site: str, *, by: By | None = None) -> Result:
    """The share of the effect that each cell restores when it is patched.

    The corrupted prompt runs with one value taken from the clean run. 0 means that nothing
    changed, 1 that the clean result is back.

    Args:
        model: a loaded model.
        pairs: minimal pairs as tokens.
        site: one of `PATCHABLE`.
        by: `position` (the default), and for `head_out` also `head` (the default there: a head at
            all positions together) and `head and position`.

    Returns:
        One row a cell: `site`, `layer`, `head` and `position` as asked for, `token`, and the row of
        the estimate, over all pairs together.

    Raises:
        InputError: for a site that cannot be patched, with the closest.
        ModelError: for a site that this model does not have.
    """
    return patching_effects(model, pairs, site, by=by).result(f"patching_{site}")


def patching_effects(
    model: Model, pairs: EncodedPairs, site: str, *, by: By | None = None
) -> PatchingEffects:
    """What each patch adds to each pair's result; the numbers behind `patching_map`."""
    import numpy as np

    if site not in PATCHABLE:
        raise InputError(f'There is no site "{site}" to patch. {did_you_mean(site, PATCHABLE)}')
    by = by or ("head" if site == "head_out" else "position")
    if by not in _AXES or (by != "position") != (site == "head_out"):
        raise InputError(
            f'got by="{by}" for {site}; expected "head" or "head and position" for head_out, and '
            '"position" for every other site.'
        )
    parts = [
        part
        for _, part in in_batches(
            lambda some: _effects(model, pairs.some(some), site, by), len(pairs), PAIRS_AT_ONCE
        )
    ]
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "exact patching",
        "sites": [str(one) for one in sites_in(model, site)],
        "answers": "logits" if pairs.whole is None else "log-probability of all tokens",
        "way": ", ".join(dict.fromkeys(part.way for part in parts)),
        "difference_from_full_passes": max(part.difference for part in parts),
    }
    return PatchingEffects(
        site=site,
        axes=_AXES[by],
        gained=np.concatenate([part.gained for part in parts], axis=-1),
        effect=np.concatenate([part.effect for part in parts]),
        tokens=pairs.labels,
        provenance=provenance,
    )


def strongest(maps: list[Result]) -> tuple[str, Estimate]:
    """The cell that restores most, in words, and its estimate.

    The cell is chosen on the same pairs that estimate it: its interval is a little too favourable,
    and `method` says so.
    """
    import pandas as pd

    cells = pd.concat([result.frame() for result in maps]).dropna(subset=["estimate"])
    if cells.empty:
        return "nowhere", Estimate(None, None, None, 0, "no pair with an effect")
    best = cells.sort_values("estimate", ascending=False, kind="stable").iloc[0]
    place = (
        f"{VOCABULARY[best['site']].words}, layer {best['layer']}, position {best['position']} "
        f"({best['token'].strip()})"
    )
    estimate = Estimate.of_row(best.to_dict())
    method = f"{estimate.method}; the largest of {len(cells)} cells"
    return place, replace(estimate, method=method)


_AXES: dict[str, tuple[str, ...]] = {
    "position": ("layer", "position"),
    "head": ("layer", "head"),
    "head and position": ("layer", "head", "position"),
}


@dataclass(frozen=True)
class _Effects:
    """Gains `[*axes, pair]` and effects `[pair]` of some pairs, and how they were computed."""

    gained: np.ndarray
    effect: np.ndarray
    way: str
    difference: float


def _effects(model: Model, pairs: EncodedPairs, site: str, by: By) -> _Effects:
    import torch

    readout = Readout.of(pairs)
    sweep = Sweep(model, readout)
    clean = sweep.stream(readout.clean)
    with torch.no_grad():
        patched = _patched(model, readout, sweep, clean, site, by)
        ends = readout.score(
            model.anatomy,
            clean[-1][:, -readout.last :],
            torch.arange(len(readout.clean), device=model.device),
        )
        gained = readout.by_pair(patched) - readout.by_pair(sweep.corrupted)
        effect = readout.by_pair(ends) - readout.by_pair(sweep.corrupted)
    return _Effects(gained.cpu().numpy(), effect.cpu().numpy(), sweep.way.name, sweep.difference)


def _patched(  # noqa: PLR0913, PLR0917 - the parts of one computation
    model: Model,
    readout: Readout,
    sweep: Sweep,
    clean: tuple[torch.Tensor, ...],
    site: str,
    by: By,
) -> torch.Tensor:
    """The results of all patched runs `[*axes, run]`."""
    import torch

    layers = model.n_layers
    if site in {"resid_pre", "resid_post"}:
        first = 1 if site == "resid_post" else 0
        entered = range(first, first + layers)
        return sweep.patched(torch.stack([clean[layer] for layer in entered]), entered)
    values = _clean_values(model, readout, site)
    if site != "head_out":
        return sweep.patched(_leaving(model, readout, sweep, values), range(1, layers + 1))
    patched = sweep.patched_together if by == "head" else sweep.patched
    heads = []
    has = torch.tensor([site in model.anatomy.sites_of(layer) for layer in range(layers)])
    for head in range(model.anatomy.heads):
        left = _leaving(model, readout, sweep, values, head)
        heads.append(patched(left, range(1, layers + 1)))
    every = torch.stack(heads, dim=1)
    every[~has] = torch.nan  # a layer without heads has nothing that could be patched
    return every


def _clean_values(model: Model, readout: Readout, site: str) -> dict[Site, torch.Tensor]:
    places = sites_in(model, site)
    return dict(forward(model, readout.clean, read=places).values)


def _leaving(
    model: Model,
    readout: Readout,
    sweep: Sweep,
    values: dict[Site, torch.Tensor],
    head: int | None = None,
) -> torch.Tensor:
    """What leaves each layer where its site has the clean value `[layer, run, pos, d_model]`.

    At every position at once: what a position is given changes that position alone. A layer that
    has no such site leaves what it left.
    """
    import torch

    found = []
    for layer in range(model.n_layers):
        place = next((one for one in values if one.layer == layer), None)
        end = Site("resid_post", layer)
        if place is None:
            found.append(sweep.entered[layer + 1])
            continue
        put = _putting(values[place], head)
        run = forward(model, readout.corrupted, read=[end], edit={place: put})
        found.append(run.values[end])
    return torch.stack(found)


def _putting(clean: torch.Tensor, head: int | None) -> Any:
    def put(value: torch.Tensor) -> torch.Tensor:
        if head is None:
            return clean
        value = value.clone()
        value[:, :, head] = clean[:, :, head]
        return value

    return put
