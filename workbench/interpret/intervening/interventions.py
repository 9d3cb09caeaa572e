"""A model under an intervention: steered along a direction, or unable to use it.

Steering adds to the residual stream (Turner et al. 2023, arXiv 2308.10248; Rimsky et al. 2023,
arXiv 2312.06681); ablating a direction projects it out of everything that is written there
(Arditi et al. 2024, arXiv 2406.11717).
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from workbench.errors import InputError, did_you_mean
from workbench.forward import edited
from workbench.interpret.intervening.directions import original_digest
from workbench.scoring.identity import hooks_on
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from workbench.interpret.intervening.directions import Direction
    from workbench.model import Model

__all__ = ["UNITS", "Unit", "ablated", "steered", "unit_in_words"]

Unit = Literal["direction", "stream"]

UNITS: tuple[str, ...] = get_args(Unit)

_SHORT = 16


@contextmanager
def steered(
    model: Model, direction: Direction, coefficient: float, *, unit: Unit = "direction"
) -> Iterator[Model]:
    """While this is entered, the model has coefficient x direction added at the direction's site.

    At every position, in every pass, whoever starts it: scoring and generation too. What
    `model.plain()` and `model.bridge` give is not steered. A coefficient of 0 changes nothing.

    Args:
        model: a loaded model.
        direction: measured on it.
        coefficient: how much of the direction; negative for the other way.
        unit: of the coefficient: the direction's own length, or the typical length of the residual
            stream at its site (`DirectionRecord.stream_norm`).

    Yields:
        The same model, whose provenance says that it is steered: results made with it say so too.

    Raises:
        InputError: for a direction of another model, or a coefficient that is not a finite number.
        ModelError: for a site that the model does not have.
    """
    direction.require(model)
    if unit not in UNITS:
        raise InputError(f'There is no unit "{unit}". {did_you_mean(str(unit), UNITS)}')
    if not abs(coefficient) < float("inf"):
        raise InputError(f"got the coefficient {coefficient}; expected a finite number.")
    if coefficient == 0:
        yield model
        return
    length = 1.0 if unit == "direction" else direction.record.stream_norm / direction.norm
    vector = direction.vector * (coefficient * length)

    def add(value: torch.Tensor) -> torch.Tensor:
        return value + vector.to(value)

    changed = f"steered by {coefficient:g} x {unit_in_words(unit)} of {direction.name}"
    with edited(model, {direction.site: add}):
        yield _marked(model, changed, direction.site, vector)


@contextmanager
def ablated(model: Model, direction: Direction, *, share: float = 1.0) -> Iterator[Model]:
    """While this is entered, nothing in the model's residual stream points along the direction.

    Projected out at every layer and position, of what enters a layer and of what attention and MLP
    add. Everything else is as for `steered`.

    Args:
        model: a loaded model.
        direction: measured on it.
        share: of what points along the direction, taken away at each of these places; 0 changes
            nothing.

    Raises:
        InputError: for a direction of another model, or a share that is not between 0 and 1.
        ModelError: for a model without these sites.
    """
    direction.require(model)
    if not 0 <= share <= 1:
        raise InputError(f"got the share {share}; expected one from 0 to 1.")
    if share == 0:
        yield model
        return
    part = "" if share == 1 else f"{share:.0%} of "
    with edited(model, _removal(model, direction, share)):
        vector = direction.unit * share
        yield _marked(model, f"without {part}{direction.name}", direction.site, vector)


def _removal(
    model: Model, direction: Direction, share: float
) -> dict[Site, Callable[[torch.Tensor], torch.Tensor]]:
    """The edits that project a direction out of everything that is written to the stream."""
    unit = direction.unit

    def project(value: torch.Tensor) -> torch.Tensor:
        along = unit.to(value.device)
        # Rounded once, and not at each step: half precision keeps what it can.
        exact = value.float()
        return (exact - share * (exact @ along)[..., None] * along).to(value.dtype)

    layers = range(model.n_layers)
    sites = [Site(name, at) for at in layers for name in ("resid_pre", "attn_out", "mlp_out")]
    # Some families add more than attention and MLP; the last layer's is seen by no next layer.
    return dict.fromkeys([*sites, Site("resid_post", model.n_layers - 1)], project)


def unit_in_words(unit: Unit) -> str:
    """What a coefficient counts in."""
    return "length" if unit == "direction" else "the stream's typical length"


def _marked(model: Model, changed: str, site: Site, vector: torch.Tensor) -> Model:
    """The same network in a model whose provenance says what is done to it.

    In words, and by a digest of the exact numbers: words round a coefficient, and leave out the
    stream's length that it may count in.
    """
    numbers = vector.numpy().astype("<f4").tobytes()
    exact = hashlib.sha256(f"{site}\0".encode() + numbers).hexdigest()[:_SHORT]
    digest = model.provenance.weights_digest
    between = ", " if digest != original_digest(model) else " "
    joined = f"{digest}{between}{changed} ({exact})"
    return replace(
        model,
        provenance=model.provenance.model_copy(update={"weights_digest": joined}),
        hooks=hooks_on(model.hf),
    )
