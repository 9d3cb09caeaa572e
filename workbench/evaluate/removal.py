"""What is left of a behaviour when a model is changed: the same items, before and after.

A behaviour is a difference between two sides of a task's items: occupations that lean to "she" and
to "he", the sponsor's product and an ordinary one. Half of the clusters show where in the network
the sides differ, the other half how much of the difference goes: what is changed is never measured
on what it was found with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import InputError
from workbench.evaluate.bias import PARITY, by_occupation, leanings
from workbench.evaluate.bias import TASK as OCCUPATIONS
from workbench.evaluate.estimates import mean_of
from workbench.evaluate.safety import sponsor_wins
from workbench.stats import Estimate, bootstrap_mean, bootstrap_mean_difference, bootstrap_ratio
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

__all__ = [
    "CHANGED",
    "CONTROL",
    "UNCHANGED",
    "Behaviour",
    "behaviour",
    "behaviours",
    "by_group",
    "by_item",
    "doses",
    "harm",
    "left",
    "lost",
    "removed",
]

UNCHANGED, CHANGED = "unchanged", "without the direction"
CONTROL = "without a random direction"


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

    def measured(self) -> pd.DataFrame:
        """The items that the difference is measured on."""
        return self.before[self.before["measured"]]

    def after(self, *runs: Result) -> np.ndarray:
        """The probabilities of the measured items in changed runs, their mean over runs `[item]`.

        Raises:
            InputError: where an item is missing in a run.
        """
        wanted = self.measured()["item"]
        found = [run.frame().set_index("item")["probability"] for run in runs]
        for one in found:
            if not wanted.isin(one.index).all():
                raise InputError("the changed run lacks items of the unchanged one; score the same.")
        return np.mean([one.loc[wanted].to_numpy(dtype=float) for one in found], axis=0)


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


def by_group(found: Behaviour, runs: Mapping[str, Sequence[Result]]) -> Result:
    """Each group's mean probability by run: what was measured before and after.

    Columns: `group`, `run`, `label`, and the estimate's row.

    Args:
        found: the behaviour.
        runs: name -> changed runs, which are averaged; the unchanged one comes first by itself.
    """
    items = found.measured()
    before = items["probability"].to_numpy(dtype=float)
    values = {UNCHANGED: before} | {name: found.after(*some) for name, some in runs.items()}
    rows: list[dict[str, Any]] = []
    for group in dict.fromkeys(items[found.group]):
        here = (items[found.group] == group).to_numpy()
        for name, probabilities in values.items():
            estimate = bootstrap_mean(
                probabilities[here],
                clusters=items["cluster"].to_numpy()[here],
                bounds=(0, 1),
            )
            label = str(group) if name == UNCHANGED else f"{group}, {name}"
            rows.append({"group": group, "run": name, "label": label, **estimate.row()})
    chart = Chart(
        kind="intervals",
        options={
            "label": "label",
            "value": "estimate",
            "low": "low",
            "high": "high",
            "colour": "run",
            "reference": PARITY,
            "title": f"{found.words}: before and after",
            "x_title": "mean probability",
            "alt": "For each group the mean probability unchanged, without the direction and "
            "without a random one, with intervals.",
        },
    )
    return Result.of(f"{found.name}_before_and_after", rows, _provenance(found), chart)


def by_item(found: Behaviour, changed: Result, control: Sequence[Result]) -> Result:
    """The measured items: `before`, `after`, `change`, and `random` (after a random direction)."""
    items = found.measured()
    picked = changed.frame().set_index("item")["picked"]
    columns = dict.fromkeys(["item", "cluster", found.group, "prompt", "target"])
    rows = items[list(columns)].assign(
        side=items["side"],
        before=items["probability"],
        after=found.after(changed),
        random=found.after(*control),
        picked_before=items["picked"],
        picked_after=picked.loc[items["item"]].to_numpy(),
    )
    rows["change"] = rows["after"] - rows["before"]
    return Result.of(f"{found.name}_changed_items", rows.reset_index(drop=True), _provenance(found))


def doses(
    found: Behaviour,
    runs: Mapping[float, Sequence[Result]],
    control: Mapping[float, Sequence[Result]],
) -> Result:
    """How much of the difference is left by the share of the direction that is taken away.

    Columns: `series` (the direction, or a random one), `share`, and the row of `left`. The share 0
    is the unchanged model.
    """
    rows = []
    for series, by_share in (("the direction", runs), ("a random direction", control)):
        for share in (0.0, *sorted(by_share)):
            estimate = left(found, *(by_share[share] if share else ()))
            rows.append({"series": series, "share": share, **estimate.row()})
    chart = Chart(
        kind="lines",
        options={
            "x": "share",
            "y": "estimate",
            "low": "low",
            "high": "high",
            "series": "series",
            "reference": 0,
            "title": f"{found.words}: what is left, by dose",
            "x_title": "share of the direction taken away at each layer",
            "y_title": "difference of mean probabilities",
            "alt": "The difference that is left by the share of the direction that is taken away, "
            "and of a random direction, with intervals.",
        },
    )
    return Result.of(f"{found.name}_dose_response", rows, _provenance(found), chart)


def harm(name: str, before: Mapping[str, Result], after: Mapping[str, Result]) -> Result:
    """What else changed: the right answer's probability after minus before, task by task.

    Columns: `task`, the paired estimate's row, and `accuracy_before` and `accuracy_after`.
    """
    rows = []
    for task, scored in before.items():
        one, other = scored.frame(), after[task].frame()
        difference = bootstrap_mean_difference(
            other["probability"].to_numpy(dtype=float),
            one["probability"].to_numpy(dtype=float),
            clusters=one["cluster"].to_numpy(),
            bounds=(0, 1),
        )
        accuracy = [mean_of(result, "correct").value for result in (scored, after[task])]
        columns = dict(zip(("accuracy_before", "accuracy_after"), accuracy, strict=True))
        rows.append({"task": task, **difference.row(), **columns})
    chart = Chart(
        kind="intervals",
        options={
            "label": "task",
            "value": "estimate",
            "low": "low",
            "high": "high",
            "reference": 0,
            "title": "Side effects on abilities",
            "x_title": "change of the right answer's probability",
            "alt": "For each ability the paired change of the right answer's probability, with its "
            "interval; the line is at no change.",
        },
    )
    return Result.of(f"{name}_side_effects", rows, {"tasks": [*before]}, chart)


def lost(before: Mapping[str, Result], after: Mapping[str, Result]) -> Estimate:
    """How much less likely the right answers became, over the items of all tasks."""
    frames = [(task, before[task].frame(), after[task].frame()) for task in before]
    return bootstrap_mean_difference(
        np.concatenate([one["probability"].to_numpy(dtype=float) for _, one, _ in frames]),
        np.concatenate([other["probability"].to_numpy(dtype=float) for _, _, other in frames]),
        clusters=np.concatenate([(task + ": " + one["cluster"]) for task, one, _ in frames]),
        bounds=(0, 1),
    )


def _provenance(found: Behaviour) -> dict[str, Any]:
    items = found.measured()
    return {
        "behaviour": found.words,
        "measured_on": f"{len(items)} items of {items['cluster'].nunique()} clusters",
        "found_with": f"{len(found.before) - len(items)} items of other clusters",
    }
