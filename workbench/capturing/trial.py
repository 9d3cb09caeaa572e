"""What is asked for, against what the model has: sites, their shapes, and a dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.capturing.shards import BYTES, SiteRecord
from workbench.errors import InputError, ModelError, did_you_mean
from workbench.forward import forward, sites_in
from workbench.sites import VOCABULARY, Site, expand_sites

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import torch

    from workbench.model import Model

__all__ = ["dtype_name", "resolved_sites", "tried"]

_OF_A_TEXT = {"pos", "query", "key"}


def resolved_sites(model: Model, asked: str | Site | Iterable[str | Site]) -> tuple[Site, ...]:
    """The sites that are asked for; a name alone means every layer that has it."""
    given = (asked,) if isinstance(asked, (str, Site)) else tuple(asked)
    named: list[str | Site] = []
    for one in given:
        named += sites_in(model, one) if isinstance(one, str) and "." not in one else [one]
    sites = expand_sites(named, model.anatomy.n_layers)
    for site in sites:
        model.anatomy.place(site)  # raises for a site that the layer does not have
    return sites


def tried(
    model: Model, sites: tuple[Site, ...], ids: np.ndarray
) -> tuple[tuple[SiteRecord, ...], str]:
    """The sites' shapes, and the widest dtype that one is computed in.

    Found by a pass over the first two of these tokens `[pos]`.
    """
    import torch

    tokens = torch.from_numpy(ids[None, :2].astype("int64"))
    with torch.no_grad():
        values = forward(model, tokens.to(model.device), read=sites).values
    dtype = values[sites[0]].dtype
    for value in values.values():
        dtype = torch.promote_types(dtype, value.dtype)
    name = str(dtype).removeprefix("torch.")
    if name not in BYTES:
        raise ModelError(f"{sites[0]} is computed as {name}; expected one of {', '.join(BYTES)}.")
    return tuple(_record(site, values[site].shape, tokens.shape[1]) for site in sites), name


def _record(site: Site, shape: Sequence[int], length: int) -> SiteRecord:
    named = list(zip(VOCABULARY[site.name].axes, shape[1:], strict=True))
    if any(size != length for axis, size in named if axis in _OF_A_TEXT):
        raise ModelError(
            f"{site} of {length} tokens has the shape {list(shape[1:])}; expected "
            f"{', '.join(axis for axis, _ in named)}. It cannot be captured in this model."
        )
    sizes = tuple(None if axis in _OF_A_TEXT else size for axis, size in named)
    return SiteRecord(site=str(site), shape=sizes)


def dtype_name(dtype: str | torch.dtype | None) -> str | None:
    """The name of a dtype that values are to be stored as; None where they stay as computed.

    Raises:
        InputError: for one that they cannot be stored as.
    """
    if dtype is None:
        return None
    name = str(dtype).removeprefix("torch.")
    if name not in BYTES:
        raise InputError(
            f"Values cannot be stored as {name!r}; expected one of {', '.join(BYTES)}. "
            + did_you_mean(name, BYTES)
        )
    return name
