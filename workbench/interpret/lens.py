"""The logit lens: what the model would say if it stopped after each layer.

The residual stream is read through the model's own final norm and output head
(nostalgebraist 2020, "interpreting GPT: the logit lens").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.interpret.pairs import logit_difference
from workbench.stats import bootstrap_mean
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    import torch

    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model

__all__ = ["logit_lens"]


def logit_lens(model: Model, pairs: EncodedPairs) -> Result:
    """The logit difference after each layer, for the clean and the corrupted prompts.

    Returns:
        `prompt` (clean or corrupted), `layer` (0 is the embedding), and the row of the estimate:
        the mean over pairs of logit(answer) - logit(foil), in nats.
    """
    rows = []
    for prompt, tokens in (("clean", pairs.clean), ("corrupted", pairs.corrupted)):
        for layer, differences in enumerate(_by_layer(model, tokens, pairs)):
            estimate = bootstrap_mean(differences.cpu().numpy())
            rows.append({"prompt": prompt, "layer": layer, **estimate.row()})
    chart = Chart(
        kind="lines",
        options={
            "x": "layer",
            "y": "estimate",
            "series": "prompt",
            "low": "low",
            "high": "high",
            "reference": 0,
            "title": "Logit lens: answer against foil after each layer",
            "x_title": "layers run (0: the embedding)",
            "y_title": "logit difference, nats",
            "alt": "The logit difference of answer and foil read after each layer, for clean and "
            "corrupted prompts, with intervals.",
        },
    )
    provenance = {"weights_digest": model.provenance.weights_digest, "method": "logit lens"}
    return Result.of("logit_lens", rows, provenance, chart)


def _by_layer(model: Model, tokens: torch.Tensor, pairs: EncodedPairs) -> list[torch.Tensor]:
    """For the embedding and after each layer, the logit differences `[pair]`."""
    import torch

    bridge = model.bridge
    sites = ["blocks.0.hook_resid_pre"]
    sites += [f"blocks.{layer}.hook_resid_post" for layer in range(model.n_layers)]
    with torch.no_grad():
        _, cache = bridge.run_with_cache(tokens, names_filter=lambda name: name in sites)
        return [
            logit_difference(bridge.unembed(bridge.ln_final(cache[site][:, -1:])), pairs)
            for site in sites
        ]
