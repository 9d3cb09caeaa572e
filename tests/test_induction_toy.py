"""The toy has learnt induction, by the heads that are known to do it; measured by plain code."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import induction_toy as toy
import pytest
import torch
from induction_toy import Recipe

if TYPE_CHECKING:
    from workbench.model import Model

BRIEF = Recipe(steps=3, rows=4, warmup=2)


@pytest.mark.parametrize("length", [4, 10, 16])
def test_a_repetition_is_continued(induction: Model, length: int) -> None:
    assert toy.accuracy(induction.hf, toy.repeated(length, 64, seed=1)) > 0.98


def test_longer_ones_than_it_was_trained_on_are_continued(induction: Model) -> None:
    assert toy.LONGEST < 20
    assert toy.accuracy(induction.hf, toy.repeated(20, 64, seed=1)) > 0.9


@pytest.mark.parametrize("length", [10, 16])
def test_a_previous_token_head_is_in_layer_0_and_induction_heads_in_layer_1(
    induction: Model, length: int
) -> None:
    previous, inductive = toy.head_scores(induction.hf, toy.repeated(length, 32, seed=2))
    assert previous.shape == inductive.shape == (toy.LAYERS, toy.HEADS)
    assert previous[0].max() > 0.8
    assert previous[1].max() < 0.2
    assert inductive[1].max() > 0.85
    assert inductive[0].max() < 0.2


def test_without_the_previous_token_heads_nothing_is_continued(induction: Model) -> None:
    """What layer 0 says of the position before is what layer 1 looks for: a known dependence."""
    ids = toy.repeated(10, 32, seed=3)
    matrix = induction.hf.model.layers[0].self_attn.o_proj
    handle = matrix.register_forward_hook(lambda _, __, output: torch.zeros_like(output))
    try:
        assert toy.accuracy(induction.hf, ids) < 0.2
    finally:
        handle.remove()


def test_the_scores_are_those_that_are_stated(induction: Model) -> None:
    """Computed once more, position by position."""
    length = 7
    ids = toy.repeated(length, 2, seed=4)
    previous, inductive = toy.head_scores(induction.hf, ids)
    with torch.no_grad():
        patterns = induction.hf(input_ids=ids, output_attentions=True).attentions
    for layer, head in ((0, 0), (1, 2)):
        before, after = [], []
        for pattern in patterns[layer][:, head]:
            before += [pattern[at, at - 1].item() for at in range(1, 2 * length + 1)]
            after += [pattern[at, at - length + 1] for at in range(length + 1, 2 * length + 1)]
        assert previous[layer, head].item() == pytest.approx(sum(before) / len(before))
        assert inductive[layer, head].item() == pytest.approx(float(sum(after) / len(after)))


def test_the_text_is_what_the_ids_are(induction: Model) -> None:
    ids = induction.tokenizer(toy.repeated_text(10, seed=5)).input_ids
    assert ids == toy.repeated(10, 1, seed=5)[0].tolist()
    assert ids[1:11] == ids[11:]
    assert len(set(ids[1:11])) == 10


# Training


def losses(recipe: Recipe) -> list[float]:
    told: list[float] = []
    toy.train(recipe, on_step=lambda _, loss: told.append(loss))
    return told


def test_the_same_seed_gives_the_same_losses_and_another_does_not() -> None:
    once = losses(BRIEF)
    torch.manual_seed(99)
    assert once == losses(BRIEF)
    assert once != losses(replace(BRIEF, seed=1))
    assert once[0] == pytest.approx(log(len(toy.VOCABULARY)), abs=0.2)


def test_only_what_can_be_known_is_trained_on() -> None:
    from random import Random

    ids, known = toy._batch(Random(0), Recipe())
    assert ids.shape == known.shape == (32, 41)
    for row, marks in zip(ids.tolist(), known.tolist(), strict=True):
        start = marks.index(True)
        assert all(marks[start:])
        # The word before the first known one has been said before, and once.
        assert row[: start - 1].count(row[start - 1]) == 1
        for at in range(start, len(row)):
            last = max(place for place in range(at - 1) if row[place] == row[at - 1])
            assert row[at] == row[last + 1]
