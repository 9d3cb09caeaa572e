"""Fit a translator for each layer: the training loop of the tuned lens.

The loss is KL(what the model says in the end || what is said through the translator), over all
tokens (Belrose et al. 2023, arXiv 2303.08112, equation 9). Of each layer the translator is kept
that is best on texts that are not trained on; the identity is the first candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.batches import in_batches
from workbench.forward import forward
from workbench.interpret.lenses.stream import (
    LOGITS_AT_ONCE,
    divergence,
    log_probabilities,
    stream_sites,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from workbench.model import Model

    Ids = Sequence[Sequence[int]]

__all__ = ["Fitted", "Recipe", "fit"]

CHECKS = 10
"""How often the translators are tried on the texts that decide which is kept."""


@dataclass(frozen=True)
class Recipe:
    """What decides a fit, besides the model and the texts.

    Attributes:
        steps: of Adam.
        learning_rate: at the first step; it falls to 0 in a straight line.
        tokens_a_step: at most, padding among them; a longer text is a step of its own.
        seed: of the order of the texts.
    """

    steps: int
    learning_rate: float
    tokens_a_step: int
    seed: int


@dataclass(frozen=True)
class Fitted:
    """The translators that were kept.

    Attributes:
        matrices: what each adds to the identity `[layer, d_model, d_model]`, input first.
        biases: `[layer, d_model]`.
        kept: the step of each `[layer]`; 0 is the identity.
    """

    matrices: torch.Tensor
    biases: torch.Tensor
    kept: tuple[int, ...]


def fit(model: Model, training: Ids, stopping: Ids, recipe: Recipe) -> Fitted:
    """Translators of the stream before each layer.

    Args:
        model: a loaded model.
        training: texts as ids.
        stopping: texts as ids, none of them in training.
        recipe: how.
    """
    import torch

    layers, width = model.n_layers, int(model.hf.config.get_text_config().hidden_size)
    now = [torch.zeros(layers, *shape, device=model.device) for shape in ((width, width), (width,))]
    optimiser = torch.optim.Adam(now, lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=recipe.steps)
    kept = _Kept(now, _mean_losses(model, now, stopping, recipe))
    batches = _batches(training, recipe)
    every = max(1, recipe.steps // CHECKS)
    for step in range(1, recipe.steps + 1):
        batch = [training[number] for number in next(batches)]
        for parameter, gradient in zip(now, _gradients(model, now, batch), strict=True):
            parameter.grad = gradient
        optimiser.step()
        schedule.step()
        if step % every == 0 or step == recipe.steps:
            kept.update(now, _mean_losses(model, now, stopping, recipe), step)
    matrices, biases = kept.parameters
    return Fitted(matrices, biases, tuple(kept.steps))


class _Kept:
    """The best of each layer so far."""

    def __init__(self, parameters: list[torch.Tensor], losses: torch.Tensor) -> None:
        self.parameters = [parameter.clone() for parameter in parameters]
        self.losses = losses
        self.steps = [0] * len(losses)

    def update(self, parameters: list[torch.Tensor], losses: torch.Tensor, step: int) -> None:
        """Keep each layer that became better; what is not a number never does."""
        for layer in (losses < self.losses).nonzero().flatten().tolist():
            self.losses[layer], self.steps[layer] = losses[layer], step
            for best, parameter in zip(self.parameters, parameters, strict=True):
                best[layer] = parameter[layer]


def _batches(texts: Ids, recipe: Recipe) -> Iterator[list[int]]:
    """Numbers of texts, a batch a step, without end: texts of like length together, for padding."""
    generator = np.random.default_rng(recipe.seed)
    lengths = np.array([len(ids) for ids in texts])
    while True:
        order = generator.permutation(len(texts))
        batches: list[list[int]] = [[]]
        for number in order[np.argsort(lengths[order], kind="stable")].tolist():
            if batches[-1] and (len(batches[-1]) + 1) * lengths[number] > recipe.tokens_a_step:
                batches.append([])
            batches[-1].append(number)
        for place in generator.permutation(len(batches)):
            yield batches[place]


def _gradients(model: Model, parameters: list[torch.Tensor], batch: Ids) -> list[torch.Tensor]:
    """Of the mean loss over the batch's tokens, for each parameter."""
    tokens = sum(map(len, batch))
    total: list[torch.Tensor] = []
    for _, (_, gradients) in in_batches(
        lambda part: _losses(model, parameters, batch[part], with_gradients=True),
        len(batch),
        _rows_at_once(model, batch),
    ):
        total = (
            [sum_ + one for sum_, one in zip(total, gradients, strict=True)] if total else gradients
        )
    return [gradient / tokens for gradient in total]


def _mean_losses(
    model: Model, parameters: list[torch.Tensor], texts: Ids, recipe: Recipe
) -> torch.Tensor:
    """Over the tokens of all texts `[layer]`."""
    import torch

    total = torch.zeros(len(parameters[0]), dtype=torch.float64)
    texts = sorted(texts, key=len)
    for _, (losses, _) in in_batches(
        lambda part: _losses(model, parameters, texts[part], with_gradients=False),
        len(texts),
        min(_rows_at_once(model, texts), max(1, recipe.tokens_a_step // len(texts[-1]))),
    ):
        total += losses
    return total / sum(map(len, texts))


def _losses(
    model: Model, parameters: list[torch.Tensor], texts: Ids, *, with_gradients: bool
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The sum of the tokens' losses in each layer `[layer]`, and its gradients.

    One layer after the other: the logits of all layers together would not fit.
    """
    import torch

    tokens, real = _padded(model, texts)
    sites = stream_sites(model)
    with torch.no_grad():
        values = forward(model, tokens, read=sites).values
        stream = [values[site][real] for site in sites]
        final = log_probabilities(model, stream[-1])
    losses, gradients = [], []
    for layer, before in enumerate(stream[:-1]):
        own = [parameter.detach()[layer].requires_grad_(with_gradients) for parameter in parameters]
        with torch.set_grad_enabled(with_gradients):
            wide = before.float()
            translated = wide + (wide @ own[0] + own[1])
            read = log_probabilities(model, translated.to(before.dtype))
            loss = divergence(final, read).sum()
        losses.append(loss.detach().cpu().double())
        if with_gradients:
            gradients.append(torch.autograd.grad(loss, own))
    return torch.stack(losses), [torch.stack(list(one)) for one in zip(*gradients, strict=True)]


def _padded(model: Model, texts: Ids) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids `[text, pos]`, padded on the right, which no real token sees; and which are real."""
    import torch

    longest = max(map(len, texts))
    rows = [[*ids, *[ids[-1]] * (longest - len(ids))] for ids in texts]
    lengths = torch.tensor([len(ids) for ids in texts])
    real = torch.arange(longest) < lengths[:, None]
    return torch.tensor(rows, device=model.device), real.to(model.device)


def _rows_at_once(model: Model, texts: Ids) -> int:
    return max(1, LOGITS_AT_ONCE // (model.provenance.vocabulary * max(map(len, texts))))
