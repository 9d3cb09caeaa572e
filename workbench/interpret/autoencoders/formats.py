"""What the configs of published sparse autoencoders mean; what would need more is refused.

SAELens, versions 1 to 6 (`sae_lens/saes/*.py`), and sparsify (`sparsify/sparse_coder.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ModelError, did_you_mean
from workbench.interpret.autoencoders.autoencoder import SparseAutoencoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from workbench.interpret.autoencoders.autoencoder import Architecture, Normalisation
    from workbench.sites import Site

    Settings = Mapping[str, Any]
    Tensors = Mapping[str, torch.Tensor]

__all__ = ["from_saelens", "from_sparsify", "hook_of"]

# Architecture -> our names of the tensors, and SAELens'.
_BOTH = {"encoder": "W_enc", "decoder": "W_dec", "decoder_bias": "b_dec"}
_SAELENS: dict[Architecture, dict[str, str]] = {
    "standard": {**_BOTH, "encoder_bias": "b_enc"},
    "topk": {**_BOTH, "encoder_bias": "b_enc"},
    "jumprelu": {**_BOTH, "encoder_bias": "b_enc", "threshold": "threshold"},
    "gated": {**_BOTH, "encoder_bias": "b_mag", "gate_bias": "b_gate", "gain": "r_mag"},
}
_SPARSIFY = {
    "encoder": "encoder.weight",
    "encoder_bias": "encoder.bias",
    "decoder": "W_dec",
    "decoder_bias": "b_dec",
}
_NORMALISATIONS: tuple[Normalisation, ...] = ("none", "constant_norm_rescale", "layer_norm")
# What is kept of a config: how the autoencoder was trained.
_KEPT = ("model_name", "hook_name", "hook_point", "context_size", "prepend_bos", "dataset_path")
_LONGEST = 200


def hook_of(settings: Settings) -> str | None:
    """The hook that a config of SAELens names."""
    merged = _merged(settings)
    hook = merged.get("hook_name", merged.get("hook_point"))
    return hook[:_LONGEST] if isinstance(hook, str) else None


def from_saelens(site: Site, settings: Settings, tensors: Tensors) -> SparseAutoencoder:
    """The autoencoder of SAELens' files.

    Raises:
        ModelError: for a setting that is not read, or tensors of wrong names or shapes.
    """
    merged = _merged(settings)
    architecture = _architecture(merged)
    _refuse_what_is_not_read(merged)
    named = _shaped(_named(_SAELENS[architecture], _without_ones(tensors)), merged)
    if architecture == "topk" and _flag(merged, "rescale_acts_by_decoder_norm"):
        named = _folded(named)
    kwargs = merged.get("model_from_pretrained_kwargs")
    return SparseAutoencoder(
        site=site,
        architecture=architecture,
        tensors=named,
        k=_k(merged, named) if architecture == "topk" else None,
        takes_bias=_flag(merged, "apply_b_dec_to_input", usual=True),
        normalisation=_normalisation(merged),
        centred=isinstance(kwargs, dict) and _flag(kwargs, "center_writing_weights"),
        provenance=_kept(merged),
    )


def from_sparsify(site: Site, settings: Settings, tensors: Tensors) -> SparseAutoencoder:
    """The autoencoder of sparsify's files.

    Raises:
        ModelError: for a transcoder, another activation than topk, or wrong tensors.
    """
    for name in ("transcode", "skip_connection"):
        if _flag(settings, name):
            raise ModelError(
                f"it is a transcoder ({name}): it does not reconstruct what it reads, and is not "
                "read."
            )
    activation = settings.get("activation", "topk")
    if activation != "topk":
        raise ModelError(f"its activation is {_shown(activation)}; read is topk alone.")
    named = _named(_SPARSIFY, tensors)
    if named["encoder"].ndim == 2:  # noqa: PLR2004 - else refused below, by its shape
        named["encoder"] = named["encoder"].T.contiguous()
    named = _shaped(named, settings)
    return SparseAutoencoder(
        site=site,
        architecture="topk",
        tensors=named,
        k=_k(settings, named),
        takes_bias=True,
        provenance=_kept(settings),
    )


def _merged(settings: Settings) -> dict[str, Any]:
    """SAELens 6 keeps in `metadata` what older versions kept beside the rest."""
    metadata = settings.get("metadata")
    return {**(metadata if isinstance(metadata, dict) else {}), **settings}


def _flag(settings: Settings, name: str, *, usual: bool = False) -> bool:
    stated = settings.get(name, usual)
    if stated is not True and stated is not False:
        raise ModelError(f"it states {name}={_shown(stated)}; expected true or false.")
    return stated


def _architecture(settings: Settings) -> Architecture:
    stated = settings.get("architecture", "standard")
    activation = settings.get("activation_fn_str", settings.get("activation_fn", "relu"))
    if stated == "standard" and activation == "topk":
        return "topk"
    for known in _SAELENS:
        if stated == known and (activation in ("relu", None) or known == "topk"):
            return known
    if stated in tuple(_SAELENS):
        raise ModelError(
            f"its activation function is {_shown(activation)}; read are relu and topk."
        )
    raise ModelError(
        f"its architecture is {_shown(stated)}, which is not read. "
        f"{did_you_mean(str(stated), _SAELENS)}"
    )


def _normalisation(settings: Settings) -> Normalisation:
    stated = settings.get("normalize_activations") or "none"
    for known in _NORMALISATIONS:
        if stated == known:
            return known
    raise ModelError(
        f"its activations are normalised by {_shown(stated)}; read are "
        f"{', '.join(_NORMALISATIONS)}. Where the factor is a constant, fold it into the weights "
        "first (SAELens' fold_activation_norm_scaling_factor)."
    )


def _refuse_what_is_not_read(settings: Settings) -> None:
    head = settings.get("hook_head_index", settings.get("hook_point_head_index"))
    if head is not None:
        raise ModelError(f"it reads one head ({_shown(head)}) of its hook; read are whole sites.")
    out = settings.get("hook_name_out")
    if out is not None and out != settings.get("hook_name"):
        raise ModelError("it is a transcoder: it writes at another hook than it reads.")
    reshape = settings.get("reshape_activations") or "none"
    if reshape not in ("none", "hook_z"):
        raise ModelError(
            f"its activations are reshaped by {_shown(reshape)}; read are none and hook_z."
        )


def _without_ones(tensors: Tensors) -> Tensors:
    """Old versions saved a factor for finetuning also where there was none."""
    factor = tensors.get("scaling_factor")
    if factor is None or not bool((factor == 1).all()):
        return tensors
    return {name: tensor for name, tensor in tensors.items() if name != "scaling_factor"}


def _named(names: Mapping[str, str], tensors: Tensors) -> dict[str, torch.Tensor]:
    missing = sorted(set(names.values()) - tensors.keys())
    unknown = sorted(tensors.keys() - set(names.values()))
    if missing or unknown:
        raise ModelError(
            f"its weights lack {', '.join(missing) or 'nothing'}, and hold "
            f"{', '.join(unknown[:5]) or 'nothing'} beyond what is read; expected exactly "
            f"{', '.join(names.values())}."
        )
    return {ours: tensors[theirs] for ours, theirs in names.items()}


def _shaped(named: dict[str, torch.Tensor], settings: Settings) -> dict[str, torch.Tensor]:
    """The tensors, where their shapes fit each other and the config."""
    decoder = list(named["decoder"].shape)
    stated = [settings.get("d_sae"), settings.get("d_in")]
    if len(decoder) != 2 or 0 in decoder:  # noqa: PLR2004 - [d_sae, d_in]
        raise ModelError(f"its decoder has the shape {decoder}; expected [d_sae, d_in].")
    if any(size is not None and size != found for size, found in zip(stated, decoder, strict=True)):
        raise ModelError(
            f"its decoder has the shape {decoder}; its config says d_sae={_shown(stated[0])} and "
            f"d_in={_shown(stated[1])}."
        )
    d_sae, d_in = decoder
    shapes = {"decoder": [d_sae, d_in], "encoder": [d_in, d_sae], "decoder_bias": [d_in]}
    for name, tensor in named.items():
        expected = shapes.get(name, [d_sae])
        if list(tensor.shape) != expected:
            raise ModelError(
                f"its {name.replace('_', ' ')} has the shape {list(tensor.shape)}; expected "
                f"{expected} beside a decoder of {decoder}."
            )
    return named


def _folded(named: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The decoder's lengths in the encoder, where the largest are chosen by what they decode to."""
    length = named["decoder"].norm(dim=-1)
    if not bool((length > 0).all()):
        raise ModelError("its decoder has features of length 0, by which it divides.")
    return named | {
        "encoder": named["encoder"] * length,
        "encoder_bias": named["encoder_bias"] * length,
        "decoder": named["decoder"] / length[:, None],
    }


def _k(settings: Settings, named: Tensors) -> int:
    kwargs = settings.get("activation_fn_kwargs")
    k = settings.get("k", kwargs.get("k") if isinstance(kwargs, dict) else None)
    features = named["decoder"].shape[0]
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= features:
        raise ModelError(f"it keeps the k={_shown(k)} largest features; expected 1 to {features}.")
    return k


def _kept(settings: Settings) -> dict[str, str]:
    return {
        f"sae_{name}": str(settings[name])[:_LONGEST]
        for name in _KEPT
        if settings.get(name) is not None
    }


def _shown(value: object) -> str:
    """As it stands in the config, and no longer than can be read."""
    return repr(value)[:_LONGEST]
