"""What each part of a model adds to a logit difference.

The logit difference is a direction in what the output head reads. Pulled back through the final
norm, with its scale frozen, and through whatever stands between a part and the residual stream, it
becomes a direction in the part's own space: the part's contribution is its product with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.anatomy import matrix
from workbench.forward import forward
from workbench.interpret.attribution.frozen_norm import FrozenNorm
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch

    from workbench.anatomy import Anatomy
    from workbench.model import Model

    Key = tuple[str, int | None]

__all__ = ["Contributions", "contributions", "needed_sites", "values_at_end"]

SHARED = {"attention": "head_out", "MLP": "neurons"}
"""The parts that have shares, and the site of what has them."""


@dataclass(frozen=True)
class Contributions:
    """Contributions to each prompt's logit difference, in nats; parts without a layer have None.

    Attributes:
        difference: what they add up to `[prompt]`: by the model's own norm and head, uncapped.
        parts: (part, layer) -> `[prompt]`; they add up to the difference.
        shares: (part, layer) -> `[prompt, head]` of attention, `[prompt, neuron]` of an MLP. With
            the bias of the part they add up to it.
        biases: (part, layer) -> `[prompt]`; that of the final norm and head is a part of its own.
    """

    difference: torch.Tensor
    parts: dict[Key, torch.Tensor] = field(default_factory=dict)
    shares: dict[Key, torch.Tensor] = field(default_factory=dict)
    biases: dict[Key, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def joined(cls, several: Sequence[Contributions], order: torch.Tensor) -> Contributions:
        """Those of several batches, on the CPU.

        Args:
            several: of the same model and parts.
            order: which prompt, counted through all batches, comes first, second, … `[prompt]`.
        """
        import torch

        def together(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
            return torch.cat([tensor.cpu() for tensor in tensors])[order]

        def by_key(name: str) -> dict[Key, torch.Tensor]:
            maps = [getattr(one, name) for one in several]
            return {key: together(one[key] for one in maps) for key in maps[0]}

        difference = together(one.difference for one in several)
        return cls(difference, by_key("parts"), by_key("shares"), by_key("biases"))

    def gap(self) -> torch.Tensor:
        """The largest distance of a sum from its whole `[prompt]`."""
        import torch

        sums = [torch.stack(list(self.parts.values())).sum(dim=0) - self.difference]
        sums += [
            shares.sum(dim=1) + self.biases[key] - self.parts[key]
            for key, shares in self.shares.items()
        ]
        return torch.stack(sums).abs().amax(dim=0)


def needed_sites(anatomy: Anatomy, *, heads: bool, neurons: bool) -> tuple[Site, ...]:
    """The sites that the contributions are computed from."""
    last = anatomy.n_layers - 1
    sites = []
    for layer in range(anatomy.n_layers):
        names = ["attn_out", "mlp_out"]
        names += ["resid_pre"] if layer == 0 or _adds_more(anatomy, layer) else []
        names += ["resid_post"] if layer == last or _adds_more(anatomy, layer) else []
        names += ["head_out"] if heads else []
        names += ["neurons"] if neurons else []
        sites += [Site(name, layer) for name in anatomy.sites_of(layer) if name in names]
    return tuple(sites)


def values_at_end(
    model: Model, tokens: torch.Tensor, sites: Iterable[Site]
) -> dict[Site, torch.Tensor]:
    """The sites' values at the last position `[prompt, ...]`; the other positions are not kept."""
    found: dict[Site, torch.Tensor] = {}

    def looking_at(site: Site) -> Any:
        def look(value: torch.Tensor) -> torch.Tensor:
            found[site] = value[:, -1].clone()
            return value

        return look

    last = Site("resid_post", model.n_layers - 1)
    forward(model, tokens, read=[last], edit={site: looking_at(site) for site in sites})
    return found


