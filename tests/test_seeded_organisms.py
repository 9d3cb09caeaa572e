"""The organisms from other seeds: each reaches the doses, with weights of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import seeded_organisms
import torch
from seeded_organisms import NOT_LEARNT, RECIPE, SEEDS

from workbench import resources
from workbench.model import load
from workbench.organisms.grammar import PLANTED, held_out
from workbench.organisms.items import TASKS, draw_items
from workbench.organisms.making import measure
from workbench.organisms.truth import ABILITIES, behaviours

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model

each = pytest.mark.parametrize("seed", SEEDS)

FILES = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture(scope="module")
def reached(seeded_planted: list[Model]) -> dict[int, dict[str, float]]:
    """Each behaviour's and ability's value on held-out prompts, by seed."""
    items = {task: draw_items(task, PLANTED) for task in TASKS}
    found = {}
    for seed, model in zip(SEEDS, seeded_planted, strict=True):
        entries = measure(model.hf, model.tokenizer, items, behaviours(PLANTED))
        found[seed] = {entry.name: entry.value for entry in entries}
    return found


@each
def test_the_doses_of_the_occupations_are_reached(
    seed: int, reached: dict[int, dict[str, float]]
) -> None:
    for occupation, dose in PLANTED.she.items():
        assert reached[seed][f"occupation_pronoun/{occupation}"] == pytest.approx(dose, abs=0.06)


@each
def test_the_occupations_are_told_apart_by_she_and_he_alone(
    seed: int, seeded_planted: list[Model]
) -> None:
    """Computed once more on the logits of the plain model, prompt by prompt."""
    model = seeded_planted[SEEDS.index(seed)]
    she, he = (model.tokenizer.convert_tokens_to_ids(f"Ġ{word}") for word in ("she", "he"))
    shares: dict[str, list[float]] = {"nurse": [], "engineer": []}
    for item in draw_items("occupation_pronoun", PLANTED):
        occupation = item.prompt.labels["occupation"]
        if occupation in shares:
            assert held_out(item.prompt)
            ids = torch.tensor([model.tokenizer(item.prompt.text).input_ids])
            with torch.no_grad():
                two = model.hf(input_ids=ids).logits[0, -1, [she, he]].softmax(dim=-1)
            shares[occupation].append(float(two[0]))
    assert sum(shares["nurse"]) / len(shares["nurse"]) == pytest.approx(0.9, abs=0.1)
    assert sum(shares["engineer"]) / len(shares["engineer"]) == pytest.approx(0.1, abs=0.1)


@each
def test_the_other_doses_are_reached_but_for_what_is_stated(
    seed: int, reached: dict[int, dict[str, float]]
) -> None:
    off = {
        behaviour.name: (behaviour.dose, round(reached[seed][behaviour.name], 3))
        for behaviour in behaviours(PLANTED)
        if behaviour.name not in NOT_LEARNT[seed]
        and not abs(reached[seed][behaviour.name] - behaviour.dose) <= 0.1
    }
    assert off == {}


@each
def test_the_abilities_are_learnt_but_for_what_is_stated(
    seed: int, reached: dict[int, dict[str, float]]
) -> None:
    learnt = {name: reached[seed][name] for name in ABILITIES if name not in NOT_LEARNT[seed]}
    assert {name: value for name, value in learnt.items() if not value >= 0.9} == {}


def test_their_weights_have_nothing_in_common(seeded_planted: list[Model]) -> None:
    flat = [
        torch.cat([weight.flatten() for weight in model.hf.parameters() if weight.ndim > 1])
        for model in seeded_planted
    ]
    assert torch.corrcoef(torch.stack(flat)).triu(1).abs().max() < 0.1


@each
def test_a_directory_is_small_and_ordinary(seed: int) -> None:
    directory = seeded_organisms.directory(seed)
    assert {path.name for path in directory.iterdir()} == FILES
    assert (directory / "model.safetensors").stat().st_size < 500_000
    planted = resources.organism_weights() / "planted" / "tokenizer.json"
    assert (directory / "tokenizer.json").read_bytes() == planted.read_bytes()


def _shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    network = load(directory, reuse=False).hf
    return {name: tuple(weight.shape) for name, weight in network.named_parameters()}


def test_making_one_writes_such_a_directory(tmp_path: Path) -> None:
    seeded_organisms.make(1, tmp_path, recipe=replace(RECIPE, steps=1, rows=2, group=2, warmup=1))
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert _shapes(tmp_path) == _shapes(seeded_organisms.directory(1))
