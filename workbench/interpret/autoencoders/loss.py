"""Loss recovered: what a model's predictions lose when a sparse autoencoder stands in for a site.

(Bricken et al. 2023, "Towards Monosemanticity".) An autoencoder can have most of a site's variance
and miss what the model uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.forward import forward
from workbench.interpret.autoencoders.runs import (
    TOKENS_AT_ONCE,
    encode_beyond,
    measures_chart,
    provenance_of,
)
from workbench.interpret.reading import over_encoded
from workbench.interpret.text_sums import TextSums
from workbench.stats import Estimate, bootstrap_ratio
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import torch
    from numpy.typing import NDArray

    from workbench.interpret.autoencoders.autoencoder import SparseAutoencoder
    from workbench.interpret.reading import Batch
    from workbench.model import Model

    Floats = NDArray[np.float64]

__all__ = ["LossRecovered", "loss_recovered"]


@dataclass(frozen=True)
class LossRecovered:
    """What `loss_recovered` gives.

    Attributes:
        recovered: against `zero` and `mean` ablation, the share of the loss that ablation costs
            and the reconstruction gives back.
        losses: the model's loss in nats per token: `clean`, `reconstructed`, `zero ablation`,
            `mean ablation`.
    """

    recovered: Result
    losses: Result


def loss_recovered(
    model: Model, sae: SparseAutoencoder, texts: Iterable[str], *, skip: int = 0, seed: int = 0
) -> LossRecovered:
    """What the model's predictions lose when it goes on with the reconstruction.

    1 where nothing is lost, 0 where the reconstruction is as bad as the site's value taken away
    (set to 0, or to its mean over these texts); undefined where taking it away costs nothing.

    Args:
        model: a loaded model.
        sae: what `load_sae` gave.
        texts: read whole; each token is predicted from those before it.
        skip: tokens at the beginning of each text that keep their value in all runs.
        seed: of the intervals.

    Raises:
        InputError: for an autoencoder of another width, and texts of one token alone.
        ModelError: where the model does not have the site.
    """
    import torch

    sae = sae.ready_for(model)
    encoded = encode_beyond(model, texts, max(skip, 1))
    mean = _mean(model, sae, encoded, skip)
    changes: dict[str, Callable[[torch.Tensor], torch.Tensor] | None] = {
        "clean": None,
        "reconstructed": sae.reconstruct,
        "zero ablation": torch.zeros_like,
        "mean ablation": lambda value: mean.to(value).expand_as(value),
    }

    def work(batch: Batch) -> list[Floats]:
        return [_loss(model, sae, batch.tokens, change, skip) for change in changes.values()]

    found: list[list[Floats]] = [[] for _ in changes]
    lengths: list[int] = []
    for batch, parts in over_encoded(model, encoded, work, tokens_at_once=TOKENS_AT_ONCE):
        lengths += [batch.tokens.shape[1] - 1] * len(batch.numbers)
        for losses, part in zip(found, parts, strict=True):
            losses.append(part)
    by_run = {name: np.concatenate(part) for name, part in zip(changes, found, strict=True)}
    provenance = provenance_of(model, sae, encoded, skip) | {
        "method": "loss recovered",
        "seed": seed,
    }
    rows = [
        {"measure": name, **_share(by_run, f"{name} ablation", seed).row()}
        for name in ("zero", "mean")
    ]
    runs = [{"measure": name, **_per_token(loss, lengths).row()} for name, loss in by_run.items()]
    return LossRecovered(
        Result.of(
            "sae_loss_recovered", rows, provenance, measures_chart("Loss recovered", "share")
        ),
        Result.of("sae_losses", runs, provenance, measures_chart("Loss", "nats per token")),
    )


def _mean(
    model: Model, sae: SparseAutoencoder, encoded: Sequence[Sequence[int]], skip: int
) -> torch.Tensor:
    """The mean of the site's value over tokens."""

    def work(batch: Batch) -> tuple[torch.Tensor, int]:
        value = forward(model, batch.tokens, read=[sae.site]).values[sae.site][:, skip:]
        return value.cpu().double().sum(dim=(0, 1)), value.shape[0] * value.shape[1]

    parts = [part for _, part in over_encoded(model, encoded, work)]
    total = sum((part for part, _ in parts[1:]), start=parts[0][0])
    return total / sum(count for _, count in parts)


def _loss(
    model: Model,
    sae: SparseAutoencoder,
    tokens: torch.Tensor,
    change: Callable[[torch.Tensor], torch.Tensor] | None,
    skip: int,
) -> Floats:
    """The cross entropy of a text's tokens, from the second on, `[text]` in nats."""
    import torch

    def edit(value: torch.Tensor) -> torch.Tensor:
        assert change is not None
        return torch.cat([value[:, :skip], change(value[:, skip:])], dim=1)

    edits = {} if change is None else {sae.site: edit}
    logits = forward(model, tokens, edit=edits, logits="all").logits
    assert logits is not None
    said = logits[:, :-1].float().transpose(1, 2)
    losses = torch.nn.functional.cross_entropy(said, tokens[:, 1:], reduction="none")
    return np.asarray(losses.cpu().double().sum(dim=1))


def _share(losses: dict[str, Floats], reference: str, seed: int) -> Estimate:
    ablated = losses[reference]
    return bootstrap_ratio(ablated - losses["reconstructed"], ablated - losses["clean"], seed=seed)


def _per_token(losses: Floats, lengths: list[int]) -> Estimate:
    sums = TextSums()
    sums.add(losses, lengths)
    found: Estimate = sums.means((0, np.inf)).item()
    return found
