"""Which tensors of a checkpoint changed, and how much, against another checkpoint."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.errors import ModelError
from workbench.interpret.comparing.alike import parts_of, provenance_of_both, require_alike
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    import torch

    from workbench.model import Model

__all__ = ["compare_weights"]

OUTSIDE = "outside"
_AT_ONCE = 20_000_000


def compare_weights(first: Model, second: Model) -> Result:
    """How much each tensor of the second checkpoint differs from the first's.

    These are facts about two files, and no estimates: they have no interval.

    Returns:
        One row per tensor, in the order of the layers: `layer` (missing outside of them), `place`
        (the same as text), `part` (the name inside the layer), `relative` (the Frobenius norm of
        the difference by that of the first's tensor; missing where that is 0), `difference` (that
        norm), `largest` (single difference), `numbers` (in the tensor), `rank` (1: changed most).

    Raises:
        InputError: for models that are not alike, with what differs.
        ModelError: for quantised weights.
    """
    require_alike(first, second)
    parts, counterparts = parts_of(first), parts_of(second)
    for model, tensors in ((first, parts), (second, counterparts)):
        _require_plain(model, tensors)
    prefix = _layers_name(first)
    rows = [
        _place(name, prefix) | _difference(tensor, counterparts[name])
        for name, tensor in parts.items()
        if tensor.is_floating_point()
    ]
    ranked = sorted(rows, key=_order, reverse=True)
    for rank, row in enumerate(ranked, 1):
        row["rank"] = rank
    rows.sort(key=lambda row: -1 if row["layer"] is None else row["layer"])
    provenance = provenance_of_both(first, second, "relative Frobenius norm of the difference")
    return Result.of("weight_changes", rows, provenance, _chart())


def _require_plain(model: Model, tensors: dict[str, torch.Tensor]) -> None:
    codes = [
        name
        for name, tensor in tensors.items()
        if name.endswith("weight") and not tensor.is_floating_point()
    ]
    # A type of eight bits is a floating-point one, and means nothing without its scales.
    if codes or hasattr(model.hf.config, "quantization_config"):
        raise ModelError(
            f"{model.name} is quantised{f' ({codes[0]})' if codes else ''}: its numbers cannot be "
            "compared with another's. Load both without quantisation."
        )


def _layers_name(model: Model) -> str:
    layers = model.anatomy.layers
    return next(str(name) for name, module in model.hf.named_modules() if module is layers)


def _place(name: str, prefix: str) -> dict[str, Any]:
    if not name.startswith(f"{prefix}."):
        return {"layer": None, "place": OUTSIDE, "part": name}
    layer, _, part = name.removeprefix(f"{prefix}.").partition(".")
    return {"layer": int(layer), "place": layer, "part": part}


def _difference(first: torch.Tensor, second: torch.Tensor) -> dict[str, Any]:
    """In pieces, so that no large tensor is held again in double precision."""
    squares = changed = largest = 0.0
    pieces = zip(first.flatten().split(_AT_ONCE), second.flatten().split(_AT_ONCE), strict=True)
    for one, other in pieces:
        mine = one.detach().cpu().double()
        apart = other.detach().cpu().double() - mine
        squares += mine.square().sum().item()
        changed += apart.square().sum().item()
        if apart.numel():
            largest = max(largest, apart.abs().max().item())
    return {
        "relative": (changed / squares) ** 0.5 if squares else None,
        "difference": changed**0.5,
        "largest": largest if math.isfinite(changed) else math.nan,
        "numbers": first.numel(),
    }


def _order(row: dict[str, Any]) -> tuple[float, float]:
    """What was 0 and is no longer has changed most; what is not a number is told apart least."""
    relative, difference = row["relative"], row["difference"]
    if not math.isfinite(difference):
        return -1.0, 0.0
    if relative is None:
        return (math.inf if difference else -1.0), difference
    return relative, difference


def _chart() -> Chart:
    return Chart(
        kind="heatmap",
        options={
            "x": "place",
            "y": "part",
            "value": "relative",
            "midpoint": None,
            "title": "Where the weights differ",
            "x_title": "layer",
            "scale_title": "relative difference",
            "alt": "The relative difference of each tensor, by layer and part.",
        },
    )
