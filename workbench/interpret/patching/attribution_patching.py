"""Attribution patching: an estimate of every patch from gradients, and how far it can be trusted.

What a patch would gain is estimated as (clean - corrupted value) times the gradient of the result
(Nanda 2023, "Attribution patching"; Syed et al. 2023, arXiv 2310.10348), averaged over a path from
the corrupted to the clean run (integrated gradients: Sundararajan et al. 2017, arXiv 1703.01365;
Hanna et al. 2024, arXiv 2403.17806). A few passes give all layers, positions and heads at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.batches import in_batches
from workbench.errors import InputError, did_you_mean
from workbench.forward import forward, sites_in
from workbench.interpret.patching.effects import PatchingEffects
from workbench.interpret.readout import Readout
from workbench.sites import Site
from workbench.stats import Estimate
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model

    Values = Mapping[Site, torch.Tensor]

__all__ = ["attribution_effects", "attribution_map", "faithfulness"]

Path = Literal["input", "site"]

SITES = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_out")
STEPS = 8
PAIRS_AT_ONCE = 64
RESAMPLES = 1000
TOP = 10
NOTHING = 1e-4


def attribution_map(
    model: Model,
    pairs: EncodedPairs,
    site: str,
    *,
    steps: int = STEPS,
    path: Path = "input",
) -> Result:
    """The estimated share of the effect that each cell restores when it is patched.

    Args:
        model: a loaded model.
        pairs: minimal pairs as tokens.
        site: one of `SITES`; heads are told apart for `head_out`.
        steps: points on the path (midpoint rule); 1 with `path="site"` is close to plain
            attribution patching.
        path: what moves from corrupted to clean: `input`, the embeddings, once for all layers; or
            `site`, the site itself, layer by layer, which takes as many times longer and is exact
            for the residual stream: its positions add up to the whole effect.

    Returns:
        One row a cell: `site`, `layer`, `head` for heads, `position`, `token`, and the row of the
        estimate, over all pairs together.

    Raises:
        InputError: for an unknown site or path, or no step.
        ModelError: for a site that this model does not have.
    """
    effects = attribution_effects(model, pairs, site, steps=steps, path=path)
    return effects.result(f"attribution_{site}")


def attribution_effects(
    model: Model,
    pairs: EncodedPairs,
    site: str,
    *,
    steps: int = STEPS,
    path: Path = "input",
) -> PatchingEffects:
    """What each patch is estimated to add to each pair's result: behind `attribution_map`."""
    import torch

    if site not in SITES:
        raise InputError(f'There is no site "{site}" to attribute to. {did_you_mean(site, SITES)}')
    if path not in {"input", "site"}:
        raise InputError(f'got path="{path}"; expected "input" or "site".')
    if steps < 1:
        raise InputError(f"got {steps} steps; expected at least 1.")
    places = sites_in(model, site)
    parts = [
        part
        for _, part in in_batches(
            lambda some: _gained(model, pairs.some(some), places, steps, path),
            len(pairs),
            PAIRS_AT_ONCE,
        )
    ]
    gained, effect = (torch.cat(values, dim=-1) for values in zip(*parts, strict=True))
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": f"attribution patching, integrated gradients over the {path}, {steps} steps",
        "sites": [str(place) for place in places],
    }
    return PatchingEffects(
        site=site,
        axes=("layer", "head", "position") if site == "head_out" else ("layer", "position"),
        gained=_every_layer(gained, places, model.n_layers).cpu().numpy(),
        effect=effect.cpu().numpy(),
        tokens=pairs.labels,
        provenance=provenance,
    )


def faithfulness(exact: PatchingEffects, estimated: PatchingEffects, *, seed: int = 0) -> Result:
    """How well estimated patches agree with exact ones of the same cells and pairs.

    Cells whose exact and estimated share are both below 0.0001 are left out.

    Returns:
        One row a measure, with a percentile bootstrap interval over pairs: `pearson` and `spearman`
        correlation over cells of the restored shares, `top_overlap` (the share of the ten largest
        exact cells, by size, that are among the ten largest estimated ones), and
        `mean_difference` (mean absolute difference of the shares).

    Raises:
        InputError: for effects of other cells or another number of pairs.
    """
    if (exact.site, exact.axes, exact.gained.shape) != (
        estimated.site,
        estimated.axes,
        estimated.gained.shape,
    ):
        raise InputError(
            f"got exact effects of {exact.site} by {exact.axes} {exact.gained.shape} and estimates "
            f"of {estimated.site} by {estimated.axes} {estimated.gained.shape}; expected the same "
            "cells and pairs."
        )
    count = len(exact.effect)
    rng = np.random.default_rng(seed)
    resampled = [rng.integers(0, count, count) for _ in range(RESAMPLES if count > 1 else 0)]
    whole = _agreement(exact, estimated, np.arange(count))
    draws: dict[str, list[float]] = {name: [] for name in whole}
    for pairs in resampled:
        for name, value in _agreement(exact, estimated, pairs).items():
            draws[name].append(value)
    method = f"bootstrap over pairs (percentile), seed {seed}"
    rows = [
        {"measure": name, **_estimate(value, draws[name], count, method).row()}
        for name, value in whole.items()
    ]
    provenance = {
        "weights_digest": exact.provenance["weights_digest"],
        "method": "agreement of exact and attribution patching",
        "exact": dict(exact.provenance),
        "estimated": dict(estimated.provenance),
    }
    return Result.of(f"faithfulness_{exact.site}", rows, provenance)


