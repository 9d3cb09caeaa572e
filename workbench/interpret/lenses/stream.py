"""The residual stream layer by layer, and the distributions that the output head reads from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.sites import Site

if TYPE_CHECKING:
    import torch

    from workbench.model import Model

__all__ = ["LOGITS_AT_ONCE", "divergence", "log_probabilities", "stream_sites"]

LOGITS_AT_ONCE = 2**26
"""Tokens x vocabulary that are held together: a quarter of a gigabyte."""


def stream_sites(model: Model) -> tuple[Site, ...]:
    """Where the stream is read after 0, 1, … all layers have run: 0 is the embedding."""
    layers = range(model.n_layers)
    return (Site("resid_pre", 0), *(Site("resid_post", layer) for layer in layers))


def log_probabilities(model: Model, residual: torch.Tensor) -> torch.Tensor:
    """What the final norm and the output head say of a residual stream, in nats.

    Args:
        model: a loaded model.
        residual: `[..., d_model]`.

    Returns:
        `[..., vocabulary]`, in float32.
    """
    import torch

    return torch.log_softmax(model.anatomy.unembed(residual).float(), dim=-1)


def divergence(final: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """KL(final || other) of log-probabilities `[..., vocabulary]`, in nats `[...]`."""
    return (final.exp() * (final - other)).sum(dim=-1)
