"""Features: what one place inside a model says about each token, as one number.

A neuron, a head, a direction, a sparse autoencoder's feature: methods that look for texts or follow
a number through them take any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.anatomy import matrix
from workbench.errors import InputError
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import ArrayLike

    from workbench.model import Model

__all__ = ["Feature", "direction", "head", "neuron", "require_index"]


@dataclass(frozen=True)
class Feature:
    """A number for each token.

    Attributes:
        name: in words, for titles.
        site: where it is read.
        of: from the site's value `[batch, pos, ...]` to the numbers `[batch, pos]`.
    """

    name: str
    site: Site
    of: Callable[[torch.Tensor], torch.Tensor]


def neuron(model: Model, layer: int, index: int) -> Feature:
    """An MLP's neuron, after its nonlinearity (and its gate, where there is one).

    Raises:
        InputError: for a layer or a neuron that is not there.
        ModelError: where the layer's MLP is a mixture of experts.
    """
    site = Site("neurons", layer).at(model.n_layers)
    down = model.anatomy.place(site).module
    width = getattr(down, "in_features", None) or matrix(down).shape[0]
    index = require_index("neuron", index, width)
    return Feature(f"neuron {index} of layer {site.layer}", site, lambda value: value[..., index])


def head(model: Model, layer: int, index: int, *, towards: ArrayLike | None = None) -> Feature:
    """What an attention head adds to the residual stream: its length, or its part in a direction.

    The addition is measured behind the output matrix, before the norm that some families put there.

    Args:
        model: a loaded model.
        layer: of the head.
        index: of the head.
        towards: a vector `[d_model]`. The row of an answer's unembedding minus the foil's gives
            the head's direct contribution to the logit difference (but for the final norm's scale).

    Raises:
        InputError: for a layer or a head that is not there, or a vector that cannot be used.
        ModelError: where the layer has no heads, or its output matrix is quantised.
    """
    site = Site("head_out", layer).at(model.n_layers)
    output = matrix(model.anatomy.place(site).module)
    index = require_index("head", index, model.anatomy.heads)
    part = output.reshape(model.anatomy.heads, -1, output.shape[-1])[index].detach().float()
    name = f"head {index} of layer {site.layer}"
    if towards is None:
        return Feature(
            f"{name}, length of what it adds",
            site,
            lambda value: (value[..., index, :].float() @ part).norm(dim=-1),
        )
    weights = part @ _vector(towards, part.shape[-1], "the residual stream").to(part)
    return Feature(
        f"{name}, along a direction", site, lambda value: value[..., index, :].float() @ weights
    )


def direction(site: str | Site, vector: ArrayLike, *, name: str = "a direction") -> Feature:
    """The part of a site's value in a direction, in the value's own units.

    Args:
        site: such as `Site("resid_post", 3)` or "resid_post.3".
        vector: `[d]`; only its direction counts.
        name: in words.

    Raises:
        InputError: for a vector that is zero or not finite; for one of another width than the
            site's, when it is used.
    """
    place = Site.parse(site) if isinstance(site, str) else site
    given = _vector(vector, None, str(place))
    unit = given / given.norm()

    def part(value: torch.Tensor) -> torch.Tensor:
        flat = value.flatten(2).float()
        if flat.shape[-1] != len(unit):
            raise InputError(
                f"got a direction of {len(unit)} numbers; {place} of this model has "
                f"{flat.shape[-1]}."
            )
        along: torch.Tensor = flat @ unit.to(flat)
        return along

    return Feature(f"{name} in {place}", place, part)


def require_index(what: str, index: int, count: int) -> int:
    """The index, where it is one of so many.

    Raises:
        InputError: with the range.
    """
    if not 0 <= index < count:
        raise InputError(f"got {what} {index}; there are {what}s 0 to {count - 1}.")
    return index


def _vector(vector: ArrayLike, width: int | None, where: str) -> torch.Tensor:
    import torch

    given = torch.as_tensor(vector).detach().float()
    if given.ndim != 1 or (width is not None and len(given) != width):
        expected = "one axis" if width is None else f"[{width}]"
        raise InputError(
            f"got a direction of shape {list(given.shape)} for {where}; expected {expected}."
        )
    if not given.isfinite().all() or given.norm() == 0:
        raise InputError(
            f"got a direction for {where} that is zero or not finite; it points nowhere."
        )
    return given
