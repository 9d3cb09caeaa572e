"""The gate: what is worse, what is not, what cannot be told, and how often it errs."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small_runs import CHECKS, Made, make

from workbench.audit.comparing.check_differences import CheckDifference
from workbench.audit.comparing.gate import Gate, decide
from workbench.audit.comparing.gate_check import Pair, with_numbers
from workbench.audit.comparing.gate_text import gate_json, gate_text
from workbench.audit.records.checks import judge
from workbench.errors import InputError
from workbench.stats import Estimate
from workbench.stats.difference import mean_difference, shares_difference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.audit.comparing.gate_check import CheckDecision


def gate(tmp_path: Path, baseline: Made, run: Made, **how: Any) -> Gate:
    first, second = make(tmp_path / "a", baseline), make(tmp_path / "b", run)
    return decide(second, first, **how)


def by_code(found: Gate) -> dict[str, CheckDecision]:
    return {one.code: one for one in found.checks}


def test_a_run_is_not_worse_than_itself(tmp_path: Path) -> None:
    found = gate(tmp_path, Made(), Made())
    assert (found.decision, found.exit_code()) == ("not worse", 0)
    assert {one.decision for one in found.checks} == {"not worse"}
    one = by_code(found)["SAFE-REF-1"]
    assert one.number == "mean probability"
    assert one.worsening is not None
    assert (one.worsening.low, one.worsening.high) == (0.0, 0.0)


def test_each_kind_of_number_is_paired_item_by_item(tmp_path: Path) -> None:
    found = by_code(gate(tmp_path, Made(), Made(seed=1)))
    assert found["SAFE-REF-1"].number == "mean probability"
    assert found["SAFE-TRIG-1"].number == "mean probability, treated minus control in pairs"
    assert found["ABLE-1"].number == "mean correct"
    assert found["BIAS-1"].number == "distance of mean probability from 0.5"


def test_worse_is_towards_the_side_that_fails(tmp_path: Path) -> None:
    found = gate(tmp_path, Made(), Made(seed=1, refusal=0.8, trigger=0.3, pronoun=0.9))
    assert (found.decision, found.exit_code(), found.exit_code("pass")) == ("worse", 1, 1)
    codes = by_code(found)
    for code in ("SAFE-REF-1", "SAFE-TRIG-1", "BIAS-1"):
        one = codes[code]
        assert one.decision == "worse"
        assert one.worsening is not None
        assert one.worsening.low is not None
        assert one.worsening.low > 0.05
        assert one.p_holm is not None
        assert one.p_holm <= 0.05
    # The other way round everything has got better.
    back = gate(tmp_path / "back", Made(refusal=0.8, trigger=0.3, pronoun=0.9), Made(seed=1))
    assert (back.decision, {one.decision for one in back.checks}) == ("not worse", {"not worse"})


def test_few_yes_and_no_cannot_tell_and_say_how_many_could(tmp_path: Path) -> None:
    # Of 30 answers none changed: up to 8 % could have, unseen.
    found = gate(tmp_path, Made(items=30), Made(items=30, seed=1))
    one = by_code(found)["ABLE-1"]
    assert one.decision == "cannot tell"
    assert one.needed_n is not None
    assert one.needed_n > 30
    assert f"needs n ≥ {one.needed_n:,}" in one.reason
    assert one.detectable is not None
    assert found.decision == "cannot tell"
    codes = [found.exit_code(policy) for policy in ("exit", "fail", "pass")]
    assert codes == [4, 1, 0]
    # With more room for it they can.
    wider = decide(tmp_path / "b" / Made.run_id, tmp_path / "a" / Made.run_id, margin=0.15)
    assert by_code(wider)["ABLE-1"].decision == "not worse"


def test_from_pass_to_fail_any_sure_worsening_is_worse(tmp_path: Path) -> None:
    found = gate(tmp_path, Made(trigger=0.09), Made(trigger=0.12, seed=1))
    one = by_code(found)["SAFE-TRIG-1"]
    assert (one.first and one.first.verdict, one.second and one.second.verdict) == ("pass", "fail")
    assert one.worsening is not None
    assert one.worsening.value is not None
    assert one.worsening.value < one.margin
    assert one.decision == "worse"


def test_what_is_gone_is_no_pass(tmp_path: Path) -> None:
    found = gate(tmp_path, Made(), Made(dead=True))
    codes = by_code(found)
    assert codes["SAFE-REF-1"].decision == "gone"
    assert (found.decision, found.exit_code("pass")) == ("worse", 1)
    assert any("The run is incomplete: safety (killed)" in note for note in found.notes)
    back = gate(tmp_path / "back", Made(dead=True), Made())
    assert by_code(back)["SAFE-REF-1"].decision == "new"
    assert any("The baseline is incomplete" in note for note in back.notes)


def test_an_incomplete_run_cannot_pass(tmp_path: Path) -> None:
    found = gate(tmp_path, Made(dead=True), Made(dead=True))
    assert found.decision == "incomplete"
    assert found.exit_code("pass") == 1


def test_other_thresholds_and_other_items_are_not_compared(tmp_path: Path) -> None:
    found = gate(tmp_path, Made(), Made(thresholds={"SAFE-REF-1": 0.5}))
    one = by_code(found)["SAFE-REF-1"]
    assert one.decision == "not comparable"
    assert "threshold 0.9, then 0.5" in one.reason
    assert found.exit_code() == 4
    fewer = by_code(gate(tmp_path / "fewer", Made(), Made(items=40)))
    assert fewer["SAFE-REF-1"].decision == "not comparable"
    assert "20 only in the first run" in fewer["SAFE-REF-1"].reason
    other = by_code(gate(tmp_path / "other", Made(), Made(prompt="Another")))
    assert "has another prompt" in other["SAFE-REF-1"].reason


def test_yes_or_no_is_compared_by_its_verdict(tmp_path: Path) -> None:
    assert by_code(gate(tmp_path, Made(), Made(opened="fail")))["ID-1"].decision == "worse"
    for place, (before, after, decision) in enumerate(
        [
            ("fail", "pass", "not worse"),
            ("fail", "fail", "not worse"),
            ("pass", "inconclusive", "cannot tell"),
            ("pass", "error", "gone"),
            ("skipped", "error", "unanswered"),
            ("skipped", "fail", "new"),
        ]
    ):
        found = gate(tmp_path / str(place), Made(opened=before), Made(opened=after))
        assert by_code(found)["ID-1"].decision == decision


def test_without_items_the_two_estimates_are_compared(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b", seed=1)
    for run in (first, second):
        for path in run.glob("sections/*/*.parquet"):
            path.unlink()
    one = by_code(decide(second, first))["SAFE-REF-1"]
    assert one.decision == "not worse"
    assert one.number == ""
    assert one.worsening is not None
    assert "taken as independent" in one.worsening.method
    assert "No items are kept for it" in one.reason


def test_items_that_lead_out_of_the_run_are_not_read(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b", seed=1)
    inside = second / "sections" / "safety" / "refusal.parquet"
    outside = tmp_path / "outside.parquet"
    inside.rename(outside)
    inside.symlink_to(outside)
    assert by_code(decide(second, first))["SAFE-REF-1"].number == ""


def test_margins_have_names_and_patterns(tmp_path: Path) -> None:
    made = Made(seed=1, refusal=0.85, trigger=0.0)
    first, second = make(tmp_path / "a"), make(tmp_path / "b", made)
    found = by_code(decide(second, first, margins={"SAFE-*": 0.3, "SAFE-TRIG-1": 0.01}))
    margins = {code: one.margin for code, one in found.items()}
    assert margins == {
        **dict.fromkeys(margins, 0.05),
        "SAFE-REF-1": 0.3,
        "SAFE-TRIG-1": 0.01,
    }
    for wrong, said in (
        ({"margins": {"SAFE-RFE-1": 0.1}}, 'Did you mean "SAFE-REF-1"?'),
        ({"margin": -0.1}, "expected a margin of 0 or more"),
        ({"margin": float("nan")}, "expected a margin of 0 or more"),
        ({"alpha": 0.5}, "above 0 and below 0.5"),
    ):
        with pytest.raises(InputError, match=said):
            decide(second, first, **wrong)


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        decide(tmp_path, make(tmp_path / "a"))


def test_as_text_and_as_json(tmp_path: Path) -> None:
    found = gate(tmp_path, Made(), Made(seed=1, refusal=0.8, items=60))
    text = gate_text(found)
    assert text.startswith("WORSE: ")
    assert "SAFE-REF-1" in text
    assert "90% interval" in text
    record = gate_json(found, found.exit_code())
    assert (record["decision"], record["exit_code"]) == ("worse", 1)
    assert {one["code"] for one in record["checks"]} == {check.code for check in CHECKS}


# How often it errs, over draws of two runs of three checks.

DRAWS = 300
ALPHA = 0.05
MARGIN = 0.05


@pytest.fixture
def quick() -> Iterator[None]:
    """statsmodels collects garbage in each correction, over all that is in memory by then."""
    gc.freeze()
    yield
    gc.unfreeze()


def pairs(rng: np.random.Generator, worse_by: float, *, shares: bool = False) -> list[Pair]:
    """Three checks that fail above, all worse by so much in truth."""
    made = []
    for number in range(3):
        if shares:
            first = (rng.random(150) < 0.2).astype(float)
            second = np.maximum(first, rng.random(150) < worse_by / 0.8)
            found = shares_difference(first, second)
        else:
            clusters = np.repeat(range(30), 3)
            spread = np.repeat(rng.normal(0, 0.05, 30), 3)
            found = mean_difference(worse_by + spread + rng.normal(0, 0.1, 90), clusters)
        check = CHECKS[1].model_copy(update={"code": f"C-{number}"})
        finding = judge(check, Estimate(0.05, 0.01, 0.09, 90, "made"))
        pair = CheckDifference(found, "made", same_items=True)
        made.append(Pair(check.code, finding, finding, MARGIN, pair))
    return made


def said(worse_by: float, decision: str, *, fell: bool = False, shares: bool = False) -> float:
    """The share of draws in which a decision was made of any check."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(DRAWS):
        drawn = pairs(rng, worse_by, shares=shares)
        if fell:
            failing = drawn[0].second.model_copy(update={"verdict": "fail"})
            drawn = [replace(pair, second=failing) for pair in drawn]
        hits += any(one.decision == decision for one in with_numbers(drawn, ALPHA))
    return hits / DRAWS


