"""What a router decided: the experts that each token chose, and how its weight is shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["choices"]


def choices(routing: torch.Tensor) -> tuple[Floats, Floats]:
    """Which experts each token chose (1 or 0), and their shares of its weight.

    An expert is chosen where it gets a weight that is not 0. A token with a weight that is not
    finite has NaN throughout.

    Args:
        routing: the value of the site, `[text, pos, expert]`.
    """
    weights = routing.cpu().double().numpy()
    # A scale of its own for each expert (Gemma 4) may be negative: what counts is how much.
    sizes = np.abs(weights)
    total = sizes.sum(axis=-1, keepdims=True)
    shares = np.divide(sizes, total, out=np.full_like(sizes, np.nan), where=total > 0)
    return np.where(np.isfinite(total), weights != 0, np.nan), shares
