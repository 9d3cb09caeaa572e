"""Abilities: how often a model picks the right answer, beside what chance alone would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import InputError
from workbench.evaluate.calibration import calibration_of, reliability
from workbench.stats import Estimate, bootstrap_mean
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["above_chance", "answerable", "by_task", "pooled", "reliability_of_all"]

_COLUMNS = ("item", "cluster", "prompt", "choices", "target", "picked", "correct")
_NUMBERS = ("probability", "log_probabilities")


def answerable(scores: Mapping[str, Result]) -> dict[str, Result]:
    """The tasks with choices of which one is right: the others have no accuracy by chance."""
    return {
        task: scored
        for task, scored in scores.items()
        if {*_COLUMNS, *_NUMBERS} <= set(scored.table.column_names)
    }


def by_task(scores: Mapping[str, Result]) -> Result:
    """Each task's accuracy with its interval, and chance beside it.

    Columns: `task`, `measure` (`model`, or `chance`: one over the number of choices, which has no
    interval), `label`, and the estimate's row.

    Args:
        scores: task -> scored items, of `answerable` tasks.
    """
    rows: list[dict[str, Any]] = []
    for task, scored in scores.items():
        frame = scored.frame()
        chance = float((1 / frame["choices"].map(len)).mean())
        accuracy = bootstrap_mean(_right(frame), clusters=frame["cluster"], bounds=(0, 1))
        bare = Estimate(chance, None, None, len(frame), "one over the number of choices")
        for measure, estimate in (("model", accuracy), ("chance", bare)):
            label = task if measure == "model" else f"{task}: chance"
            rows.append({"task": task, "measure": measure, "label": label, **estimate.row()})
    chart = Chart(
        kind="intervals",
        options={
            "label": "label",
            "value": "estimate",
            "low": "low",
            "high": "high",
            "colour": "measure",
            "title": "How often the right answer is the likeliest",
            "x_title": "accuracy",
            "alt": "For each task the model's accuracy with its interval, and what chance gives.",
        },
    )
    provenance = {"tasks": [dict(scored.provenance) for scored in scores.values()]}
    return Result.of("abilities", rows, provenance, chart)


def above_chance(scored: Result) -> Estimate:
    """The accuracy between chance (0) and all right (1); below 0 where it is worse than chance.

    Each item counts (right - chance) / (1 - chance) with its own number of choices: the scale on
    which the Open LLM Leaderboard compares tasks of unlike numbers of choices ("normalized score",
    Hugging Face 2024).
    """
    frame = scored.frame()
    chance = 1 / frame["choices"].map(len).to_numpy()
    chance[chance == 1] = np.nan  # one choice is no question
    values = (_right(frame) - chance) / (1 - chance)
    worst = np.nanmin(-chance / (1 - chance), initial=0.0)
    return bootstrap_mean(values, clusters=frame["cluster"], bounds=(float(worst), 1.0))


def pooled(scores: Mapping[str, Result]) -> Result:
    """The items of several tasks in one result, as `abilities_items`: what all have, and `task`.

    Raises:
        InputError: where there is no task.
    """
    import pandas as pd

    if not scores:
        raise InputError("got no task; expected the scores of at least one.")
    columns = ["task", *_COLUMNS, *_NUMBERS]
    frames = [scored.frame().assign(task=task)[columns] for task, scored in scores.items()]
    whole = pd.concat(frames, ignore_index=True)
    # Clusters of two tasks may have one name and have nothing in common.
    whole["cluster"] = whole["task"] + ": " + whole["cluster"]
    return Result.of("abilities_items", whole, {"tasks": [*scores]})


def reliability_of_all(items: Result) -> tuple[Result | None, Estimate]:
    """The reliability diagram of all items, and their expected calibration error.

    Where no item has a score there is no diagram, and the error is undefined.
    """
    try:
        found = calibration_of(items)
    except InputError:
        return None, Estimate(None, None, None, 0, "undefined", undefined=len(items))
    return reliability(items, found), found.ece


def _right(frame: pd.DataFrame) -> np.ndarray:
    """Whether each item is right `[item]`; NaN where that is not known."""
    return frame["correct"].to_numpy(dtype=float, na_value=np.nan)