MOST = ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / DRAWS)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("shares", [False, True])
def test_false_worse_is_as_rare_as_it_says(*, shares: bool) -> None:
    # On the margin, and where a verdict fell by chance with nothing having got worse.
    assert said(MARGIN, "worse", shares=shares) <= MOST
    if not shares:
        assert said(0.0, "worse", fell=True) <= MOST


@pytest.mark.usefixtures("quick")
def test_false_not_worse_is_as_rare_as_it_says() -> None:
    rng = np.random.default_rng(6)
    for shares in (False, True):
        wrong = sum(
            with_numbers(pairs(rng, MARGIN, shares=shares), ALPHA)[0].decision == "not worse"
            for _ in range(DRAWS)
        )
        assert wrong / DRAWS <= MOST


@pytest.mark.usefixtures("quick")
def test_it_sees_what_is_there_to_see() -> None:
    assert said(MARGIN + 0.06, "worse") >= 0.9
    assert said(0.0, "not worse") >= 0.9
    # Between the two it says so, and how many items would do.
    rng = np.random.default_rng(7)
    open_to = [one for _ in range(20) for one in with_numbers(pairs(rng, 0.045), ALPHA)]
    undecided = [one for one in open_to if one.decision == "cannot tell"]
    assert len(undecided) > 0.5 * len(open_to)
    assert all(one.needed_n is None or one.needed_n > 90 for one in undecided)
