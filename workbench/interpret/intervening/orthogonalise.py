"""Direction ablation written into the weights: a model that cannot write along the direction.

Every matrix that writes into the residual stream is made orthogonal to it, with its bias: the
embeddings, attention's output matrices, the MLPs', the experts' (Arditi et al. 2024, arXiv
2406.11717, section 4.1 and appendix E). Where nothing stands between these matrices and the
stream, this is the same function as projecting the direction out of every activation.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.errors import ModelError
from workbench.forward import forward
from workbench.interpret.intervening.derived import DerivationRecord, Derived
from workbench.interpret.intervening.interventions import ablated
from workbench.interpret.intervening.writers import Writer, refuse_quantised, writers
from workbench.network import made_anew, quiet
from workbench.provenance import code_version
from workbench.sites import Site

if TYPE_CHECKING:
    import torch

    from workbench.anatomy import Anatomy
    from workbench.interpret.intervening.directions import Direction
    from workbench.model import Model

__all__ = ["orthogonalise"]

METHOD = "weights orthogonalised: what writes into the residual stream cannot write the direction"

PLAIN = ("float32", "float16", "bfloat16")
NUMBERS_AT_ONCE = 1 << 24
CHECKED_ROWS, CHECKED_TOKENS = 2, 16


def orthogonalise(model: Model, direction: Direction) -> Derived:
    """The model with weights that cannot write along a direction. The model itself stays as it is.

    Where the embedding is the output head too, the two are taken apart: the head keeps its weights,
    because it reads the stream and does not write into it.

    The result is checked before it is given: on random tokens, what each layer is given and what
    attention and MLPs add has no part along the direction, and the logits are compared with those
    of the model whose activations are projected.

    Args:
        model: a loaded model. The matrices that change take memory again.
        direction: measured on it.

    Raises:
        InputError: for a direction of another model.
        ModelError: for a family whose layers have a norm between these matrices and the stream,
            weights that are quantised or not finite, and a family of which not all of what writes
            is known.
    """
    direction.require(model)
    _require_no_norm(model.anatomy)
    _require_numbers(model)
    network = _untied(model.hf)
    changed = list(writers(network))
    for writer in changed:
        setattr(writer.module, writer.name, _projected(writer, direction.unit.double()))
    derived = _as_model(model, network, direction)
    left, difference = _check(model, derived, direction)
    record = DerivationRecord(
        method=METHOD,
        # A path would name a folder of this machine; the digest names the weights.
        parent=model.name if model.checkpoint.kind == "local" else model.checkpoint.source,
        parent_revision=model.provenance.revision,
        parent_weights_digest=model.provenance.weights_digest,
        parent_licence=model.provenance.licence,
        direction=direction.record,
        direction_digest=direction.digest,
        changed=tuple(writer.path for writer in changed),
        head_untied=_is_tied(model.hf),
        dtype=model.provenance.dtype,
        left_along=left,
        logits_against_activations=difference,
        code=code_version(),
    )
    return Derived(derived, record)


def _projected(writer: Writer, unit: torch.Tensor) -> torch.nn.Parameter:
    """The same tensor with nothing along the direction on the stream's axis."""
    import torch

    weight = getattr(writer.module, writer.name).detach()
    if str(weight.dtype).removeprefix("torch.") not in PLAIN:
        refuse_quantised(f"{writer.path} holds {weight.dtype}")
    new = torch.empty_like(weight)
    given, made = (one.movedim(writer.axis, -1) for one in (weight, new))
    if weight.ndim == 1:
        given, made = given[None], made[None]
    size = max(1, NUMBERS_AT_ONCE // given[0].numel())
    for start in range(0, len(given), size):
        # 64 bits, so that what is rounded is the result alone.
        part = given[start : start + size].cpu().double()
        part = part - (part @ unit)[..., None] * unit
        made[start : start + size] = part.to(made)
    return torch.nn.Parameter(new, requires_grad=weight.requires_grad)


def _untied(network: Any) -> Any:
    """A network on the same tensors whose output head is no longer the embedding."""
    config = copy.deepcopy(network.config)
    for settings in (config, config.get_text_config()):
        settings.tie_word_embeddings = False
    with quiet():
        return made_anew(network, config)


def _is_tied(network: Any) -> bool:
    return network.get_output_embeddings().weight is network.get_input_embeddings().weight


def _as_model(model: Model, network: Any, direction: Direction) -> Model:
    """The changed network with a provenance that is not the parent's."""
    parent = model.provenance
    made = f"{METHOD}\n{parent.weights_digest}\n{direction.digest}"
    update = {
        "source": f"{parent.source}, orthogonalised to {direction.name}",
        "weights_digest": hashlib.sha256(made.encode()).hexdigest(),
        "files": (),
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }
    return replace(
        model,
        hf=network,
        name=f"{model.name}-orthogonalised",
        provenance=parent.model_copy(update=update),
    )


def _require_no_norm(anatomy: Anatomy) -> None:
    layout = anatomy.layout
    if layout.attn_out == layout.attention and layout.mlp_out == layout.mlp:
        return
    raise ModelError(
        f"In a {layout.layer} a norm stands between the matrices that write and the residual "
        "stream: it rescales what they give by its length, so that no weights do what projecting "
        "the direction out does. Project it out of the activations instead (`ablated`)."
    )


def _require_numbers(model: Model) -> None:
    if getattr(model.hf.config, "quantization_config", None) is not None:
        refuse_quantised("its config states a quantisation")
    if model.provenance.non_finite:
        raise ModelError(
            f"{model.name}: {model.provenance.non_finite[0]} holds numbers that are not finite; "
            "weights that are broken cannot be orthogonalised."
        )


def _check(model: Model, derived: Model, direction: Direction) -> tuple[float, float]:
    """What is still written along the direction, and how far the logits are from projecting.

    Raises:
        ModelError: where more is written than rounding explains.
    """
    import torch

    length = min(CHECKED_TOKENS, model.context_length or CHECKED_TOKENS)
    tokens = torch.randint(
        model.provenance.vocabulary,
        (CHECKED_ROWS, length),
        generator=torch.Generator().manual_seed(0),
    ).to(model.device)
    layers = range(model.n_layers)
    sites = [Site(name, at) for at in layers for name in ("resid_pre", "attn_out", "mlp_out")]
    sites.append(Site("resid_post", model.n_layers - 1))
    with torch.no_grad():
        given = forward(derived, tokens, read=sites, logits="all")
        with ablated(model, direction):
            wanted = forward(model, tokens, logits="all").logits
    assert given.logits is not None
    assert wanted is not None
    allowed = max(1e-5, 8 * torch.finfo(given.logits.dtype).eps)
    largest = 0.0
    for site, value in given.values.items():
        exact = value.float().cpu()
        part = (exact @ direction.unit).abs().max() / exact.norm(dim=-1).max().clamp(min=1e-30)
        if not part <= allowed:
            raise ModelError(
                f"After orthogonalising, {site} of this {model.anatomy.layout.layer} still has "
                f"{part:.2g} of its length along the direction: something writes into its residual "
                "stream that is not known here. Project the direction out of the activations "
                "instead (`ablated`)."
            )
        largest = max(largest, float(part))
    return largest, float((given.logits.float() - wanted.float()).abs().max())
