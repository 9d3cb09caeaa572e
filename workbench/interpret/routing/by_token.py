"""Mixtures of experts: which tokens a layer's router sends where."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.forward import forward
from workbench.interpret.reading import over_texts
from workbench.interpret.routing.experts import choices
from workbench.interpret.text_sums import TextSums
from workbench.sites import Site
from workbench.tables import Chart, Result
from workbench.tokens import token_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from workbench.interpret.reading import Batch
    from workbench.model import Model

    Floats = NDArray[np.float64]

__all__ = ["routing_by_token", "token_class"]


def routing_by_token(
    model: Model,
    texts: Iterable[str],
    layer: int,
    *,
    kind: Callable[[str], str] | None = None,
    most: int = 40,
) -> Result:
    """Which experts of a layer each token is sent to.

    Args:
        model: a loaded model.
        texts: any number.
        layer: with a router.
        kind: from a token's text to what it is counted as (`token_class`, say); the token itself
            where it is None.
        most: rows of that many tokens, or kinds, the most frequent first.

    Returns:
        `token`, `expert`, `count` (how often the token occurs), the estimate of the share of its
        occurrences that choose the expert, and `weight` (the mean share of the weight). An expert
        that no occurrence chooses has no row.

    Raises:
        InputError: for texts that cannot be read, or a layer that is not there.
        ModelError: for a layer without a router.
    """
    site = Site("routing", layer).at(model.n_layers)
    model.anatomy.place(site)
    counted = _Counted()
    names: dict[int, str] = {}

    def work(batch: Batch) -> tuple[Floats, Floats]:
        return choices(forward(model, batch.tokens, read=[site]).values[site])

    for batch, found in over_texts(model, texts, work):
        for row, ids in enumerate(batch.tokens.tolist()):
            for token in set(ids) - names.keys():
                names[token] = _name(model, token) if kind is None else kind(_text(model, token))
            counted.add([names[token] for token in ids], *(part[row] for part in found))
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "routing by token",
        "sites": [str(site)],
        "tokens": counted.number.total(),
        "kinds": len(counted.number),
    }
    rows = list(counted.rows(most))
    return Result.of("routing_by_token", rows, provenance, _token_chart(site.layer))


def token_class(text: str) -> str:
    """What kind of token a text is: a rough sort for any language."""
    word = text.strip()
    if not word:
        return "space"
    if word.startswith("<") and word.endswith(">"):
        return "special"
    if any(letter.isalpha() for letter in word):
        return "word"
    return "number" if any(letter.isdigit() for letter in word) else "punctuation"


@dataclass
class _Counted:
    """Choices and weights by token."""

    number: Counter[str] = field(default_factory=Counter)
    chosen: dict[str, TextSums] = field(default_factory=dict)
    weight: dict[str, TextSums] = field(default_factory=dict)

    def add(self, words: list[str], chosen: Floats, shares: Floats) -> None:
        """A text: what each of its tokens counts as, chose, and gave `[pos, expert]`."""
        all_words = np.array(words, dtype=object)
        for word, number in Counter(words).items():
            here = all_words == word
            self.number[word] += number
            for sums, values in ((self.chosen, chosen), (self.weight, shares)):
                kept = sums.setdefault(word, TextSums(values.shape[1:]))
                kept.add(values[here].sum(axis=0)[None], number)

    def rows(self, most: int) -> Iterator[dict[str, Any]]:
        """Of the most frequent; equally frequent ones in the order of their texts."""
        ranked = sorted(self.number.items(), key=lambda entry: (-entry[1], entry[0]))
        for word, count in ranked[:most]:
            weights = self.weight[word].shares()
            for expert, estimate in enumerate(self.chosen[word].shares()):
                if estimate.value:
                    weight = weights[expert].row()["estimate"]
                    yield {
                        "token": word,
                        "expert": expert,
                        "count": count,
                        **estimate.row(),
                        "weight": weight,
                    }


def _text(model: Model, token: int) -> str:
    (text,) = token_texts(model, [token])
    return text


def _name(model: Model, token: int) -> str:
    """A token's text; its name in the vocabulary where it is a part of a letter."""
    text = _text(model, token)
    return str(model.tokenizer.convert_ids_to_tokens(token)) if "\ufffd" in text else text


def _token_chart(layer: int) -> Chart:
    return Chart(
        kind="heatmap",
        options={
            "x": "expert",
            "y": "token",
            "value": "estimate",
            "midpoint": None,
            "title": f"Routing in layer {layer}",
            "x_title": "expert",
            "scale_title": "share of occurrences",
            "alt": "The share of each token's occurrences that is sent to each expert.",
        },
    )
