"""The logit lens: what the model would say if it stopped after each layer.

The residual stream is read through the model's own final norm and output head
(nostalgebraist 2020, "interpreting GPT: the logit lens").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.batches import in_batches
from workbench.forward import forward
from workbench.interpret.lenses.stream import stream_sites
from workbench.interpret.pairs import logit_difference
from workbench.stats import bootstrap_mean
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    import torch

    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model

__all__ = ["logit_lens"]

TOKENS_AT_ONCE = 2048


def logit_lens(model: Model, pairs: EncodedPairs) -> Result:
    """The logit difference after each layer, for the clean and the corrupted prompts.

    Returns:
        `prompt` (clean or corrupted), `layer` (0 is the embedding), and the row of the estimate:
        the mean over pairs of logit(answer) - logit(foil), in nats.

    Raises:
        InputError: for pairs whose answers are measured in full.
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
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "logit lens",
        "sites": list(map(str, stream_sites(model))),
    }
    return Result.of("logit_lens", rows, provenance, chart)


def _by_layer(model: Model, tokens: torch.Tensor, pairs: EncodedPairs) -> list[torch.Tensor]:
    """For the embedding and after each layer, the logit differences `[pair]`."""
    import torch

    sites = stream_sites(model)

    def ends(part: slice) -> torch.Tensor:
        values = forward(model, tokens[part], read=sites).values
        return torch.stack([values[site][:, -1] for site in sites])

    with torch.no_grad():
        size = max(1, TOKENS_AT_ONCE // tokens.shape[1])
        stream = torch.cat([done for _, done in in_batches(ends, len(tokens), size)], dim=1)
        return [logit_difference(model.anatomy.unembed(layer), pairs) for layer in stream]