def _gained(
    model: Model, pairs: EncodedPairs, places: tuple[Site, ...], steps: int, path: Path
) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimated gains `[place, (head), pos, pair]` and effects `[pair]` of some pairs."""
    import torch

    readout = Readout.of(pairs)
    entry, end = Site("resid_pre", 0), Site("resid_post", model.n_layers - 1)
    runs = torch.arange(len(readout.clean), device=model.device)
    with torch.no_grad():
        read = [*places, entry, end]
        clean = forward(model, readout.clean, read=read).values
        corrupted = forward(model, readout.corrupted, read=read).values
        ends = [_score(model, readout, values[end], runs) for values in (clean, corrupted)]
    moves = [(entry,)] if path == "input" else [(place,) for place in places]
    sums = {place: torch.zeros_like(clean[place]) for place in places}
    for (moved,) in moves:
        seen = places if path == "input" else (moved,)
        for step in range(steps):
            at = (step + 0.5) / steps
            between = torch.lerp(corrupted[moved], clean[moved], at)
            found = _gradients(model, readout, runs, {moved: between}, seen)
            for place, gradient in zip(seen, found, strict=True):
                sums[place] += gradient / steps
    gained = []
    for place in places:
        product = (clean[place] - corrupted[place]) * sums[place]
        # [run, pos, d_model] or [run, pos, head, d_head]: the run goes last.
        gained.append(product.sum(dim=-1)[:, : readout.prompt].movedim(0, -1))
    stacked = torch.stack(gained)
    # [place, pos, head, run] reads better with the head first.
    stacked = stacked.transpose(1, 2) if stacked.ndim == 4 else stacked  # noqa: PLR2004
    return readout.by_pair(stacked), readout.by_pair(ends[0] - ends[1])


def _gradients(
    model: Model, readout: Readout, runs: torch.Tensor, put: Values, seen: tuple[Site, ...]
) -> tuple[torch.Tensor, ...]:
    """The gradient of the runs' results at some sites, where others have been put in place."""
    import torch

    end = Site("resid_post", model.n_layers - 1)
    leaves = {site: value.detach().requires_grad_() for site, value in put.items()}
    with torch.enable_grad():
        values = forward(
            model,
            readout.corrupted[runs],
            read={*seen, end},
            edit={site: lambda _, leaf=leaf: leaf for site, leaf in leaves.items()},  # type: ignore[misc]
        ).values
        total = _score(model, readout, values[end], runs).sum()
        return torch.autograd.grad(total, [values[site] for site in seen])


def _score(
    model: Model, readout: Readout, residual: torch.Tensor, runs: torch.Tensor
) -> torch.Tensor:
    return readout.score(model.anatomy, residual[:, -readout.last :], runs)


def _every_layer(gained: torch.Tensor, places: tuple[Site, ...], n_layers: int) -> torch.Tensor:
    """Gains of every layer; those of a layer without the site are missing."""
    import torch

    every = torch.full((n_layers, *gained.shape[1:]), torch.nan, device=gained.device)
    every[[place.layer for place in places]] = gained
    return every


def _agreement(
    exact: PatchingEffects, estimated: PatchingEffects, pairs: np.ndarray
) -> dict[str, float]:
    from scipy.stats import spearmanr

    one, other = exact.shares(pairs).ravel(), estimated.shares(pairs).ravel()
    # Cells that nothing passes through are nothing but rounding, and would be ranked by it.
    there = np.isfinite(one) & np.isfinite(other)
    there &= np.maximum(np.abs(one), np.abs(other)) > NOTHING
    one, other = one[there], other[there]
    varied = len(one) > 1 and np.ptp(one) > 0 and np.ptp(other) > 0
    top = min(TOP, len(one))
    largest = [set(np.argsort(-np.abs(values), kind="stable")[:top]) for values in (one, other)]
    return {
        "pearson": float(np.corrcoef(one, other)[0, 1]) if varied else np.nan,
        "spearman": float(spearmanr(one, other).statistic) if varied else np.nan,
        "top_overlap": len(largest[0] & largest[1]) / top if top else np.nan,
        "mean_difference": float(np.abs(one - other).mean()) if len(one) else np.nan,
    }


def _estimate(value: float, draws: list[float], n: int, method: str) -> Estimate:
    if not np.isfinite(value):
        return Estimate(None, None, None, n, method)
    sound = [draw for draw in draws if np.isfinite(draw)]
    if not sound:
        return Estimate(value, None, None, n, method)
    low, high = np.percentile(sound, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n, method)
