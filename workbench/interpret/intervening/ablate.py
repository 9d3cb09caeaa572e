"""Ablation: how the model's behaviour changes when a component's value is replaced.

By zero, by the mean over reference texts, or by its value on another text (resample ablation). The
three are compared by Wang et al. 2022 (arXiv 2211.00593) and Zhang & Nanda 2023 (arXiv 2309.16042):
a zero or a mean may be a value that the model never meets; a resampled one is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.batches import in_batches
from workbench.interpret.intervening.components import COMPONENTS, Component, grouped
from workbench.interpret.intervening.measures import Measure, PairMeasure, TextMeasure
from workbench.interpret.intervening.replacement import ZERO, Replacement, Values, replacing
from workbench.interpret.pairs import EncodedPairs
from workbench.tables import Chart, Result
from workbench.tokens import by_length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from workbench.model import Model
    from workbench.sites import Site

    Group = tuple[Component, ...]
    Edit = Callable[[torch.Tensor], torch.Tensor]

__all__ = ["ablate"]

POSITIONS_AT_ONCE = 2048


def ablate(
    model: Model,
    measured: EncodedPairs | Sequence[str],
    components: Sequence[Component | Sequence[Component]],
    *,
    replacement: Replacement = ZERO,
    seed: int = 0,
) -> Result:
    """How the measure changes when each component is ablated.

    Args:
        model: a loaded model.
        measured: minimal pairs, for the logit difference of their clean prompts in nats; or texts,
            for the loss in nats per token.
        components: each has its row; those in a sequence of their own are ablated together.
        replacement: what stands in their place.
        seed: of the intervals' resampling.

    Returns:
        One row each: `component`, `site`, `layer`, `head`, `neuron`, `position`, `token` (missing
        where they do not apply), `unablated` and `ablated` (the measure without and with the
        ablation), and the row of the estimate: ablated - unablated, paired, with an interval over
        pairs or texts.

    Raises:
        InputError: for no component, a layer, head, neuron or position that is not there, an empty
            text, one of a single token, or reference texts that do not serve.
        ModelError: for a site that the model does not have.
    """
    measure: Measure = (
        PairMeasure.of(measured)
        if isinstance(measured, EncodedPairs)
        else TextMeasure.of(model, measured)
    )
    groups = grouped(model, components, measure.positions)
    sites = list(dict.fromkeys(one.site for group in groups for one in group))
    values, said = replacing(model, replacement, sites, measure)
    unablated, *ablated = measure.by_item(_scores(model, measure, groups, values))
    rows = [
        {
            **_described(group, measure),
            "unablated": measure.mean(unablated),
            "ablated": measure.mean(items),
            **measure.change(items - unablated, seed).row(),
        }
        for group, items in zip(groups, ablated, strict=True)
    ]
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": f"ablation by {replacement.words}",
        "measure": measure.words,
        "sites": list(map(str, sites)),
        "seed": seed,
        **said,
    }
    chart = _chart(groups, measure, replacement)
    return Result.of(f"ablation_{replacement.method}", rows, provenance, chart)


def _scores(
    model: Model, measure: Measure, groups: Sequence[Group], values: Values
) -> torch.Tensor:
    """The score of each run, first as it is, then without each group `[1 + group, run]`."""
    import torch

    rows = measure.rows
    scores = torch.zeros(1 + len(groups), len(rows), dtype=torch.float64)
    at_once = min(POSITIONS_AT_ONCE, measure.at_once or POSITIONS_AT_ONCE)
    with torch.no_grad():
        for numbers, tokens in by_length(model, rows):

            def work(
                part: slice, numbers: list[int] = numbers, tokens: torch.Tensor = tokens
            ) -> torch.Tensor:
                batch = _Batch(model, measure, numbers[part], tokens[part], values)
                size = max(1, at_once // tokens[part].numel())
                done = in_batches(lambda some: batch.without(groups[some]), len(groups), size)
                return torch.cat([batch.without([()]), *(found for _, found in done)])

            size = max(1, at_once // tokens.shape[1])
            for part, found in in_batches(work, len(tokens), size):
                scores[:, numbers[part]] = found.cpu().double()
    return scores


class _Batch:
    """Some runs of equal length, and their replacements."""

    def __init__(
        self, model: Model, measure: Measure, numbers: list[int], tokens: torch.Tensor, new: Values
    ) -> None:
        import torch

        self._model, self._measure, self._tokens = model, measure, tokens
        self._runs = torch.tensor(numbers, device=tokens.device)
        self._new = new.at(numbers, tokens.shape[1])

    def without(self, groups: Sequence[Group]) -> torch.Tensor:
        """The runs' scores without each group `[group, run]`, in one pass."""
        parts: dict[Site, list[tuple[int, Component]]] = {}
        for slot, group in enumerate(groups):
            for one in group:
                parts.setdefault(one.site, []).append((slot, one))
        edits = {site: self._edit(site, mine) for site, mine in parts.items()}
        times = len(groups)
        scores = self._measure.score(
            self._model, self._tokens.repeat(times, 1), self._runs.repeat(times), edits
        )
        return scores.view(times, -1)

    def _edit(self, site: Site, parts: Sequence[tuple[int, Component]]) -> Edit:
        new, rows = self._new.get(site), len(self._tokens)

        def change(value: torch.Tensor) -> torch.Tensor:
            value = value.clone()
            for slot, one in parts:
                mine = value[slot * rows : (slot + 1) * rows]
                where = (slice(None), self._positions(one), _only(one.index))
                mine[where] = 0 if new is None else new.to(value).expand_as(mine)[where]
            return value

        return change

    def _positions(self, one: Component) -> slice:
        return _only(None if one.position is None else self._measure.at(one.position))


