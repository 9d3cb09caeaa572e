"""Checks on benchmarks' numbers: judged by the number they name, or skipped with a reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from auditing import write_audit_json
from make_run import provenance

from workbench.audit.records.exhibits import Exhibits
from workbench.audit.sections.benchmarks import judge_benchmarks, show_benchmarks, with_missing
from workbench.audit.sections.section import Section
from workbench.evaluate.suites import Check
from workbench.provenance import ModelProvenance
from workbench.stats import Estimate, bootstrap_mean, wilson
from workbench.tables import Result

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.records.checks import Finding

MODEL = ModelProvenance.model_validate(json.loads(provenance())["model"])
NONE = Result.of("not_run", [])


def check(code: str = "B-1", **changes: Any) -> Check:
    settings = {
        "question": "Is it?",
        "section": "benchmarks",
        "severity": "low",
        "threshold": 0.5,
        "direction": "above",
        "task": "injection",
        "metric": "said",
    }
    return Check(code=code, **{**settings, **changes})


def row(estimate: Estimate, **names: str) -> dict[str, Any]:
    return {"task": "injection", "arm": "", "metric": "said", **names, **estimate.row()}


def judged(
    tmp_path: Path, checks: list[Check], rows: list[dict[str, Any]], not_run: Result = NONE
) -> dict[str, Finding]:
    run = write_audit_json(tmp_path / "run", checks)
    section = Section("benchmarks", MODEL, run=run)
    judge_benchmarks(section, Result.of("overview", rows), not_run)
    return {finding.code: finding for finding in section.close()}


def test_a_check_is_judged_by_the_number_that_it_names(tmp_path: Path) -> None:
    rows = [
        row(wilson(90, 100)),
        row(wilson(10, 100), arm="control"),
        row(wilson(50, 100), metric="preferred"),
        row(wilson(1, 100), task="capitals", metric="correct"),
    ]
    checks = [
        check("B-1"),
        check("B-2", group="control"),
        check("B-3", metric="preferred"),
        check("B-4", task="capitals", metric="correct", direction="below"),
    ]
    found = judged(tmp_path, checks, rows)
    assert {code: one.verdict for code, one in found.items()} == {
        "B-1": "fail",
        "B-2": "pass",
        "B-3": "inconclusive",
        "B-4": "fail",
    }
    assert found["B-1"].estimate == 0.9
    assert found["B-1"].n == 100


def test_a_task_of_lm_evals_own_is_found_by_its_bare_name(tmp_path: Path) -> None:
    found = judged(
        tmp_path,
        [check(task="lm-eval:hellaswag", metric="acc")],
        [row(wilson(90, 100), task="hellaswag", metric="acc")],
    )
    assert found["B-1"].verdict == "fail"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "sayd"}, 'injection has no metric "sayd". Did you mean "said"?'),
        ({"group": "contrl"}, 'no "said" of the group "contrl". Did you mean "control"?'),
        ({"task": "injektion"}, 'no numbers of "injektion". Did you mean "injection"?'),
    ],
)
def test_a_number_that_is_not_there_is_an_error_with_the_closest(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    rows = [row(wilson(90, 100)), row(wilson(10, 100), arm="control")]
    finding = judged(tmp_path, [check(**changes)], rows)["B-1"]
    assert finding.verdict == "error"
    assert said in finding.reason


def test_what_was_not_run_is_skipped_with_what_it_needs(tmp_path: Path) -> None:
    reason = (
        "BBQ is not here. Get it: evals fetch bbq --data DIR, and give that folder with --data."
    )
    not_run = Result.of("not_run", [{"task": "bbq", "reason": reason}])
    finding = judged(tmp_path, [check(task="bbq")], [], not_run)["B-1"]
    assert finding.verdict == "skipped"
    assert finding.reason == (
        "bbq was not run: BBQ is not here. Get it: evals fetch bbq --data DIR, and give that "
        "folder with --param data=FOLDER."
    )


def test_a_check_that_rests_on_one_that_fails_is_skipped(tmp_path: Path) -> None:
    checks = [check("B-1"), check("B-2", metric="change", rests_on="B-1")]
    change = bootstrap_mean([0.1, 0.2, 0.3, float("nan")])
    rows = [row(wilson(90, 100)), row(change, metric="change")]
    finding = judged(tmp_path, checks, rows)["B-2"]
    assert (finding.verdict, finding.reason) == (
        "skipped",
        "It means nothing unless B-1 passes (fail).",
    )


def test_a_check_that_the_definition_leaves_out_is_not_judged(tmp_path: Path) -> None:
    finding = judged(tmp_path, [check(left_out="Not ours.")], [row(wilson(90, 100))])["B-1"]
    assert (finding.verdict, finding.reason, finding.estimate) == ("skipped", "Not ours.", None)


def test_a_threshold_that_no_share_can_cross_is_an_error(tmp_path: Path) -> None:
    finding = judged(tmp_path, [check(threshold=60)], [row(wilson(90, 100))])["B-1"]
    assert finding.verdict == "error"
    assert "Its threshold is 60, but the number is a share, from 0 to 1." in finding.reason


# Items without a value


def test_a_benchmark_in_which_nothing_has_a_value_is_skipped(tmp_path: Path) -> None:
    nothing = Estimate(None, None, None, 0, "Wilson", undefined=8)
    finding = judged(tmp_path, [check()], [row(nothing)])["B-1"]
    assert finding.verdict == "skipped"
    assert "8 of 8 items have no value" in finding.reason


def test_a_share_must_hold_whatever_the_missing_items_say(tmp_path: Path) -> None:
    """2 of 100 are above; 10 items more cannot bring that to a half, 200 could."""
    share = wilson(2, 100)
    few = Estimate(share.value, share.low, share.high, 100, share.method, undefined=10)
    many = Estimate(share.value, share.low, share.high, 100, share.method, undefined=200)
    finding = judged(tmp_path / "few", [check()], [row(few)])["B-1"]
    assert finding.verdict == "pass"
    assert finding.reason.startswith("10 of 110 items have no value")
    finding = judged(tmp_path / "many", [check()], [row(many)])["B-1"]
    assert finding.verdict == "inconclusive"
    assert finding.method == "Wilson; 200 without a value count as 0 and as 1"


def test_another_number_with_missing_items_decides_nothing(tmp_path: Path) -> None:
    change = bootstrap_mean([0.9, 0.8, 0.85, float("nan")])
    finding = judged(tmp_path, [check()], [row(change)])["B-1"]
    assert finding.verdict == "inconclusive"
    assert "1 of 4 items have no value" in finding.reason


def test_the_bounds_are_those_of_counting_by_hand() -> None:
    """8 of 10 known, 5 unknown: at least 8 of 15 of all, at most 13 of 15."""
    bounded = with_missing(Estimate(0.8, 0.8, 0.8, 10, "Wilson", undefined=5))
    assert bounded.low == pytest.approx(8 / 15)
    assert bounded.high == pytest.approx(13 / 15)
    assert (bounded.value, bounded.undefined) == (0.8, 0)


@pytest.mark.parametrize(
    "estimate",
    [
        Estimate(0.5, 0.4, 0.6, 10, "Wilson"),
        Estimate(1.0, None, None, 1, "Wilson", undefined=3),
        Estimate(0.5, 0.4, 0.6, 10, "BCa bootstrap", undefined=3),
    ],
)
def test_other_estimates_stay_as_they_are(estimate: Estimate) -> None:
    assert with_missing(estimate) == estimate


# What the report shows


def test_a_finding_is_shown_with_its_items_and_groups(tmp_path: Path) -> None:
    run = write_audit_json(tmp_path / "run", [check(group="injected"), check("B-2", task="bbq")])
    section = Section("benchmarks", MODEL, run=run)
    items = Result.of(
        "injection",
        [{"item": "1", "arm": "injected", "prompt": "p", "probability": 0.5, "extra": 1}],
    )
    numbers = Result.of("overview", [row(wilson(90, 100), arm="injected")])
    section.save(items, numbers)
    judge_benchmarks(section, numbers, NONE)
    show_benchmarks(section, {"injection": items}, numbers)
    first, second = Exhibits.read(run / "sections/benchmarks/exhibits.json").exhibits
    assert (first.kind, first.path) == ("items", "sections/benchmarks/injection.parquet")
    assert first.where == {"arm": "injected"}
    assert first.columns == ("item", "arm", "prompt", "probability")
    assert (first.worst, first.worst_is) == ("probability", "highest")
    assert (second.kind, second.path) == ("groups", "sections/benchmarks/overview.parquet")
    assert second.where == {"task": "injection", "metric": "said"}
    assert first.codes == second.codes == ("B-1",)
