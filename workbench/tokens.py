"""Texts as tokens of a model: whole, never cut off, never empty."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch

    from workbench.model import Model

__all__ = ["by_length", "encode", "encode_all", "token_texts"]

_SHOWN = 60


def encode(model: Model, text: str) -> list[int]:
    """The ids of a text, with what the model's own tokenizer adds (BOS, where it does).

    Raises:
        InputError: for an empty text, and one that is longer than the context.
    """
    if not text:
        raise InputError("got an empty text; expected at least one word.")
    ids = [int(token) for token in model.tokenizer(text).input_ids]
    if not ids:
        raise InputError(f"got a text without a token of this model: {text[:_SHOWN]!r}.")
    if model.context_length is not None and len(ids) > model.context_length:
        raise InputError(
            f"got a text of {len(ids)} tokens ({text[:_SHOWN]!r}…); the model's context has "
            f"{model.context_length}. Nothing is cut off silently: split the text."
        )
    return ids


def encode_all(model: Model, texts: Iterable[str]) -> list[list[int]]:
    """The ids of each text.

    Raises:
        InputError: for no text at all, a single text in the place of several, and the number of
            the text that `encode` refuses.
    """
    if isinstance(texts, str):
        raise InputError("got one text; expected a list of texts, such as [text].")
    encoded = []
    for number, text in enumerate(texts):
        try:
            encoded.append(encode(model, text))
        except InputError as error:
            raise InputError(f"text {number}: {error}") from error
    if not encoded:
        raise InputError("got no text; expected at least one.")
    return encoded


def by_length(
    model: Model, encoded: Sequence[Sequence[int]]
) -> list[tuple[list[int], torch.Tensor]]:
    """Texts of equal length together: their numbers, and their ids `[text, pos]`.

    Rows of equal length need no padding, so that no value depends on what a text is run with.
    """
    import torch

    numbers: dict[int, list[int]] = defaultdict(list)
    for number, ids in enumerate(encoded):
        numbers[len(ids)].append(number)
    return [
        (group, torch.tensor([list(encoded[number]) for number in group], device=model.device))
        for _, group in sorted(numbers.items())
    ]


def token_texts(model: Model, ids: Iterable[int]) -> list[str]:
    """Each token as text, as a reader sees it."""
    return [model.tokenizer.decode([token]) for token in ids]
