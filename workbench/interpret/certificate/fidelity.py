"""Fidelity: do the hooks show what the plain Hugging Face model computes?

Every captured value is held against a network made anew from the config around the same weights,
which is run by transformers alone. Where transformers itself reports a value (hidden states,
attentions), that is the reference; elsewhere it is what the plain module was given or gave. And
the parts must add up: what attention and MLP are said to add is what the layer added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import ModelError
from workbench.forward import forward
from workbench.interpret.certificate.plain_run import PlainRun, plain_run
from workbench.sites import Site, expand_sites
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

    from workbench.anatomy import Anatomy
    from workbench.model import Model

__all__ = ["LEAST_COSINE", "fidelity", "require_faithful"]

LEAST_COSINE = 1 - 1e-4
"""A captured value with a smaller cosine to the plain one, anywhere, is not faithful."""

_UNKNOWN = float("nan")

_PARTS = ("resid_pre", "attn_out", "mlp_out", "resid_post")


def fidelity(
    model: Model, tokens: torch.Tensor, sites: str | Site | Iterable[str | Site] = "resid_post"
) -> Result:
    """The certificate of some sites: for each layer, how far captured and plain values agree.

    Args:
        model: a loaded model.
        tokens: ids `[prompt, pos]`, all of equal length.
        sites: those that an analysis uses. A name alone means every layer that has it.

    Returns:
        `site`, `layer` (missing for the logits, which come last), `against` (what the reference
        is), `cosine` (the smallest over prompts and positions), `largest_difference`,
        `unexplained` (the share of the value that its parts do not add up to; missing where that
        cannot be said), `prompts`, and the `verdict`: `pass` or `fail`.

    Raises:
        InputError: for an unknown site, a layer that is not there, or tokens that do not fit.
        ModelError: for a site that the model does not have.
    """
    import torch

    wanted = _present(model.anatomy, sites)
    layers = {site.layer for site in wanted}
    parts = {
        Site(name, layer)
        for layer in layers
        for name in _PARTS
        if name in model.anatomy.sites_of(layer)
    }
    with torch.no_grad():
        captured = forward(model, tokens, read={*wanted, *parts}, logits="all")
        plain = plain_run(model, tokens, wanted)
        rows = [_compared(site, plain, captured.values) for site in wanted]
    rows.append(
        {
            **_row("logits", None, captured.logits, plain.output.logits),
            "against": "logits",
            "unexplained": _UNKNOWN,
        }
    )
    least = _least_sum(model.hf.dtype)
    for row in rows:
        row["verdict"] = _verdict(row["cosine"], row["unexplained"], least)
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "hooked run against a plain Hugging Face forward of the same weights, eager "
        f"attention; cosine of at least {LEAST_COSINE}",
        "sites": [str(site) for site in wanted],
    }
    columns = ("site", "layer", "against", "cosine", "largest_difference", "unexplained")
    ordered = [{key: row[key] for key in (*columns, "prompts", "verdict")} for row in rows]
    return Result.of("fidelity", ordered, provenance)


def require_faithful(certificate: Result) -> None:
    """Go on only where every site of a certificate passed.

    Raises:
        ModelError: naming the sites that did not, and how far they are off.
    """
    frame = certificate.frame()
    failed = frame[frame["verdict"] != "pass"]
    if failed.empty:
        return
    places = [
        f"{row['site']} of layer {row['layer']:.0f} (cosine {row['cosine']:.4f})".replace(
            " of layer nan", ""
        )
        for row in failed.to_dict("records")
    ]
    raise ModelError(
        f"The hooks do not show what the plain model computes at {', '.join(places[:5])}"
        f"{f' and {len(places) - 5} more' if len(places) > 5 else ''}. "  # noqa: PLR2004
        "Nothing that rests on these sites is concluded."
    )


def _present(anatomy: Anatomy, sites: str | Site | Iterable[str | Site]) -> tuple[Site, ...]:
    """The sites asked for; a name alone means the layers that have it, of which one must be."""
    asked = (sites,) if isinstance(sites, (str, Site)) else tuple(sites)
    found: set[Site] = set()
    for one in asked:
        some = expand_sites(one, anatomy.n_layers)
        if isinstance(one, str) and "." not in one:
            there = [site for site in some if site.name in anatomy.sites_of(site.layer)]
            some = tuple(there) or some[-1:]
        for site in some:
            anatomy.place(site)  # raises with the reason where it is not there
        found.update(some)
    return expand_sites(found, anatomy.n_layers)


def _compared(site: Site, plain: PlainRun, captured: Mapping[Site, torch.Tensor]) -> dict[str, Any]:
    value, reference, against = plain.compare(site, captured[site])
    unexplained = _Sums(plain, captured).unexplained(site)
    row = _row(site.name, site.layer, value, reference)
    return {**row, "against": against, "unexplained": unexplained}


def _row(
    site: str, layer: int | None, captured: torch.Tensor | None, plain: torch.Tensor
) -> dict[str, Any]:
    import torch

    assert captured is not None
    captured, plain = captured.double(), plain.double()
    cosine = torch.nn.functional.cosine_similarity(captured, plain, dim=-1)
    # Two values that are zero agree, and have no angle.
    cosine = torch.where((captured == 0).all(-1) & (plain == 0).all(-1), 1.0, cosine)
    return {
        "site": site,
        "layer": layer,
        "cosine": cosine.min().item(),
        "largest_difference": (captured - plain).abs().max().item(),
        "prompts": captured.shape[0],
    }


def _verdict(cosine: float, unexplained: float, least: float) -> str:
    adds_up = not unexplained > least  # missing is no objection
    return "pass" if cosine >= LEAST_COSINE and adds_up else "fail"


def _least_sum(dtype: torch.dtype) -> float:
    """How far parts may miss their sum: rounding grows as the weights' precision falls."""
    import torch

    return max(1e-4, 8 * torch.finfo(dtype).eps)


@dataclass(frozen=True)
class _Sums:
    """Whether captured parts add up to what the layer did in the plain run."""

    plain: PlainRun
    captured: Mapping[Site, torch.Tensor]

    def unexplained(self, site: Site) -> float:
        """The largest share, over positions, of a value that its parts do not explain."""
        anatomy, layer = self.plain.anatomy, site.layer
        layout, value = anatomy.layout, self.captured[site]
        pre, attention, mlp, post = (self.captured[Site(name, layer)] for name in _PARTS)
        # Where a norm stands behind a block, its matrix does not give what the block adds.
        through = {
            "head_out": (layout.output_matrix, attention, layout.attn_out == layout.attention),
            "neurons": (layout.down, mlp, layout.mlp_out == layout.mlp),
            "mlp_in": (layout.mlp, mlp, layout.mlp_out == layout.mlp),
        }
        if site.name in through:
            path, whole, direct = through[site.name]
            given = value.flatten(-2) if site.name == "head_out" else value
            return _share(anatomy.part(layer, path)(given) - whole, whole) if direct else _UNKNOWN
        if site.name == "resid_mid":
            return _share(pre + attention - value, value)
        # A layer that scales what it leaves is no sum of its parts.
        if site.name in {"attn_out", "mlp_out"} and not hasattr(
            anatomy.layers[layer], "layer_scalar"
        ):
            return _share(pre + attention + mlp - post, post)
        return _UNKNOWN


def _share(rest: torch.Tensor, whole: torch.Tensor) -> float:
    length = whole.double().norm(dim=-1).clamp_min(1e-12)
    return float((rest.double().norm(dim=-1) / length).max())
