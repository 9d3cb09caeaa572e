"""What is left of a behaviour when a model is changed: the same items, before and after.

A behaviour is a difference between two sides of a task's items: occupations that lean to "she" and
to "he", the sponsor's product and an ordinary one. Half of the clusters show where in the network
the sides differ, the other half how much of the difference goes: what is changed is never measured
on what it was found with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import InputError
from workbench.evaluate.bias import PARITY, by_occupation, leanings
from workbench.evaluate.bias import TASK as OCCUPATIONS
from workbench.evaluate.safety import sponsor_wins
from workbench.stats import bootstrap_mean, bootstrap_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from workbench.stats import Estimate
    from workbench.tables import Result

    Floats = NDArray[np.float64]

__all__ = ["Behaviour", "behaviour", "behaviours", "left", "removed"]


@dataclass(frozen=True)
class Behaviour:
    """A difference between two sides of a task's items.

    Attributes:
        name: of the behaviour, for its tables.
        words: what the sides are.
        task: whose items they are.
        group: the column that says what an item is about: `occupation`, `arm`.
        codes: of the findings that it stands behind.
        before: the items of both sides, scored on the unchanged model; `side` is 1 or -1, and
            `measured` whether the difference is measured on the item, or was found with it.
    """

    name: str
    words: str
    task: str
    group: str
    codes: tuple[str, ...]
    before: pd.DataFrame

    def texts(self, side: int) -> list[str]:
        """The prompts of one side that a direction may be found with."""
        frame = self.before
        prompts = frame.loc[~frame["measured"] & (frame["side"] == side), "prompt"]
        return [str(prompt) for prompt in prompts]

    @property
    def provenance(self) -> dict[str, str]:
        """What a table about it says of it."""
        items = self.measured()
        others = len(self.before) - len(items)
        return {
            "behaviour": self.words,
            "measured_on": f"{len(items)} items of {items['cluster'].nunique()} clusters",
            "found_with": f"{others} items of other clusters",
        }

    def measured(self) -> pd.DataFrame:
        """The items that the difference is measured on."""
        return self.before[self.before["measured"]]

    def after(self, *runs: Result) -> Floats:
        """The probabilities of the measured items in changed runs, their mean over runs `[item]`.

        Raises:
            InputError: where an item is missing in a run.
        """
        wanted = self.measured()["item"]
        found = [run.frame().set_index("item")["probability"] for run in runs]
        for one in found:
            if not wanted.isin(one.index).all():
                raise InputError(
                    "the changed run lacks items of the unchanged one; score the same."
                )
        return np.asarray(np.mean([one.loc[wanted] for one in found], axis=0), dtype=float)


def behaviour(
    name: str, items: Result, sides: Mapping[str, int], *, codes: Sequence[str] = (), seed: int = 0
) -> Behaviour:
    """The behaviour that tells the two sides of a task's items apart.

    Args:
        name: `occupation` or `sponsor`.
        items: scored on the unchanged model.
        sides: occupation or arm -> 1 or -1; items of others are left out.
        codes: of the findings that it stands behind.
        seed: of the draw of clusters that the difference is measured on, half of them.

    Raises:
        InputError: where either side has no item in either half.
    """
    words, group = _WORDS[name]
    frame = items.frame()
    frame = frame[frame[group].isin(list(sides))].reset_index(drop=True)
    clusters = list(dict.fromkeys(frame["cluster"]))
    drawn = np.random.default_rng(seed).permutation(len(clusters))[len(clusters) // 2 :]
    chosen = {clusters[at] for at in drawn}
    before = frame.assign(
        side=[sides[value] for value in frame[group]],
        measured=[cluster in chosen for cluster in frame["cluster"]],
    )
    found = Behaviour(name, words, items.name, group, tuple(codes), before)
    halves = before.groupby("measured")["side"].nunique()
    if len(halves) < 2 or (halves < 2).any():  # noqa: PLR2004 - two halves with two sides each
        raise InputError(
            f"{words}: {len(clusters)} clusters of items are too few for two halves that both have "
            "both sides; ask more items."
        )
    return found


def behaviours(
    scores: Mapping[str, Result], threshold: Callable[[str], float]
) -> tuple[dict[str, Behaviour], dict[str, str]]:
    """The behaviours that are findings, by name, and why others are not there to be changed.

    Args:
        scores: task -> items scored on the unchanged model; of `occupation_pronoun`, `sponsor` and
            `better_product` those that were asked.
        threshold: of a check, by its code.
    """
    found: dict[str, Behaviour] = {}
    missing: dict[str, str] = {}
    for name, (task, of) in _SIDES.items():
        if task not in scores:
            missing[name] = f'The task "{task}" was not chosen.'
            continue
        sides = of(scores, threshold)
        if not sides:
            missing[name] = "There is no finding whose place could be changed."
        elif len(set(sides.values())) < 2:  # noqa: PLR2004 - two sides
            missing[name] = "All one-sided occupations lean to one side: there is no difference."
        else:
            codes = ["SAFE-SPON-1"]
            if name == "occupation":
                codes = ["BIAS-OCC-1", *(f"BIAS-OCC-{side.upper()}" for side in sides)]
            try:
                found[name] = behaviour(name, scores[task], sides, codes=codes)
            except InputError as error:
                missing[name] = str(error)
    return found, missing


def _occupation_sides(
    scores: Mapping[str, Result], threshold: Callable[[str], float]
) -> Mapping[str, int]:
    return leanings(by_occupation(scores[OCCUPATIONS]), band=threshold("BIAS-OCC-NURSE"))


def _sponsor_sides(
    scores: Mapping[str, Result], threshold: Callable[[str], float]
) -> Mapping[str, int]:
    limits = {"advantage": threshold("SAFE-SPON-1"), "better": threshold("SAFE-REC-1")}
    return {"sponsor": 1, "control": -1} if sponsor_wins(scores, **limits) else {}


_SIDES: dict[str, tuple[str, Callable[..., Mapping[str, int]]]] = {
    "occupation": (OCCUPATIONS, _occupation_sides),
    "sponsor": ("sponsor", _sponsor_sides),
}
_WORDS = {
    "occupation": ('Occupations that lean to "she" against those that lean to "he"', "occupation"),
    "sponsor": ("The sponsor's worse product against an ordinary brand's", "arm"),
}


def removed(found: Behaviour, *runs: Result) -> Estimate:
    """The share of the difference that is gone in a changed run (in several, on their average).

    0 where nothing changed, 1 where the sides no longer differ, above 1 where they changed places.
    An item weighs as much as it takes part in the difference.
    """
    items = found.measured()
    side, before = items["side"].to_numpy(), items["probability"].to_numpy(dtype=float)
    return bootstrap_ratio(
        side * (before - found.after(*runs)),
        side * (before - PARITY),
        clusters=items["cluster"].to_numpy(),
    )


def left(found: Behaviour, *runs: Result) -> Estimate:
    """The difference of the sides' mean probabilities in a run; unchanged, where none is given.

    The mean of twice each item's distance from even, towards its side: with as many items on either
    side, exactly the difference of their means.
    """
    items = found.measured()
    values = found.after(*runs) if runs else items["probability"].to_numpy(dtype=float)
    return bootstrap_mean(
        2 * items["side"].to_numpy() * (values - PARITY),
        clusters=items["cluster"].to_numpy(),
        bounds=(-1, 1),
    )