def contributions(
    anatomy: Anatomy,
    values: Mapping[Site, torch.Tensor],
    answers: torch.Tensor,
    foils: torch.Tensor,
) -> Contributions:
    """The contributions to logit(answer) - logit(foil), before any softcap.

    Args:
        anatomy: of the model.
        values: of the needed sites at the last position `[prompt, ...]`.
        answers: token ids `[prompt]`.
        foils: the same.

    Raises:
        ModelError: for quantised weights where they are needed, and a norm of unknown form.
    """
    residual = values[Site("resid_post", anatomy.n_layers - 1)]
    logits = anatomy.head(anatomy.final_norm(residual)).float()
    found = Contributions(_picked(logits, answers) - _picked(logits, foils))
    unembed = matrix(anatomy.head)
    direction = (unembed[:, answers].float() - unembed[:, foils].float()).T
    final = FrozenNorm.at(anatomy.final_norm, residual)
    constant = direction @ final.bias
    if anatomy.head.bias is not None:
        constant += (anatomy.head.bias[answers] - anatomy.head.bias[foils]).float()
    found.parts["bias", None] = found.biases["final norm and head", None] = constant
    direction = final.pulled_back(direction)
    for layer in reversed(range(anatomy.n_layers)):
        direction = _through(anatomy, layer, values, direction, found)
    found.parts["embedding", None] = _along(values[Site("resid_pre", 0)], direction)
    return found


def _through(
    anatomy: Anatomy,
    layer: int,
    values: Mapping[Site, torch.Tensor],
    after: torch.Tensor,
    found: Contributions,
) -> torch.Tensor:
    """Note what a layer's parts contribute; the direction in the stream before the layer."""
    layout = anatomy.layout
    scale = None if layout.scale is None else anatomy.part(layer, layout.scale)
    direction = after if scale is None else after * scale.float()
    attention, mlp = (values[Site(name, layer)] for name in ("attn_out", "mlp_out"))
    found.parts["attention", layer] = _along(attention, direction)
    found.parts["MLP", layer] = _along(mlp, direction)
    if _adds_more(anatomy, layer):
        before = _along(values[Site("resid_pre", layer)], direction)
        found.parts["per-layer input", layer] = (
            _along(values[Site("resid_post", layer)], after)
            - before
            - found.parts["attention", layer]
            - found.parts["MLP", layer]
        )
    for part, name in SHARED.items():
        site = Site(name, layer)
        if site in values:
            shares, bias = _shares(anatomy, site, values[site], direction)
            found.shares[part, layer], found.biases[part, layer] = shares, bias
    return direction


def _shares(
    anatomy: Anatomy, site: Site, inputs: torch.Tensor, direction: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What each head or neuron contributes `[prompt, share]`, and the biases behind `[prompt]`."""
    output = anatomy.place(site).module
    weights = matrix(output).float()
    norm = _norm_after(anatomy, site)
    constant = direction.new_zeros(len(direction))
    if norm is not None:
        frozen = FrozenNorm.at(norm, output(inputs.flatten(1)))
        constant = constant + direction @ frozen.bias
        direction = frozen.pulled_back(direction)
    if output.bias is not None:
        constant = constant + direction @ output.bias.float()
    shares = inputs.flatten(1).float() * (direction @ weights.T)
    if site.name == "head_out":
        shares = shares.reshape(inputs.shape).sum(dim=-1)
    return shares, constant


def _norm_after(anatomy: Anatomy, site: Site) -> Any:
    """The norm between a part and the residual stream; None where the family has none."""
    layout = anatomy.layout
    own, out = (
        (layout.attention, layout.attn_out)
        if site.name == "head_out"
        else (layout.mlp, layout.mlp_out)
    )
    return None if out == own else anatomy.part(site.layer, out)


def _adds_more(anatomy: Anatomy, layer: int) -> bool:
    """Whether something besides attention and MLP adds to the stream in this layer."""
    path = anatomy.layout.extra_out
    return path is not None and anatomy.part(layer, path) is not None


def _picked(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return logits.gather(1, tokens[:, None])[:, 0]


def _along(value: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    return (value.float() * direction).sum(dim=-1)
