"""Fidelity: do the hooks show what the plain Hugging Face model computes?

The captured residual stream is compared, layer by layer, with the hidden states of a second,
untouched copy of the model loaded from the same files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.tables import Result

if TYPE_CHECKING:
    import torch

    from workbench.model import Model

__all__ = ["fidelity"]


def fidelity(model: Model, tokens: torch.Tensor) -> Result:
    """For the residual stream after each layer, and the logits: how far capture and plain agree.

    Args:
        model: a loaded model.
        tokens: ids `[prompt, pos]`, all of equal length.

    Returns:
        `site`, `layer` (missing for the logits), `cosine` (the smallest over prompts and
        positions), `largest_difference`, `prompts`.
    """
    import torch

    bridge = model.bridge
    layers = range(model.n_layers)
    sites = [f"blocks.{layer}.hook_resid_post" for layer in layers]
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(tokens, names_filter=lambda name: name in sites)
        plain = model.plain()(tokens, output_hidden_states=True)
        captured = [cache[site] for site in sites]
        # Hugging Face gives the last hidden state after the final norm.
        captured[-1] = bridge.ln_final(captured[-1])
        rows = [
            _row("resid_post", layer, captured[layer], plain.hidden_states[layer + 1])
            for layer in layers
        ]
        rows.append(_row("logits", None, logits, plain.logits))
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "hooked run against a plain Hugging Face forward, eager attention",
    }
    return Result.of("fidelity", rows, provenance)


def _row(
    site: str, layer: int | None, captured: torch.Tensor, plain: torch.Tensor
) -> dict[str, object]:
    import torch

    captured, plain = captured.double(), plain.double()
    cosine = torch.nn.functional.cosine_similarity(captured, plain, dim=-1)
    return {
        "site": site,
        "layer": layer,
        "cosine": cosine.min().item(),
        "largest_difference": (captured - plain).abs().max().item(),
        "prompts": captured.shape[0],
    }
