"""Minimal pairs from a task's scored items: what an audit compares to find a finding's place."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from workbench.errors import InputError
from workbench.interpret.pairs import MinimalPair, comparable, encode_pairs

if TYPE_CHECKING:
    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model
    from workbench.tables import Result

__all__ = ["occupation_pairs", "twin_pairs"]


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
        alike = comparable(model, pairs)
        if alike:
            encoded = encode_pairs(model, alike[:count], answers="first")
            return f'"{she}" against "{he}"', encoded
    raise InputError(
        "No two occupations of the task are equally many tokens of this model, so that no minimal "
        "pair can be patched position by position."
    )


def twin_pairs(
    model: Model, items: Result, *, treated: str, control: str, count: int
) -> EncodedPairs:
    """Pairs of a task's twins: items that are equal but for what is tested.

    The clean prompt is the treated one. The answer is its target, and the control's target counts
    as the answer, too: what differs between the runs is then whether the model gives what is asked
    about, and not which names it has read. The foil is the choice that both have.

    Args:
        model: a loaded model.
        items: scored items with `arm`, `pair`, `target` and two `choices`, of which the twins share
            one.
        treated: the arm of the clean prompts.
        control: the arm of the corrupted ones.
        count: how many pairs at most.

    Raises:
        InputError: where no twins are equally many tokens of this model, or their answers begin
            with the same token.
    """
    frame = items.frame().set_index("pair")
    first, second = (frame[frame["arm"] == arm] for arm in (treated, control))
    pairs = []
    for pair in first.index.intersection(second.index, sort=False):
        one, other = first.loc[pair], second.loc[pair]
        (foil,) = set(one["choices"]) - {one["target"]}
        pairs.append(
            MinimalPair(one["prompt"], other["prompt"], one["target"], foil, also=other["target"])
        )
    alike = comparable(model, pairs)
    if not alike:
        raise InputError(
            f"No two twins of the task ({treated}, {control}) are equally many tokens of this "
            "model with answers that it tells apart, so that no pair can be patched position by "
            "position."
        )
    return encode_pairs(model, alike[:count], answers="first")
