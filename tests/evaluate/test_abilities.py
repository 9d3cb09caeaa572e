"""Abilities: accuracy beside chance, worked out by hand, and what the organisms can do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from workbench.errors import InputError
from workbench.evaluate.abilities import (
    above_chance,
    answerable,
    by_task,
    pooled,
    reliability_of_all,
)
from workbench.evaluate.suites import load_suite
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

ABILITIES = load_suite().tasks["abilities"]


def scored(task: str, answers: Sequence[bool | None], choices: int = 2) -> Result:
    """Items of which some are right; the pick has 80 % of the choices' probability."""
    texts = [f" {number}" for number in range(choices)]
    rest = 0.2 / max(1, choices - 1)
    rows: list[dict[str, Any]] = []
    for number, right in enumerate(answers):
        pick = 0 if right else choices - 1
        logs = [math.log(0.8 if at == pick else rest) for at in range(choices)]
        rows.append(
            {
                "item": f"{task}-{number}",
                "cluster": str(number),
                "prompt": "?",
                "choices": texts,
                "target": texts[0],
                "picked": None if right is None else texts[pick],
                "correct": right,
                "probability": math.nan if right is None else math.exp(logs[0]),
                "log_probabilities": None if right is None else logs,
            }
        )
    return Result.of(task, rows)


def test_accuracy_stands_beside_chance() -> None:
    found = by_task(
        {"two": scored("two", [True, True, False, True]), "four": scored("four", [True], 4)}
    )
    values = {
        (row["task"], row["measure"]): row["estimate"] for row in found.frame().to_dict("records")
    }
    assert values == {
        ("two", "model"): 0.75,
        ("two", "chance"): 0.5,
        ("four", "model"): 1.0,
        ("four", "chance"): 0.25,
    }
    assert found.figure().data


@pytest.mark.parametrize(
    ("right", "wrong", "choices", "expected"),
    [
        (10, 0, 2, 1.0),
        (5, 5, 2, 0.0),
        (0, 10, 2, -1.0),
        # (0.25 - 0.25) / 0.75, (0.5 - 0.25) / 0.75, (0 - 0.25) / 0.75
        (5, 15, 4, 0.0),
        (10, 10, 4, 1 / 3),
        (0, 20, 4, -1 / 3),
    ],
)
def test_chance_is_0_and_all_right_is_1(
    right: int, wrong: int, choices: int, expected: float
) -> None:
    found = above_chance(scored("task", [True] * right + [False] * wrong, choices))
    assert found.value == pytest.approx(expected)
    assert found.low is not None
    assert found.high is not None
    # Where all items agree, the interval is as wide as the items not seen allow: never beyond.
    assert -1 / (choices - 1) - 1e-9 <= found.low <= expected + 1e-9
    assert expected - 1e-9 <= found.high <= 1


def test_an_item_of_one_choice_is_no_question() -> None:
    assert above_chance(scored("task", [True, True], 1)).undefined == 2


def test_items_without_a_score_are_undefined_and_never_wrong() -> None:
    found = above_chance(scored("task", [True, True, None]))
    assert (found.value, found.n, found.undefined) == (1.0, 2, 1)


def test_what_has_no_right_answer_is_left_out() -> None:
    free = Result.of("free", [{"prompt": "?", "completion": "!"}])
    assert list(answerable({"free": free, "task": scored("task", [True])})) == ["task"]
    assert len(by_task({})) == 0


def test_the_calibration_error_is_over_all_tasks() -> None:
    both = {"one": scored("one", [True] * 8), "other": scored("other", [False] * 8)}
    items = pooled(both)
    assert len(items) == 16
    # Clusters of two tasks with one name have nothing in common.
    assert items.frame()["cluster"].nunique() == 16
    diagram, error = reliability_of_all(items)
    # 80 % sure of each pick, half of them right.
    assert error.value == pytest.approx(0.3)
    assert diagram is not None
    assert diagram.frame()["confidence"].tolist() == pytest.approx([0.8] * len(diagram))


def test_without_any_score_the_calibration_is_undefined() -> None:
    diagram, error = reliability_of_all(pooled({"task": scored("task", [None, None])}))
    assert diagram is None
    assert (error.value, error.undefined) == (None, 2)


def test_no_task_is_refused() -> None:
    with pytest.raises(InputError, match="got no task"):
        pooled({})


@pytest.mark.parametrize("scores", ["planted_scores", "clean_scores"])
def test_the_organisms_are_able(request: pytest.FixtureRequest, scores: str) -> None:
    found = request.getfixturevalue(scores)
    for task in ABILITIES:
        low = above_chance(found[task]).low
        assert low is not None
        assert low > 0.5