def _only(index: int | None) -> slice:
    """The slice of one index; of all where it is None."""
    return slice(None) if index is None else slice(index, index + 1 or None)


def _described(group: Group, measure: Measure) -> dict[str, Any]:
    """The columns that say which component a row is about."""
    said: dict[str, Any] = {"component": " + ".join(map(str, group)) or "nothing"}
    columns = ("site", "layer", "head", "neuron", "position", "token")
    if len(group) != 1:
        return said | dict.fromkeys(columns)
    (one,) = group
    where = None if one.position is None else measure.at(one.position)
    return said | {
        "site": one.site.name,
        "layer": one.site.layer,
        "head": one.index if one.site.name == "head_out" else None,
        "neuron": one.index if one.site.name == "neurons" else None,
        "position": where,
        "token": None if where is None or measure.labels is None else measure.labels[where],
    }


def _chart(groups: Sequence[Group], measure: Measure, replacement: Replacement) -> Chart:
    """A heat map where the components lie in a plane, and else a line of whiskers for each."""
    title = f"Ablation by {replacement.words}"
    alt = f"The change of the {measure.words.partition(',')[0]} by component."
    across = _plane(groups)
    if across is None:
        whiskers = {"label": "component", "value": "estimate", "low": "low", "high": "high"}
        more = {"reference": 0, "x_title": f"change of {measure.words}"}
        return Chart(kind="intervals", options={**whiskers, **more, "title": title, "alt": alt})
    options = {
        "x": across,
        "y": "layer",
        "value": "estimate",
        "midpoint": 0,
        "title": f"{title}: {COMPONENTS[groups[0][0].site.name]}",
        "x_title": across,
        "y_title": "layer",
        "scale_title": f"change of {measure.words}",
        "alt": alt,
    }
    if across == "position" and measure.labels is not None:
        options["x_text"] = "token"
    return Chart(kind="heatmap", options=options)


def _plane(groups: Sequence[Group]) -> str | None:
    """The column that spans a plane with the layers; None where these components have none."""
    ones = [group[0] for group in groups if len(group) == 1]
    if len(ones) != len(groups) or len({one.site.name for one in ones}) > 1:
        return None
    if len(set(ones)) != len(ones):
        return None
    indices, positions = ({getattr(one, name) for one in ones} for name in ("index", "position"))
    if None not in indices and len(positions) == 1:
        return "head" if ones[0].site.name == "head_out" else "neuron"
    return "position" if None not in positions and len(indices) == 1 else None
