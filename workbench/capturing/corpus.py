"""Texts as tokens, kept compactly, and the batches that they are run in.

What grows with the number of texts is here and nowhere else: 4 bytes for a token, 24 for a text.
"""

from __future__ import annotations

import hashlib
import operator
from array import array
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from workbench.errors import InputError
from workbench.tokens import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from workbench.model import Model

    Text = str | Sequence[int]

__all__ = ["Batches", "Corpus"]


@dataclass(frozen=True, eq=False, repr=False)
class Corpus:
    """The tokens of many texts, one text after the other.

    Attributes:
        ids: `[token]`, int32.
        offsets: `[text + 1]`, int64: where each text begins, and where the last ends.
    """

    ids: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, model: Model, texts: Iterable[Text]) -> Self:
        """The tokens of each text; texts may be any iterable, and are read once.

        Args:
            model: whose tokenizer, vocabulary and context hold.
            texts: each a text, or the ids of its tokens as they are to be run.

        Raises:
            InputError: for no text, a single text in the place of several, and the number of a
                text that is empty, longer than the context or outside the vocabulary.
        """
        if isinstance(texts, str):
            raise InputError("got one text; expected several, such as [text].")
        ids, offsets = array("i"), array("q", [0])
        for number, text in enumerate(texts):
            try:
                ids.extend(encode(model, text) if isinstance(text, str) else _given(model, text))
            except InputError as error:
                raise InputError(f"text {number}: {error}") from error
            offsets.append(len(ids))
        if len(offsets) == 1:
            raise InputError("got no text; expected at least one.")
        return cls(np.frombuffer(ids, np.int32), np.frombuffer(offsets, np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each text, `[text]`."""
        return np.diff(self.offsets)

    def text(self, number: int) -> np.ndarray:
        """The ids of a text, `[pos]`."""
        return self.ids[self.offsets[number] : self.offsets[number + 1]]

    def stacked(self, numbers: np.ndarray) -> np.ndarray:
        """The ids of texts of equal length, `[text, pos]`."""
        found: np.ndarray = self.ids[self.rows(numbers)]
        return found

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Where the tokens of texts of equal length are among all tokens, `[text, pos]`."""
        length = self.offsets[numbers[0] + 1] - self.offsets[numbers[0]]
        found: np.ndarray = self.offsets[numbers][:, None] + np.arange(length)
        return found

    @property
    def digest(self) -> str:
        """The SHA-256 of the texts' lengths and tokens: which texts, in which order."""
        return _digest(self.lengths.astype("<i8"), self.ids.astype("<i4"))


@dataclass(frozen=True, eq=False, repr=False)
class Batches:
    """Texts of equal length together, the longest first: what memory does not hold, shows early.

    Attributes:
        order: `[text]`: the texts' numbers, in the order in which they are run.
        starts: `[batch + 1]`: where in that order each batch begins, and where the last ends.
    """

    order: np.ndarray
    starts: np.ndarray

    @classmethod
    def cut(cls, lengths: np.ndarray, rows: Callable[[int], int]) -> Self:
        """Batches of at most `rows(length)` texts each."""
        order = np.argsort(-lengths, kind="stable")
        ordered = lengths[order]
        edges = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(ordered)]
        starts = [
            start
            for first, stop in pairwise(edges)
            for start in range(first, stop, rows(int(ordered[first])))
        ]
        return cls(order, np.array([*starts, len(order)], np.int64))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def texts(self, batch: int) -> np.ndarray:
        """The numbers of the texts in a batch, `[text]`."""
        return self.order[self.starts[batch] : self.starts[batch + 1]]

    def shapes(self, lengths: np.ndarray) -> list[tuple[int, int]]:
        """Of each batch, the number of its texts and their length."""
        firsts = self.order[self.starts[:-1]]
        return list(zip(np.diff(self.starts).tolist(), lengths[firsts].tolist(), strict=True))

    def place(self, text: int) -> tuple[int, int]:
        """The batch that holds a text, and its row there."""
        position = int(self._positions[text])
        batch = int(np.searchsorted(self.starts, position, side="right")) - 1
        return batch, position - int(self.starts[batch])

    @cached_property
    def _positions(self) -> np.ndarray:
        positions = np.empty_like(self.order)
        positions[self.order] = np.arange(len(self.order))
        return positions

    @property
    def digest(self) -> str:
        """The SHA-256 of the order and the cuts."""
        return _digest(self.order.astype("<i8"), self.starts.astype("<i8"))


def _given(model: Model, text: Any) -> list[int]:
    """Ids that the caller made."""
    try:
        tokens = text.tolist() if hasattr(text, "tolist") else text
        ids = [] if isinstance(text, (bytes, dict)) else [operator.index(one) for one in tokens]
    except TypeError:
        raise InputError(
            f"got a {type(text).__name__}; expected a text, or a sequence of token ids."
        ) from None
    vocabulary, context = model.provenance.vocabulary, model.context_length
    if not ids:
        raise InputError("got no token; expected at least one.")
    if not 0 <= min(ids) <= max(ids) < vocabulary:
        wrong = next(token for token in ids if not 0 <= token < vocabulary)
        raise InputError(f"got the token {wrong}; this model has tokens 0 to {vocabulary - 1}.")
    if context is not None and len(ids) > context:
        raise InputError(
            f"got {len(ids)} tokens; the model's context has {context}. "
            "Nothing is cut off silently: split the text."
        )
    return ids


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for one in arrays:
        digest.update(len(one).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(one).data.cast("B"))
    return digest.hexdigest()
