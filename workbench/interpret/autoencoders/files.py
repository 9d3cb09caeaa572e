"""Sparse autoencoders from local files, each of which is checked; no pickle is opened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import InputError, ModelError, UnsafeWeightsError
from workbench.interpret.autoencoders.formats import from_saelens, from_sparsify, hook_of
from workbench.interpret.autoencoders.hooks import site_of_hook
from workbench.provenance import sha256
from workbench.sites import Site
from workbench.weights import PICKLES, read_json

if TYPE_CHECKING:
    import torch

    from workbench.interpret.autoencoders.autoencoder import SparseAutoencoder

__all__ = ["load_sae"]

CONFIG = "cfg.json"
FORMATS = {
    "sae_weights.safetensors": ("SAELens", from_saelens),
    "sae.safetensors": ("sparsify", from_sparsify),
}


def load_sae(
    path: str | Path, *, site: str | Site | None = None, centred: bool | None = None
) -> SparseAutoencoder:
    """The sparse autoencoder in a folder.

    Read are SAELens' files (`cfg.json`, `sae_weights.safetensors`) of the architectures standard,
    topk, jumprelu and gated, and those of EleutherAI's sparsify (`cfg.json`, `sae.safetensors`).

    Args:
        path: the folder.
        site: what it reads, such as "resid_post.3"; where it is None, what its config says
            (`blocks.3.hook_resid_post`), or the folder's name (`layers.3`).
        centred: whether it was trained on a model whose weights TransformerLens had centred; what
            its config says where it is None. The first public ones for GPT-2 (res-jb) were, and
            their config does not say so.

    Raises:
        UnsafeWeightsError: where the weights are only there as pickles.
        ModelError: for files that are missing, corrupt, of an unknown architecture, or that hold
            wrong shapes or numbers that are not finite.
        InputError: where the site is neither given nor known.
    """
    folder = Path(path)
    weights = _weights(folder)
    settings = read_json(folder / CONFIG)
    name, read = FORMATS[weights.name]
    try:
        place = _site(folder, site, hook_of(settings))
        found = read(place, settings, _tensors(weights))
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    provenance = {
        "sae_format": name,
        "sae_weights": sha256(weights),
        "sae_config": sha256(folder / CONFIG),
    }
    return replace(
        found,
        centred=found.centred if centred is None else centred,
        provenance={**found.provenance, **provenance},
    )


def _weights(folder: Path) -> Path:
    """The file of weights in a folder, of a format that is read."""
    if folder.suffix.lower() in PICKLES:
        raise _unsafe(folder, folder.name)
    if not folder.is_dir():
        raise ModelError(
            f"{folder}: no such folder; expected one with {CONFIG} and {' or '.join(FORMATS)}."
        )
    there = [folder / name for name in FORMATS if (folder / name).is_file()]
    if there and (folder / CONFIG).is_file():
        return there[0]
    names = sorted(path.name for path in folder.iterdir())
    pickles = [name for name in names if Path(name).suffix.lower() in PICKLES]
    if pickles and not there:
        raise _unsafe(folder, ", ".join(pickles))
    hint = (
        " Numpy archives (as Gemma Scope's) have to be converted: load with SAELens, save_model."
        if any(name.endswith(".npz") for name in names)
        else ""
    )
    raise ModelError(
        f"{folder}: found {', '.join(names[:5]) or 'nothing'}; expected {CONFIG} and "
        f"{' or '.join(FORMATS)}.{hint}"
    )


def _unsafe(folder: Path, names: str) -> UnsafeWeightsError:
    return UnsafeWeightsError(
        f"{folder}: the weights are only there as {names}, a format that can run code when it is "
        "read. Convert them to safetensors where you trust them; here they are not opened."
    )


def _site(folder: Path, given: str | Site | None, hook: str | None) -> Site:
    if given is not None:
        return given if isinstance(given, Site) else Site.parse(given)
    for name in (hook, folder.name):
        site = None if name is None else site_of_hook(name)
        if site is not None:
            return site
    said = "names no hook" if hook is None else f"names the hook {hook!r}, which is no site here"
    raise InputError(
        f'{folder}: its config {said}. Say what it reads: site="resid_post.3", for example.'
    )


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """In single precision, each of them finite."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path.name} is not a whole safetensors file ({error}). It was cut short or altered: "
            "download it again."
        ) from error
    for name, tensor in stored.items():
        if not tensor.is_floating_point():
            raise ModelError(f"{name} holds {tensor.dtype}; expected floating-point numbers.")
        if not tensor.float().isfinite().all():
            raise ModelError(
                f"{name} holds NaN or infinity; such an autoencoder reconstructs nothing. "
                "Download it again."
            )
    return {name: tensor.float() for name, tensor in stored.items()}
