"""Minimal pairs: two prompts that differ in one word, and the two answers that they pull apart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from workbench.model import Model
    from workbench.tables import Result

__all__ = ["EncodedPairs", "MinimalPair", "encode_pairs", "logit_difference", "occupation_pairs"]


@dataclass(frozen=True)
class MinimalPair:
    """Two prompts of equal length in tokens, and two answers.

    Attributes:
        clean: the prompt that pulls towards `answer`.
        corrupted: the same with one word changed, which pulls towards `foil`.
        answer, foil: texts that would follow, each with its leading space.
    """

    clean: str
    corrupted: str
    answer: str
    foil: str


@dataclass(frozen=True)
class EncodedPairs:
    """Minimal pairs as tokens.

    Attributes:
        clean, corrupted: token ids `[pair, pos]`.
        answers, foils: the answers' first token ids `[pair]`.
        labels: one text for each position; where the pairs differ there, the first pair's.
        changed: positions at which clean and corrupted prompts differ.
    """

    clean: torch.Tensor
    corrupted: torch.Tensor
    answers: torch.Tensor
    foils: torch.Tensor
    labels: tuple[str, ...]
    changed: tuple[int, ...]


def encode_pairs(model: Model, pairs: Sequence[MinimalPair]) -> EncodedPairs:
    """The pairs as tokens of the model.

    Raises:
        InputError: where there is no pair, prompts are empty, differ in length or are longer than
            the context, or an answer is empty or begins with the same token as its foil.
    """
    import torch

    if not pairs:
        raise InputError("got no pair of prompts; expected at least one.")
    encoded = [_encode(model, pair) for pair in pairs]
    prompts = [ids for clean, corrupted, _, _ in encoded for ids in (clean, corrupted)]
    shortest, longest = min(prompts, key=len), max(prompts, key=len)
    length = len(longest)
    if len(shortest) < length:
        raise InputError(
            f"got prompts of {len(shortest)} to {length} tokens; expected equal lengths. "
            f"For example {_words(model, shortest)} against {_words(model, longest)}. "
            "Choose words that are as many tokens."
        )
    if length == 0:
        raise InputError("got prompts without a token; expected at least one word.")
    if model.context_length is not None and length > model.context_length:
        raise InputError(
            f"got prompts of {length} tokens; the model's context has {model.context_length}."
        )
    clean, corrupted, answers, foils = (
        torch.tensor(column, device=model.device) for column in zip(*encoded, strict=True)
    )
    changed = (clean != corrupted).any(dim=0).nonzero().flatten().tolist()
    return EncodedPairs(
        clean, corrupted, answers, foils, tuple(_words(model, encoded[0][0])), tuple(changed)
    )


def occupation_pairs(
    model: Model, items: Result, occupations: Result, *, count: int
) -> tuple[str, EncodedPairs]:
    """Pairs of sentences about the two occupations whose pronouns are furthest apart.

    The sentences differ in the occupation alone, and all have the occupation at the same position.

    Args:
        model: a loaded model.
        items: scored items of the task `occupation_pronoun`.
        occupations: P(she) by occupation (`evaluate.bias.by_occupation`).
        count: how many pairs at most.

    Returns:
        What is compared, in words, and the pairs as tokens: the answer is "she", the foil "he".

    Raises:
        InputError: where fewer than two occupations have a score, or no two are equally many tokens
            of this model.
    """
    scored = occupations.frame().dropna(subset=["estimate"]).set_index("occupation")["estimate"]
    if len(scored) < 2:  # noqa: PLR2004 - a pair
        raise InputError("Fewer than two occupations have a score: there is nothing to compare.")
    prompts = items.frame()
    ranked = scored.sort_values(ascending=False, kind="stable")
    contrasts = sorted(
        combinations(ranked.index, 2), key=lambda ends: ranked[ends[1]] - ranked[ends[0]]
    )
    for she, he in contrasts:
        texts = prompts.loc[prompts["occupation"] == she, "prompt"]
        pairs = [
            MinimalPair(text, text.replace(f" {she} ", f" {he} "), " she", " he") for text in texts
        ]
        alike = _alike(model, pairs)
        if alike:
            return f'"{she}" against "{he}"', encode_pairs(model, alike[:count])
    raise InputError(
        "No two occupations of the task are equally many tokens of this model, so that no minimal "
        "pair can be patched position by position."
    )


def _alike(model: Model, pairs: Sequence[MinimalPair]) -> list[MinimalPair]:
    """The largest group of pairs with equal length that differ at the same positions."""
    groups: dict[tuple[int, ...], list[MinimalPair]] = defaultdict(list)
    for pair in pairs:
        clean, corrupted, _, _ = _encode(model, pair)
        if len(clean) == len(corrupted):
            changed = [
                at for at, ids in enumerate(zip(clean, corrupted, strict=True)) if ids[0] != ids[1]
            ]
            groups[len(clean), *changed].append(pair)
    return max(groups.values(), key=len, default=[])


def logit_difference(logits: torch.Tensor, pairs: EncodedPairs) -> torch.Tensor:
    """The answer's logit minus the foil's at the last position, `[pair]`, in nats."""
    last = logits[:, -1] if logits.ndim == 3 else logits  # noqa: PLR2004 - [pair, pos, vocabulary]
    answer = last.gather(1, pairs.answers[:, None])
    foil = last.gather(1, pairs.foils[:, None])
    return (answer - foil).squeeze(1).float()


def _encode(model: Model, pair: MinimalPair) -> tuple[list[int], list[int], int, int]:
    clean, corrupted = (
        list(model.tokenizer(text).input_ids) for text in (pair.clean, pair.corrupted)
    )
    answer, foil = (
        _first_token(model, pair.clean, clean, text) for text in (pair.answer, pair.foil)
    )
    if answer == foil:
        raise InputError(
            f'the answers "{pair.answer}" and "{pair.foil}" begin with the same token of this '
            "model; expected answers that differ in their first token."
        )
    return clean, corrupted, answer, foil


def _first_token(model: Model, prompt: str, ids: list[int], answer: str) -> int:
    """The token that follows the prompt's where the answer is written after it."""
    whole = list(model.tokenizer(prompt + answer).input_ids)
    if whole[: len(ids)] != ids:
        raise InputError(
            f'"{answer}" changes how the end of "{prompt}" is cut into tokens; expected an answer '
            "that begins with a space."
        )
    if len(whole) == len(ids):
        raise InputError("got an empty answer; expected a text that would follow the prompt.")
    return int(whole[len(ids)])


def _words(model: Model, ids: list[int]) -> list[str]:
    return [model.tokenizer.decode([token]) for token in ids]
