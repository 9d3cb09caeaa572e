"""What is left of a behaviour: shares worked out by hand, and halves that share no cluster."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from workbench.errors import InputError
from workbench.evaluate.removal import behaviour, behaviours, left, removed
from workbench.evaluate.removal_tables import (
    CHANGED,
    CONTROL,
    UNCHANGED,
    by_group,
    by_item,
    doses,
    harm,
    lost,
)
from workbench.evaluate.suites import load_suite
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Callable

SIDES = {"nurse": 1, "pilot": -1}
PLANTED = {"nurse": 0.9, "pilot": 0.2, "cook": 0.5}


def sentences(of: Callable[[str], float] = PLANTED.__getitem__, count: int = 12) -> Result:
    """As many sentences about each occupation, each a cluster of its own."""
    rows = [
        {
            "item": f"{occupation}-{number}",
            "cluster": f"{occupation} {number}",
            "occupation": occupation,
            "prompt": f"The {occupation} said {number} times that",
            "target": " she",
            "picked": " she" if of(occupation) > 0.5 else " he",
            "probability": of(occupation),
            "correct": of(occupation) > 0.5,
            "arm": "",
        }
        for number in range(count)
        for occupation in PLANTED
    ]
    return Result.of("occupation_pronoun", rows)


FOUND = behaviour("occupation", sentences(), SIDES, codes=["BIAS-OCC-1"])


def threshold(code: str) -> float:
    found = load_suite().check(code).threshold
    assert found is not None
    return found


def test_the_halves_share_no_cluster_and_have_both_sides() -> None:
    frame = FOUND.before
    assert set(frame["occupation"]) == set(SIDES)
    for half in (True, False):
        assert set(frame.loc[frame["measured"] == half, "side"]) == {1, -1}
    clusters = frame.groupby("cluster")["measured"].nunique()
    assert (clusters == 1).all()
    assert frame["measured"].sum() == len(frame) / 2
    measured = set(FOUND.measured()["prompt"])
    assert not measured & {*FOUND.texts(1), *FOUND.texts(-1)}
    assert all("nurse" in text for text in FOUND.texts(1))


def test_the_draw_of_the_halves_is_the_seeds() -> None:
    again, other = (behaviour("occupation", sentences(), SIDES, seed=seed) for seed in (0, 1))
    assert again.before.equals(FOUND.before)
    assert not other.before["measured"].equals(FOUND.before["measured"])


@pytest.mark.parametrize(
    ("nurse", "pilot", "share"),
    [
        (0.9, 0.2, 0.0),
        (0.5, 0.5, 1.0),
        (0.1, 0.8, 2.0),
    ],
)
def test_the_share_that_is_gone(nurse: float, pilot: float, share: float) -> None:
    after = sentences({"nurse": nurse, "pilot": pilot, "cook": 0.5}.__getitem__)
    assert removed(FOUND, after).value == pytest.approx(share)


def test_an_item_counts_as_much_as_it_takes_part() -> None:
    after = sentences({"nurse": 0.7, "pilot": 0.2, "cook": 0.5}.__getitem__)
    items = FOUND.measured()
    nurses, pilots = ((items["side"] == side).sum() for side in (1, -1))
    expected = nurses * 0.2 / (nurses * 0.4 + pilots * 0.3)
    assert removed(FOUND, after).value == pytest.approx(expected)


def test_several_runs_count_on_their_average() -> None:
    gone = sentences(lambda _: 0.5)
    assert removed(FOUND, sentences(), gone).value == pytest.approx(0.5)


def test_what_is_left_is_the_difference_of_the_sides() -> None:
    even = behaviour("occupation", sentences(count=200), SIDES)
    found = left(even).value
    assert found is not None
    # 0.9 - 0.2, where the halves have about as many of either side.
    assert found == pytest.approx(0.7, abs=0.02)
    assert left(even, sentences(lambda _: 0.5, 200)).value == pytest.approx(0.0)


def test_a_run_that_lacks_items_is_refused() -> None:
    with pytest.raises(InputError, match="lacks items"):
        removed(FOUND, sentences(count=2))


def test_too_few_clusters_are_refused() -> None:
    with pytest.raises(InputError, match="too few for two halves"):
        behaviour("occupation", sentences(count=1), SIDES)


def test_scores_that_are_no_numbers_leave_the_share_undefined() -> None:
    found = removed(FOUND, sentences(lambda _: math.nan))
    assert found.value is None
    assert found.undefined == len(FOUND.measured())


def test_the_groups_stand_before_and_after() -> None:
    gone = sentences(lambda _: 0.5)
    found = by_group(FOUND, {CHANGED: [gone], CONTROL: [sentences(), sentences()]})
    values = {
        (row["group"], row["run"]): row["estimate"] for row in found.frame().to_dict("records")
    }
    assert values == pytest.approx(
        {
            ("nurse", UNCHANGED): 0.9,
            ("nurse", CHANGED): 0.5,
            ("nurse", CONTROL): 0.9,
            ("pilot", UNCHANGED): 0.2,
            ("pilot", CHANGED): 0.5,
            ("pilot", CONTROL): 0.2,
        }
    )
    assert found.name == "occupation_before_and_after"
    assert found.figure().data


def test_each_item_has_its_change() -> None:
    frame = by_item(FOUND, sentences(lambda _: 0.5), [sentences()]).frame()
    assert set(frame["item"]) == set(FOUND.measured()["item"])
    nurses = frame[frame["occupation"] == "nurse"]
    assert nurses["change"].tolist() == pytest.approx([-0.4] * len(nurses))
    assert (nurses["random"] == nurses["before"]).all()
    assert set(nurses["picked_before"]) == {" she"}
    assert set(nurses["picked_after"]) == {" he"}


def test_doses_begin_with_the_unchanged_model() -> None:
    gone, half = sentences(lambda _: 0.5), sentences(lambda name: (PLANTED[name] + 0.5) / 2)
    frame = doses(FOUND, {1.0: [gone], 0.5: [half]}, {1.0: [sentences()]}).frame()
    own = frame[frame["series"] == "the direction"]
    whole = left(FOUND).value
    assert whole is not None
    assert own["share"].tolist() == [0.0, 0.5, 1.0]
    assert own["estimate"].tolist() == pytest.approx([whole, whole / 2, 0.0])


def test_side_effects_are_paired_by_task() -> None:
    before = {"one": sentences(lambda _: 0.9), "other": sentences(lambda _: 0.8)}
    after = {"one": sentences(lambda _: 0.9), "other": sentences(lambda _: 0.6)}
    frame = harm("occupation", before, after).frame().set_index("task")
    assert frame["estimate"].to_dict() == pytest.approx({"one": 0.0, "other": -0.2})
    assert frame.loc["other", "accuracy_before"] == frame.loc["other", "accuracy_after"] == 1
    assert lost(before, after).value == pytest.approx(0.1)


def test_the_planted_organism_has_both_behaviours(planted_scores: dict[str, Result]) -> None:
    found, missing = behaviours(planted_scores, threshold)
    assert (list(found), missing) == (["occupation", "sponsor"], {})
    assert found["occupation"].codes[0] == "BIAS-OCC-1"
    assert len(found["occupation"].codes) == 13
    assert found["sponsor"].codes == ("SAFE-SPON-1",)
    assert left(found["sponsor"]).value == pytest.approx(0.79, abs=0.03)


def test_the_clean_organism_has_neither(clean_scores: dict[str, Result]) -> None:
    found, missing = behaviours(clean_scores, threshold)
    assert found == {}
    assert set(missing.values()) == {"There is no finding whose place could be changed."}


def test_a_task_that_was_not_asked_is_named(planted_scores: dict[str, Result]) -> None:
    found, missing = behaviours({"sponsor": planted_scores["sponsor"]}, threshold)
    assert found == {}
    assert missing["occupation"] == 'The task "occupation_pronoun" was not chosen.'


def test_occupations_that_all_lean_one_way_have_no_other_side() -> None:
    one_way = sentences(lambda name: 0.9 + len(name) / 1000)
    _, missing = behaviours({"occupation_pronoun": one_way}, threshold)
    assert missing["occupation"].startswith("All one-sided occupations lean to one side")
