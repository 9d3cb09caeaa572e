"""Activation patching: which place, given the clean run's value, restores the clean answer.

Exact patching over layer x position by TransformerLens' own sweep (Meng et al. 2022,
arXiv 2202.05262; the normalisation of Wang et al. 2022, arXiv 2211.00593).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError, did_you_mean
from workbench.interpret.pairs import logit_difference
from workbench.stats import Estimate, bootstrap_ratio
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model

__all__ = ["SITES", "patching_map", "strongest"]

SITES = {
    "resid_pre": "the residual stream before a layer",
    "attn_out": "the attention block's output",
    "mlp_out": "the MLP's output",
}


def patching_map(model: Model, pairs: EncodedPairs, site: str) -> Result:
    """The share of the effect that each layer and position restores when patched.

    The corrupted prompt runs with one value taken from the clean run. 0 means that nothing
    changed, 1 that the clean logit difference is back.

    Args:
        model: a loaded model.
        pairs: minimal pairs as tokens.
        site: one of `SITES`.

    Returns:
        One row a cell: `site`, `layer`, `position`, `token` and the row of the estimate, over all
        pairs together. Pairs whose two prompts give the same answer are left out.

    Raises:
        InputError: for an unknown site, with the closest.
    """
    if site not in SITES:
        raise InputError(f'There is no site "{site}" to patch. {did_you_mean(site, SITES)}')
    gained, effect = _sweep(model, pairs, site)
    rows = [
        {
            "site": site,
            "layer": layer,
            "position": position,
            "token": token,
            **bootstrap_ratio(gained[layer, position], effect).row(),
        }
        for layer in range(len(gained))
        for position, token in enumerate(pairs.labels)
    ]
    provenance = {"weights_digest": model.provenance.weights_digest, "method": "exact patching"}
    return Result.of(f"patching_{site}", rows, provenance, _chart(site))


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
        f"{SITES[best['site']]}, layer {best['layer']}, position {best['position']} "
        f"({best['token'].strip()})"
    )
    estimate = Estimate.of_row(best.to_dict())
    method = f"{estimate.method}; the largest of {len(cells)} cells"
    return place, replace(estimate, method=method)


def _sweep(model: Model, pairs: EncodedPairs, site: str) -> tuple[np.ndarray, np.ndarray]:
    """What patching adds to the logit difference `[layer, pos, pair]`, and the effect `[pair]`."""
    import pandas as pd
    import torch
    from transformer_lens import patching

    bridge = model.bridge
    sweep = getattr(patching, f"get_act_patch_{site}")
    layers, (count, positions) = model.n_layers, pairs.clean.shape
    # Before the first changed token both runs are the same: there is nothing to patch.
    first = min(pairs.changed, default=positions)
    cells = list(product(range(layers), range(first, positions)))
    with torch.no_grad(), _without_bar(patching):
        wanted = f"hook_{site}"
        logits, cache = bridge.run_with_cache(
            pairs.clean, names_filter=lambda name: name.endswith(wanted)
        )
        clean = logit_difference(logits, pairs)
        corrupted = logit_difference(bridge(pairs.corrupted), pairs)
        swept = sweep(
            bridge,
            pairs.corrupted,
            cache,
            lambda logits: logit_difference(logits, pairs),
            index_axis_names=None,
            index_df=pd.DataFrame(cells, columns=["layer", "pos"]),
            reduce="none",
        )
    patched = corrupted.expand(layers, positions, count).clone()
    patched[:, first:] = swept.values.view(layers, -1 if cells else 0, count)  # noqa: PD011 - a tensor
    effect = clean - corrupted
    some = effect.abs() > torch.finfo(effect.dtype).eps
    return (patched - corrupted)[..., some].cpu().numpy(), effect[some].cpu().numpy()


@contextmanager
def _without_bar(module: Any) -> Iterator[None]:
    """TransformerLens draws a progress bar for each sweep, which would stay in every report."""
    drawn = module.tqdm
    try:
        module.tqdm = lambda cells: cells
        yield
    finally:
        module.tqdm = drawn


def _chart(site: str) -> Chart:
    return Chart(
        kind="heatmap",
        options={
            "x": "position",
            "y": "layer",
            "value": "estimate",
            "x_text": "token",
            "midpoint": 0,
            "title": f"Patching {SITES[site]}",
            "x_title": "position",
            "y_title": "layer",
            "scale_title": "share restored",
            "alt": f"The share of the effect that patching {SITES[site]} restores, by layer and "
            "position.",
        },
    )
