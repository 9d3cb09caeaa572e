"""Before and after a model is changed: the groups, the items, the doses, and the side effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.evaluate.bias import PARITY
from workbench.evaluate.estimates import mean_of
from workbench.evaluate.removal import left
from workbench.stats import bootstrap_mean, bootstrap_mean_difference
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.evaluate.removal import Behaviour
    from workbench.stats import Estimate

__all__ = ["CHANGED", "CONTROL", "UNCHANGED", "by_group", "by_item", "doses", "harm", "lost"]

UNCHANGED, CHANGED = "unchanged", "without the direction"
CONTROL = "without a random direction"


def by_group(found: Behaviour, runs: Mapping[str, Sequence[Result]]) -> Result:
    """Each group's mean probability by run, the groups that were likeliest before first.

    Columns: `group`, `run`, `label`, and the estimate's row.

    Args:
        found: the behaviour.
        runs: name -> changed runs, which are averaged; the unchanged one comes first by itself.
    """
    items = found.measured()
    before = items["probability"].to_numpy(dtype=float)
    values = {UNCHANGED: before} | {name: found.after(*some) for name, some in runs.items()}
    rows: list[dict[str, Any]] = []
    means = items.groupby(found.group, sort=False)["probability"].mean()
    for group in means.sort_values(ascending=False, kind="stable").index:
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
            "title": f"Before and after: {found.name}",
            "x_title": "mean probability",
            "alt": "For each group the mean probability unchanged, without the direction and "
            "without a random one, with intervals.",
        },
    )
    return Result.of(f"{found.name}_before_and_after", rows, found.provenance, chart)


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
    return Result.of(f"{found.name}_changed_items", rows.reset_index(drop=True), found.provenance)


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
            "title": f"What is left, by dose: {found.name}",
            "x_title": "share of the direction taken away at each layer",
            "y_title": "difference of mean probabilities",
            "alt": "The difference that is left by the share of the direction that is taken away, "
            "and of a random direction, with intervals.",
        },
    )
    return Result.of(f"{found.name}_dose_response", rows, found.provenance, chart)


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
