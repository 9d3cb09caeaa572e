"""Texts through a model, in batches of equal length, however many there are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from workbench.batches import in_batches
from workbench.errors import InputError
from workbench.tokens import by_length, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import torch

    from workbench.model import Model

__all__ = ["TOKENS_AT_ONCE", "Batch", "over_encoded", "over_texts"]

TOKENS_AT_ONCE = 2048
TEXTS_AT_ONCE = 512

Part = TypeVar("Part")


@dataclass(frozen=True)
class Batch:
    """Texts of equal length.

    Attributes:
        numbers: of the texts, counted from 0 in the order in which they were given.
        tokens: ids `[text, pos]`.
    """

    numbers: tuple[int, ...]
    tokens: torch.Tensor


def over_texts(
    model: Model,
    texts: Iterable[str],
    work: Callable[[Batch], Part],
    *,
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> Iterator[tuple[Batch, Part]]:
    """What `work` makes of each batch, without gradients; only a few texts are held at once.

    Args:
        model: a loaded model.
        texts: any number, a generator's also.
        work: reads the model. Where memory runs out it is called again with half of the texts.
        tokens_at_once: in a batch, to begin with.

    Raises:
        InputError: for no text at all, a single text in the place of several, and the number of a
            text that is empty or longer than the context.
    """
    if isinstance(texts, str):
        raise InputError("got one text; expected several, such as [text].")
    numbered = enumerate(texts)
    first = 0
    while some := [_encoded(model, *one) for one in islice(numbered, TEXTS_AT_ONCE)]:
        yield from over_encoded(model, some, work, first=first, tokens_at_once=tokens_at_once)
        first += len(some)
    if first == 0:
        raise InputError("got no text; expected at least one.")


def over_encoded(
    model: Model,
    encoded: Sequence[Sequence[int]],
    work: Callable[[Batch], Part],
    *,
    first: int = 0,
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> Iterator[tuple[Batch, Part]]:
    """The same for texts that are ids already; `first` is the number of the first of them."""
    for group, tokens in by_length(model, encoded):
        count, length = tokens.shape
        numbers = tuple(first + number for number in group)
        size = max(1, tokens_at_once // length)
        step = partial(_step, work, numbers, tokens)
        for part, done in in_batches(step, count, size):
            yield done
            if part.start == 0 and part.stop < min(size, count):
                # Memory ran out: the texts to come begin with what fitted.
                tokens_at_once = part.stop * length


def _encoded(model: Model, number: int, text: str) -> list[int]:
    try:
        return encode(model, text)
    except InputError as error:
        raise InputError(f"text {number}: {error}") from error


def _step(
    work: Callable[[Batch], Part], numbers: tuple[int, ...], tokens: torch.Tensor, part: slice
) -> tuple[Batch, Part]:
    import torch

    batch = Batch(numbers[part], tokens[part])
    with torch.no_grad():
        return batch, work(batch)
