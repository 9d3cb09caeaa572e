"""Where a difference comes from: what an audit looks at together, and the place that it gives."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from workbench.errors import InputError
from workbench.interpret.lenses.logit_lens import logit_lens
from workbench.interpret.patching.patch import patching_map
from workbench.interpret.probing.probe import Design, linear_probes
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model
    from workbench.tables import Result

__all__ = ["BLOCKS", "located", "pull_probes", "writing_layer"]

BLOCKS = ("attn_out", "mlp_out")
"""What a layer writes: attention, then the MLP."""

STREAM, HEADS = "resid_pre", "head_out"

FOLDS, FEWEST_FOLDS = 5, 2


def located(model: Model, pairs: EncodedPairs, name: str) -> dict[str, Callable[[], Result]]:
    """What shows where the pairs' difference comes from: name of the result -> what computes it.

    In the order in which it is read: `NAME_logit_lens`, then the patching maps of the stream, of
    attention, of the MLPs (layer by position) and of the heads (layer by head).

    Args:
        model: a loaded model.
        pairs: minimal pairs as tokens.
        name: begins the results' names.
    """
    methods: dict[str, Callable[[], Result]] = {"logit_lens": partial(logit_lens, model, pairs)}
    for site in (STREAM, *BLOCKS, HEADS):
        methods[f"patching_{site}"] = partial(patching_map, model, pairs, site)

    def under(method: str) -> Result:
        result = methods[method]()
        return replace(result, name=f"{name}_{method}")

    return {f"{name}_{method}": partial(under, method) for method in methods}


def writing_layer(maps: Sequence[Result]) -> Site:
    """The stream after the layer whose block, patched at the last position, restores most.

    There the difference has been written where the answer is read.

    Args:
        maps: of `BLOCKS`.

    Raises:
        InputError: where no cell has a value: no pair has an effect.
    """
    import pandas as pd

    cells = pd.concat([one.frame() for one in maps]).dropna(subset=["estimate"])
    if cells.empty:
        raise InputError("No pair has an effect that could be restored: there is no place.")
    last = cells[cells["position"] == cells["position"].max()]
    layer = last.sort_values("estimate", ascending=False, kind="stable")["layer"].iloc[0]
    return Site("resid_post", int(layer))


def pull_probes(  # noqa: PLR0913 - what is probed, for what, and how it is called
    model: Model,
    items: Result,
    pulls: Mapping[str, int],
    *,
    group: str,
    names: tuple[str, str],
    seed: int = 0,
) -> Result:
    """Whether a layer tells, before the answer, which way a group pulls: probes with controls.

    Read at the last token, and judged on groups (occupations) that the probe has not seen: it
    cannot have learnt each by heart. `linear_probes` has the columns.

    Args:
        model: a loaded model.
        items: of a task, with `prompt` and the column `group`.
        pulls: group -> 1 or -1; other groups are left out.
        group: a column.
        names: of the two classes, the first for 1.
        seed: of folds, shuffles, directions and the untrained model.

    Raises:
        InputError: where fewer than two groups pull either way.
        ModelError: as `linear_probes`.
    """
    frame = items.frame()
    frame = frame[frame[group].isin(list(pulls))]
    fewest = min(sum(pull == side for pull in pulls.values()) for side in (1, -1))
    if fewest < FEWEST_FOLDS:
        raise InputError(
            f'Fewer than two of the {group}s pull towards "{names[0]}" or towards "{names[1]}": a '
            "probe cannot be tested on one that it has not seen."
        )
    labels = [names[0] if pulls[value] > 0 else names[1] for value in frame[group]]
    return linear_probes(
        model,
        frame["prompt"].tolist(),
        labels,
        groups=frame[group].tolist(),
        design=Design(folds=min(FOLDS, fewest), seed=seed),
    )
