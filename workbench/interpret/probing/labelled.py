"""Texts with labels, as a classifier needs them: where each is read, and what belongs together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import InputError
from workbench.forward import forward
from workbench.interpret.probing.positions import position_of_word
from workbench.interpret.reading import over_encoded
from workbench.tokens import encode_all

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from workbench.interpret.reading import Batch
    from workbench.model import Model
    from workbench.sites import Site

    Floats = NDArray[np.float64]
    Codes = NDArray[np.intp]

__all__ = ["Labelled", "activations_of", "labelled"]


@dataclass(frozen=True)
class Labelled:
    """Items that a probe is fitted on.

    Attributes:
        encoded: ids of each text.
        positions: where each is read.
        labels: the class of each `[item]`, from 0.
        classes: names of the classes, in that order.
        groups: the group of each `[item]`, from 0; None where each item is its own.
    """

    encoded: list[list[int]]
    positions: list[int]
    labels: Codes
    classes: list[str]
    groups: Codes | None

    def shuffled(self, seed: int | Sequence[int]) -> Codes:
        """The labels dealt out anew.

        Where the items of every group have one label, the groups are dealt labels, so that a probe
        of shuffled labels has as much to hold on to as the true one.
        """
        random = np.random.default_rng(seed)
        if self.groups is None:
            return random.permutation(self.labels)
        by_group = [np.unique(self.labels[self.groups == one]) for one in np.unique(self.groups)]
        if any(found.size > 1 for found in by_group):
            return random.permutation(self.labels)
        dealt: Codes = random.permutation(np.concatenate(by_group))[self.groups]
        return dealt


def labelled(
    model: Model,
    texts: Sequence[str],
    labels: Sequence[Hashable],
    words: str | Sequence[str] | None,
    groups: Sequence[Hashable] | None,
) -> Labelled:
    """The items, checked.

    Raises:
        InputError: for as many labels, words or groups as there are no texts, a label that is
            missing, a word that is not in its text, or equal items in different groups.
    """
    encoded = encode_all(model, texts)
    count = len(encoded)
    _require_one_each("labels", labels, count)
    if groups is not None:
        _require_one_each("groups", groups, count)
    for number, label in enumerate(labels):
        if label is None or label != label:  # noqa: PLR0124 - NaN alone differs from itself
            raise InputError(f"item {number} has no label; leave such items out.")
    classes, codes = np.unique([str(label) for label in labels], return_inverse=True)
    positions = _positions(model, texts, encoded, words)
    seen = [tuple(ids[: at + 1]) for ids, at in zip(encoded, positions, strict=True)]
    return Labelled(encoded, positions, codes, classes.tolist(), _groups(seen, groups))


def activations_of(model: Model, items: Labelled, sites: Sequence[Site]) -> Mapping[Site, Floats]:
    """The value of each site at each item's position `[item, d]`."""
    values: dict[Site, list[Floats]] = {site: [] for site in sites}
    order: list[int] = []

    def work(batch: Batch) -> list[Floats]:
        found = forward(model, batch.tokens, read=sites).values
        rows = list(range(len(batch.numbers)))
        at = [items.positions[number] for number in batch.numbers]
        return [
            np.asarray(found[site][rows, at].flatten(1).float().cpu(), dtype=float)
            for site in sites
        ]

    for batch, parts in over_encoded(model, items.encoded, work):
        order += batch.numbers
        for site, part in zip(sites, parts, strict=True):
            values[site].append(part)
    back = np.argsort(order)
    return {site: np.concatenate(parts)[back] for site, parts in values.items()}


def _positions(
    model: Model,
    texts: Sequence[str],
    encoded: Sequence[Sequence[int]],
    words: str | Sequence[str] | None,
) -> list[int]:
    if words is None:
        return [len(ids) - 1 for ids in encoded]
    each = [words] * len(encoded) if isinstance(words, str) else words
    _require_one_each("words", each, len(encoded))
    return [
        position_of_word(model, text, ids, word)
        for text, ids, word in zip(texts, encoded, each, strict=True)
    ]


def _groups(seen: list[tuple[int, ...]], groups: Sequence[Hashable] | None) -> Codes | None:
    """Items that look the same to the model must not be parted."""
    _, same = np.unique([str(tokens) for tokens in seen], return_inverse=True)
    if groups is None:
        return None if same.max() + 1 == len(seen) else same
    _, given = np.unique([str(group) for group in groups], return_inverse=True)
    first: dict[int, int] = {}
    for number, look in enumerate(same.tolist()):
        other = first.setdefault(look, number)
        if given[other] != given[number]:
            raise InputError(
                f"texts {other} and {number} are the same up to the position that is probed, and "
                "in different groups: a probe would be tested on what it was fitted on. Give them "
                "one group, probe a later position, or leave the groups out."
            )
    return given


def _require_one_each(what: str, given: Sequence[object], count: int) -> None:
    if isinstance(given, str) or len(given) != count:
        raise InputError(f"got {len(given)} {what} for {count} texts; expected one for each.")
