"""What separates two sets of texts in the residual stream: the difference of their means.

The contrast of Turner et al. 2023 (arXiv 2308.10248), averaged over many texts as by Rimsky et al.
2023 (arXiv 2312.06681) and Arditi et al. 2024 (arXiv 2406.11717).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.batches import in_batches
from workbench.errors import InputError
from workbench.forward import forward, sites_in
from workbench.interpret.intervening.directions import (
    STREAMS,
    Direction,
    DirectionRecord,
    original_digest,
)
from workbench.tokens import by_length, encode_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from workbench.model import Model
    from workbench.sites import Site

__all__ = ["Contrast", "difference_of_means", "differences_of_means"]

POSITIONS_AT_ONCE = 4096

MOST_BY_ROUNDING = 0.01
"""Of the stream's typical length, at half precision: a mean over texts is more exact than each."""


@dataclass(frozen=True)
class Contrast:
    """Two sets of texts, at least one text each; lengths may differ.

    Attributes:
        positive: where the direction points to.
        negative: where it points from.
        label: what the direction is called in records and charts.
    """

    positive: Sequence[str]
    negative: Sequence[str]
    label: str = "difference of means"


def difference_of_means(
    model: Model,
    contrast: Contrast,
    site: Site,
    *,
    position: int | None = -1,
    normalised: bool = False,
) -> Direction:
    """The direction from the mean of the negative texts to that of the positive ones, at a site.

    Args:
        model: a loaded model.
        contrast: the two sets of texts.
        site: one of `STREAMS` in one layer.
        position: the token that is read in each text, counted from the end where it is negative;
            None for the mean over all tokens of a text.
        normalised: give the vector the length 1.

    Raises:
        InputError: for no text, a text that does not have the position, another kind of site, a
            layer that is not there, two sides with the same mean.
        ModelError: for a site that the model does not have.
    """
    (found,) = _directions(model, contrast, (site,), position, normalised=normalised)
    return found


def differences_of_means(
    model: Model,
    contrast: Contrast,
    *,
    stream: str = "resid_post",
    position: int | None = -1,
    normalised: bool = False,
) -> tuple[Direction, ...]:
    """The direction at every layer that has the site, in one pass over the texts.

    Raises:
        InputError, ModelError: as `difference_of_means`.
    """
    sites = sites_in(model, stream)
    return _directions(model, contrast, sites, position, normalised=normalised)


def _directions(
    model: Model,
    contrast: Contrast,
    sites: Sequence[Site],
    position: int | None,
    *,
    normalised: bool,
) -> tuple[Direction, ...]:
    import torch

    sites = [site.at(model.n_layers) for site in sites]
    for site in sites:
        if site.name not in STREAMS:
            raise InputError(
                f"got {site}; a direction is one of the residual stream: {', '.join(STREAMS)}."
            )
    sides = (contrast.positive, contrast.negative)
    read = [_read(model, texts, sites, position) for texts in sides]
    differences = read[0].means - read[1].means
    typical = torch.cat([side.lengths for side in read], dim=1).median(dim=1).values
    sizes = differences.norm(dim=-1)
    # Equal inputs differ by what rounding makes of them in batches of another size.
    rounding = min(8 * torch.finfo(model.hf.dtype).eps, MOST_BY_ROUNDING) * typical
    differences = differences.where(~(sizes <= rounding)[:, None], 0.0)
    if normalised:
        differences = differences / sizes.where(sizes > 0, 1)[:, None]
    where = "the mean of all tokens" if position is None else f"token {position}"
    texts = json.dumps([list(side) for side in sides]).encode("utf-8", "backslashreplace")
    return tuple(
        Direction(
            vector,
            DirectionRecord(
                label=contrast.label,
                method=f"difference of means over texts, {where}",
                site=str(site),
                position=position,
                positive=len(sides[0]),
                negative=len(sides[1]),
                texts_digest=hashlib.sha256(texts).hexdigest(),
                normalised=normalised,
                stream_norm=float(length),
                weights_digest=original_digest(model),
            ),
        )
        for site, vector, length in zip(sites, differences, typical, strict=True)
    )


@dataclass(frozen=True)
class _Read:
    """One side of a contrast.

    Attributes:
        means: over its texts `[site, d_model]`.
        lengths: of the value at each token `[site, token]`.
    """

    means: torch.Tensor
    lengths: torch.Tensor


def _read(model: Model, texts: Sequence[str], sites: Sequence[Site], position: int | None) -> _Read:
    import torch

    encoded = encode_all(model, texts)
    _require_position(encoded, position)
    sums, lengths = [], []
    for _, tokens in by_length(model, encoded):

        def work(part: slice, tokens: torch.Tensor = tokens) -> torch.Tensor:
            values = forward(model, tokens[part], read=sites).values
            return torch.stack([values[site] for site in sites]).float()

        size = max(1, POSITIONS_AT_ONCE // tokens.shape[1])
        with torch.no_grad():
            for _, values in in_batches(work, len(tokens), size):
                at = values.mean(2) if position is None else values[:, :, position]
                sums.append(at.cpu().double().sum(1))
                lengths.append(values.norm(dim=-1).flatten(1).cpu())
    return _Read(torch.stack(sums).sum(0) / len(encoded), torch.cat(lengths, dim=1))


def _require_position(encoded: Sequence[Sequence[int]], position: int | None) -> None:
    if position is None:
        return
    for number, ids in enumerate(encoded):
        if not -len(ids) <= position < len(ids):
            raise InputError(
                f"got position {position}; text {number} has {len(ids)} tokens, positions 0 to "
                f"{len(ids) - 1}; pass -1 for the last of each."
            )
