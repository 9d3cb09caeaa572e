"""A list of tasks and benchmarks on a real model: what can be asked is, and the rest is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workbench.errors import InputError
from workbench.evaluate.battery import Battery, battery_setup, run_battery
from workbench.evaluate.judging.strings import StringJudge
from workbench.evaluate.overview import overview

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model

TASKS = ("capitals", "memorisation", "bbq", "toxicity", "induction", "capitals")


@pytest.fixture(scope="module")
def battery(planted: Model) -> Battery:
    return run_battery(planted, TASKS, battery_setup("strings", None, limit=4, max_new_tokens=8))


def test_what_can_be_asked_is(battery: Battery) -> None:
    assert set(battery.scores) == {"capitals", "induction", "memorisation"}
    assert all(len(result) >= 4 for result in battery.scores.values())
    assert battery.numbers.table == overview(battery.scores).table


def test_what_lacks_something_is_named_with_it(battery: Battery) -> None:
    frame = battery.not_run.frame()
    assert list(frame["task"]) == ["bbq", "toxicity"]
    assert "workbench evals fetch bbq" in frame["reason"][0]
    assert "needs a classifier" in frame["reason"][1]


def test_data_of_ones_own_is_read(planted: Model, tmp_path: Path) -> None:
    (tmp_path / "memorised_mine.jsonl").write_text(
        '{"id": "1", "prefix": "The code is", "secret": " 1234"}\n'
    )
    setup = battery_setup("strings", None)
    found = run_battery(planted, ["memorisation"], setup, data=str(tmp_path))
    assert "recited" in found.scores["memorisation"].table.column_names
    assert "suspect" in set(found.numbers.frame()["arm"])


def test_where_nothing_can_be_asked_there_is_nothing_to_draw(planted: Model) -> None:
    found = run_battery(planted, ["bbq"], battery_setup("strings", None))
    assert found.scores == {}
    assert found.numbers.frame().empty
    assert found.numbers.figure() is not None


def test_the_setup_has_the_judge_that_was_named() -> None:
    setup = battery_setup("strings", None, limit=3, seed=5)
    assert isinstance(setup.judge, StringJudge)
    assert (setup.limit, setup.seed, setup.classifier, setup.progress) == (3, 5, None, False)
    with pytest.raises(InputError):
        battery_setup("oracle", None)
