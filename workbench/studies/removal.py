"""From behaviour to place to intervention: what goes, and what else, when its direction is removed.

What tells the two sides of a behaviour apart is a direction of the residual stream, after the layer
that patching found. It is projected out of everything that the model writes (Arditi et al. 2024,
arXiv 2406.11717), and the same questions are asked again, beside random directions of its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from workbench import interpret
from workbench.evaluate import removal, removal_tables
from workbench.evaluate.bias import by_occupation
from workbench.interpret import locating
from workbench.interpret.task_pairs import occupation_pairs, twin_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from workbench.evaluate.removal import Behaviour
    from workbench.interpret import Direction
    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model
    from workbench.stats import Estimate
    from workbench.tables import Result

    class Earlier(Protocol):
        """What an earlier section of an audit kept, or else what `otherwise` gives."""

        def __call__(
            self, section: str, result: str, otherwise: Callable[[], Result]
        ) -> Result: ...


__all__ = ["Removed", "direction_of", "remove"]

SHARES = (0.25, 0.5)
"""Of a direction, that are removed on the way to all of it."""

HOOKS = ("resid_pre", "attn_out", "mlp_out", "resid_post")
"""Sites that have to be faithful: the place is found by them, and the direction read there."""


@dataclass(frozen=True)
class Removed:
    """A behaviour before and after its direction is removed.

    Attributes:
        effect: the share of the difference that goes, on items it was not found with.
        control: the same with random directions.
        harm: how much less likely the abilities' right answers become; None where none was asked.
        responses: the difference that is left by the share of the direction that is removed.
        groups: each group before and after.
        items: each measured item before and after.
        side_effects: the abilities, task by task; None where none was asked.
    """

    effect: Estimate
    control: Estimate
    harm: Estimate | None
    responses: Result
    groups: Result
    items: Result
    side_effects: Result | None

    @property
    def tables(self) -> list[Result]:
        """All of them, the one to look at first first."""
        tables = [self.groups, self.responses, self.items]
        return tables if self.side_effects is None else [*tables, self.side_effects]


def direction_of(
    model: Model, found: Behaviour, items: Result, *, earlier: Earlier, pairs: int
) -> Direction:
    """The difference of the two sides' means in the stream after the layer that carries it.

    Args:
        model: a loaded model.
        found: the behaviour; its texts that nothing is measured on are averaged.
        items: of its task, scored on the unchanged model.
        earlier: gives the patching maps and the certificate of the section `inside`.
        pairs: minimal pairs to find the place with, where that section left none.

    Raises:
        ModelError: for an architecture whose sites are not proven, or hooks that do not show what
            the plain model computes.
        InputError: where no pair has an effect: there is no place.
    """
    _ = model.anatomy  # what is not proven is not changed
    compared = partial(_pairs, model, found, items, pairs)

    def located(key: str) -> Result:
        return interpret.located(model, compared(), found.name)[key]()

    keys = [f"{found.name}_patching_{site}" for site in locating.BLOCKS]
    maps = [earlier("inside", key, partial(located, key)) for key in keys]
    check = partial(_certificate, model, compared)
    interpret.require_faithful(earlier("inside", "fidelity", check))
    sides = interpret.Contrast(found.texts(1), found.texts(-1), found.name)
    return interpret.difference_of_means(model, sides, interpret.writing_layer(maps))


def remove(  # noqa: PLR0913 - what is removed, from what, and what is asked
    model: Model,
    found: Behaviour,
    direction: Direction,
    ask: Callable[[Sequence[str], Model], Mapping[str, Result]],
    abilities: Mapping[str, Result],
    *,
    draws: int,
) -> Removed:
    """What goes with the direction, by how much of it is removed, and what else.

    Args:
        model: a loaded model; it is as before afterwards.
        found: the behaviour.
        direction: what carries it.
        ask: scores tasks on a model.
        abilities: tasks with a right answer, scored on the unchanged model.
        draws: random directions, seeds 0 to `draws` - 1.
    """
    task = found.task

    def without(one: Direction, tasks: Sequence[str], share: float = 1.0) -> Mapping[str, Result]:
        with interpret.ablated(model, one, share=share) as changed:
            return ask(tasks, changed)

    after = without(direction, [task, *abilities])
    drawn = [interpret.random_direction(direction, seed=seed) for seed in range(draws)]
    random = [without(one, [task])[task] for one in drawn]
    doses, control = {1.0: [after[task]]}, {1.0: random}
    for share in SHARES:
        doses[share] = [without(direction, [task], share)[task]]
        control[share] = [without(drawn[0], [task], share)[task]]
    runs = {removal_tables.CHANGED: [after[task]], removal_tables.CONTROL: random}
    return Removed(
        effect=removal.removed(found, after[task]),
        control=removal.removed(found, *random),
        harm=removal_tables.lost(abilities, after) if abilities else None,
        responses=removal_tables.doses(found, doses, control),
        groups=removal_tables.by_group(found, runs),
        items=removal_tables.by_item(found, after[task], random),
        side_effects=removal_tables.harm(found.name, abilities, after) if abilities else None,
    )


def _pairs(model: Model, found: Behaviour, items: Result, count: int) -> EncodedPairs:
    if found.name == "sponsor":
        return twin_pairs(model, items, treated="sponsor", control="control", count=count)
    return occupation_pairs(model, items, by_occupation(items), count=count)[1]


def _certificate(model: Model, compared: Callable[[], EncodedPairs]) -> Result:
    return interpret.fidelity(model, compared().clean, list(HOOKS))
