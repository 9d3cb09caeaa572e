"""Direct logit attribution: how much each part of the model says for the answer against the foil.

Each part adds to the residual stream, and the logits are a linear map of the stream once the final
norm's scale is fixed: so the logit difference is a sum over the parts (Elhage et al. 2021, "A
Mathematical Framework for Transformer Circuits"; Wang et al. 2022, arXiv 2211.00593). What a part
does by way of the layers after it is theirs, and not counted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from workbench.errors import InputError, ModelError, did_you_mean
from workbench.interpret.attribution import tables
from workbench.interpret.attribution.contributions import (
    Contributions,
    contributions,
    needed_sites,
    values_at_end,
)
from workbench.interpret.pairs import EncodedPairs
from workbench.interpret.reading import over_encoded
from workbench.sites import Site
from workbench.stats import bootstrap_mean
from workbench.tokens import encode_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from workbench.interpret.reading import Batch
    from workbench.model import Model
    from workbench.stats import Estimate
    from workbench.tables import Result

__all__ = ["Attribution", "attribute"]

PROMPTS = ("clean", "corrupted")


@dataclass(frozen=True)
class Attribution:
    """What `attribute` gives. Estimates are means over the prompts, in nats.

    Attributes:
        difference: the logit difference, which the parts add up to.
        parts: one row per `part` (embedding, attention, MLP, per-layer input, bias) and `layer`.
        biases: one row per `part` whose bias it is, and `layer`: what is no head's and no neuron's.
        heads: one row per `layer` and `head`; with the bias of attention they add up to attention.
            None where they were not asked for, or the model has none.
        neurons: one row per `layer` and `neuron`, the largest first; None as for the heads.
        prompts: what was compared in each prompt: `answer`, `foil`, `difference`, and `gap`, the
            largest distance of a sum of parts from its whole.
    """

    difference: Estimate
    parts: Result
    biases: Result
    heads: Result | None
    neurons: Result | None
    prompts: Result


def attribute(  # noqa: PLR0913 - each answers a question of its own, and has a default
    model: Model,
    prompts: EncodedPairs | Iterable[str],
    *,
    prompt: Literal["clean", "corrupted"] = "clean",
    heads: bool = True,
    neurons: int = 20,
    seed: int = 0,
) -> Attribution:
    """The contribution of each part to logit(answer) - logit(foil) after the prompt.

    The logits are those before a softcap, where the family has one: the cap is no sum. Where a norm
    stands between a head or neuron and the residual stream, its scale is frozen too.

    Args:
        model: a loaded model.
        prompts: pairs with their answers and foils; or texts, after each of which the model's first
            choice is held against its second.
        prompt: which of the pairs' prompts.
        heads: whether heads are told apart.
        neurons: how many of the neurons with the largest contributions; 0 for none. The layers
            whose MLP is a mixture of experts have none.
        seed: of the intervals.

    Raises:
        InputError: for pairs whose answers are measured in full, and texts that cannot be read.
        ModelError: for quantised weights (the head's; those of heads and neurons where these are
            told apart), and where the parts do not add up to the logit difference.
    """
    if prompt not in PROMPTS:
        raise InputError(f"got prompt={prompt!r}. {did_you_mean(str(prompt), PROMPTS)}")
    if neurons < 0:
        raise InputError(f"got neurons={neurons}; expected how many to show, 0 for none.")
    encoded, chosen = _encoded(model, prompts, prompt)
    sites = needed_sites(model.anatomy, heads=heads, neurons=neurons > 0)
    found, tokens = _measured(model, encoded, chosen, sites)
    _require_sum(model, found)
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "direct logit attribution, the scale of norms frozen",
        "logits": "before the softcap" if model.anatomy.softcap is not None else "as they are",
        "sites": list(map(str, sites)),
        "prompts": f"{len(encoded)} {'texts' if chosen is None else f'{prompt} prompts'}",
        "largest_gap": found.gap().max().item(),
        "seed": seed,
    }
    return Attribution(
        difference=bootstrap_mean(found.difference.numpy(), seed=seed),
        parts=tables.parts(found, provenance, seed),
        biases=tables.biases(found, provenance, seed),
        heads=tables.heads(found, provenance, seed),
        neurons=tables.neurons(found, provenance, neurons, seed),
        prompts=tables.prompts(model, found, tokens, provenance),
    )


def _encoded(
    model: Model, prompts: EncodedPairs | Iterable[str], prompt: str
) -> tuple[list[list[int]], torch.Tensor | None]:
    """The prompts' ids, and the ids of answer and foil `[prompt, 2]` where they are given."""
    import torch

    if not isinstance(prompts, EncodedPairs):
        return encode_all(model, prompts), None
    if prompts.whole is not None:
        raise InputError(
            "this method reads the answer at one position, and these pairs were encoded with "
            'answers="sum"; encode them with answers="first".'
        )
    if prompts.also is not None:
        raise InputError(
            "this method takes a logit apart, and in these pairs two texts count as the answer; "
            "give pairs without also=."
        )
    tokens: torch.Tensor = getattr(prompts, prompt)
    return tokens.tolist(), torch.stack([prompts.answers, prompts.foils], dim=1)


def _measured(
    model: Model,
    encoded: list[list[int]],
    chosen: torch.Tensor | None,
    sites: tuple[Site, ...],
) -> tuple[Contributions, torch.Tensor]:
    """The contributions, and the answers and foils `[prompt, 2]`."""
    import torch

    last = Site("resid_post", model.n_layers - 1)

    def work(batch: Batch) -> tuple[Contributions, torch.Tensor]:
        values = values_at_end(model, batch.tokens, sites)
        if chosen is None:
            tokens = model.anatomy.unembed(values[last]).topk(2, dim=-1).indices
        else:
            tokens = chosen[list(batch.numbers)]
        return contributions(model.anatomy, values, tokens[:, 0], tokens[:, 1]), tokens.cpu()

    batches = list(over_encoded(model, encoded, work))
    order = [number for batch, _ in batches for number in batch.numbers]
    tokens = torch.cat([tokens for _, (_, tokens) in batches])
    places = torch.tensor(order).argsort()
    return Contributions.joined([found for _, (found, _) in batches], places), tokens[places]


def _require_sum(model: Model, found: Contributions) -> None:
    """Refuse a sum that rounding cannot explain: a part would be missing."""
    import torch

    size = torch.stack([part.abs() for part in found.parts.values()]).sum(dim=0)
    precision = torch.finfo(getattr(torch, model.provenance.dtype)).eps ** 0.5
    gap = found.gap()
    if (gap > precision * size.clamp(min=1)).any():
        raise ModelError(
            f"the parts of this {model.provenance.architecture} do not add up: a sum is off by "
            f"{gap.max():.3g} nats. Something in it is not attributed, so that nothing is reported."
        )
