"""The texts on which a neuron, head, direction or feature is strongest, and how its values lie.

Any number of texts is read: what is kept are the strongest examples and a sample of the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import InputError
from workbench.forward import forward
from workbench.interpret.examples.extremes import Example, Extremes
from workbench.interpret.examples.spread import Spread
from workbench.interpret.reading import over_texts
from workbench.tables import Chart, Result
from workbench.tokens import token_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.interpret.examples.features import Feature
    from workbench.interpret.reading import Batch
    from workbench.model import Model

__all__ = ["Examples", "top_examples"]


@dataclass(frozen=True)
class Examples:
    """What `top_examples` gives.

    Attributes:
        examples: one row per example, the strongest of each end first: `end` (largest, smallest),
            `rank`, `value`, `text` (its number), `position`, `token`, `before`, `after`.
        strips: one row per token around each example, with its own value: a strip of tokens.
        distribution: how the values of all tokens lie: quantiles, mean, share above 0.
    """

    examples: Result
    strips: Result
    distribution: Result


def top_examples(  # noqa: PLR0913 - each is a question that a user may answer, and none must be
    model: Model,
    texts: Iterable[str],
    feature: Feature,
    *,
    count: int = 10,
    window: int = 10,
    skip: int = 0,
    seed: int = 0,
) -> Examples:
    """The texts with the largest and the smallest values of a feature.

    Each text stands at its strongest token, so that one text cannot fill the list. Equal values
    keep the order of the texts, and of the tokens within a text. The examples are the extremes of
    the texts that were given: they show what drives a feature, and not how often.

    Args:
        model: a loaded model.
        texts: any number, a generator's also.
        feature: from `workbench.interpret.examples.features`, or of a sparse autoencoder.
        count: examples at each end.
        window: tokens that are shown on each side.
        skip: tokens at the beginning of each text that do not count. Many models put an outlier on
            the first.
        seed: of the sample that the quantiles rest on, where there are many tokens.

    Raises:
        InputError: for counts that are no counts, texts that cannot be read, a feature that is not
            this model's.
        ModelError: where the model does not have the feature's site.
    """
    least = {"count": 1, "window": 0, "skip": 0, "seed": 0}
    for name, value in (("count", count), ("window", window), ("skip", skip), ("seed", seed)):
        if value < least[name]:
            raise InputError(f"got {name}={value}; expected at least {least[name]}.")
    site = feature.site.at(model.n_layers)
    kept = _Kept(Extremes(count, window), Spread(seed))

    def values(batch: Batch) -> np.ndarray:
        found = forward(model, batch.tokens, read=[site]).values[site]
        return feature.of(found).float().cpu().numpy()

    for batch, found in over_texts(model, texts, values):
        kept.add(batch, found, skip)
    if kept.values == 0:
        raise InputError(
            f"got no token to look at: skip={skip} leaves out the whole of every text, or no value "
            "is a finite number."
        )
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "largest and smallest activations",
        "feature": feature.name,
        "sites": [str(site)],
        "texts": kept.texts,
        "tokens": kept.values,
        "undefined": kept.undefined,
        "skip": skip,
        "seed": seed,
    }
    ends = kept.extremes.largest_first()
    title = f"{feature.name[:1].upper()}{feature.name[1:]}"
    return Examples(
        Result.of("top_examples", [_row(model, *one) for one in ends], provenance),
        Result.of("example_strips", _strips(model, ends), provenance, _strip_chart(title)),
        Result.of("distribution", kept.spread.rows(), provenance, _distribution_chart(title)),
    )


@dataclass
class _Kept:
    """What is remembered of the texts that went by."""

    extremes: Extremes
    spread: Spread
    texts: int = 0
    values: int = 0
    undefined: int = 0

    def add(self, batch: Batch, found: np.ndarray, skip: int) -> None:
        self.texts += len(batch.numbers)
        counted = found[:, skip:]
        defined = np.isfinite(counted)
        self.values += int(defined.sum())
        self.undefined += int((~defined).sum())
        tokens = batch.tokens.cpu().numpy()
        for number, ids, row in zip(batch.numbers, tokens, found, strict=True):
            self.extremes.add(number, ids, row, skip)
        self.spread.add(batch.numbers, counted)


_End = tuple[str, int, Example]


def _row(model: Model, end: str, rank: int, one: Example) -> dict[str, Any]:
    ids = one.tokens.tolist()
    peak = one.position - one.start
    return {
        "end": end,
        "rank": rank,
        "value": float(one.values[peak]),
        "text": one.text,
        "position": one.position,
        "token": token_texts(model, [ids[peak]])[0],
        "before": model.tokenizer.decode(ids[:peak]),
        "after": model.tokenizer.decode(ids[peak + 1 :]),
    }


def _strips(model: Model, ends: list[_End]) -> list[dict[str, Any]]:
    return [
        {
            "example": f"{end} {rank}",
            "end": end,
            "rank": rank,
            "text": one.text,
            "position": one.start + place,
            "offset": one.start + place - one.position,
            "token": token,
            "value": float(value),
        }
        for end, rank, one in ends
        for place, (token, value) in enumerate(
            zip(token_texts(model, one.tokens.tolist()), one.values, strict=True)
        )
    ]


def _strip_chart(title: str) -> Chart:
    return Chart(
        kind="heatmap",
        options={
            "x": "offset",
            "y": "example",
            "value": "value",
            "text": "token",
            "midpoint": 0,
            "title": title,
            "x_title": "tokens from the strongest",
            "scale_title": "value",
            "alt": "Tokens around the largest and the smallest values, each coloured by its own "
            "value.",
        },
    )


def _distribution_chart(title: str) -> Chart:
    return Chart(
        kind="intervals",
        options={
            "label": "statistic",
            "value": "estimate",
            "low": "low",
            "high": "high",
            "title": f"{title}: all tokens",
            "x_title": "value",
            "alt": "Quantiles, mean and share above zero of the values of all tokens.",
        },
    )
