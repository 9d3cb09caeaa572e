from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from workbench.audit.records.checks import (
    Check,
    Direction,
    Finding,
    Findings,
    Verdict,
    judge,
    state,
)
from workbench.errors import InputError
from workbench.stats import Estimate, wilson

if TYPE_CHECKING:
    from pathlib import Path


def check(direction: Direction = "above", threshold: float | None = 0.1) -> Check:
    return Check(
        code="X-1",
        question="Is it so?",
        section="made",
        severity="high",
        threshold=threshold,
        direction=direction,
        unit="share",
    )


def estimate(low: float | None, high: float | None, value: float | None = 0.1) -> Estimate:
    return Estimate(value, low, high, 20, "made up")


@pytest.mark.parametrize(
    ("direction", "low", "high", "verdict"),
    [
        ("above", 0.2, 0.3, "fail"),
        ("above", 0.0, 0.05, "pass"),
        ("above", 0.05, 0.2, "inconclusive"),
        ("below", 0.0, 0.05, "fail"),
        ("below", 0.2, 0.3, "pass"),
        ("below", 0.05, 0.2, "inconclusive"),
        # An end on the threshold is not beyond it.
        ("above", 0.0, 0.1, "pass"),
        ("below", 0.1, 0.3, "pass"),
        ("above", 0.1, 0.3, "inconclusive"),
        ("below", 0.0, 0.1, "inconclusive"),
        ("above", 0.1, 0.1, "pass"),
        ("below", 0.1, 0.1, "pass"),
    ],
)
def test_the_whole_interval_decides(
    direction: Direction, low: float, high: float, verdict: Verdict
) -> None:
    finding = judge(check(direction), estimate(low, high))
    assert finding.verdict == verdict
    assert "0.1" in finding.reason
    assert (finding.low, finding.high, finding.n) == (low, high, 20)


@pytest.mark.parametrize(
    "undefined", [estimate(None, None, None), estimate(None, None), estimate(0.0, None)]
)
def test_what_is_undefined_is_inconclusive_and_null(undefined: Estimate) -> None:
    finding = judge(check(), undefined)
    assert finding.verdict == "inconclusive"
    assert "n = 20" in finding.reason
    assert finding.estimate == undefined.value
    assert finding.high is None


def test_one_item_decides_nothing() -> None:
    for measured in (wilson(1, 1), Estimate(1.0, 0.9, 1.0, 1, "made up")):
        finding = judge(check(), measured)
        assert finding.verdict == "inconclusive"
        assert finding.reason == "No interval can be given with n = 1."


def test_an_open_question_says_how_many_items_it_needs() -> None:
    # Half an interval of 0.08 must shrink to 0.04 at 97.5 %, and to less for 80 % power:
    # 20 * (0.08 / 0.04 * (1.960 + 0.842) / 1.960) ** 2 = 163.4.
    reason = judge(check(), Estimate(0.14, 0.06, 0.22, 20, "made up")).reason
    assert reason == (
        "The interval crosses 0.1: about 170 items like these would decide it (80% power)."
    )
    reason = judge(check(), Estimate(0.1, 0.06, 0.22, 20, "made up")).reason
    assert reason.endswith("the estimate lies on it, and more items need not decide it.")


def test_a_finding_keeps_its_question_numbers_and_evidence() -> None:
    measured = wilson(18, 20)
    finding = judge(check(), measured, evidence=["sections/made/items.parquet"])
    assert finding.model_dump() == {
        "code": "X-1",
        "question": "Is it so?",
        "section": "made",
        "severity": "high",
        "threshold": 0.1,
        "direction": "above",
        "unit": "share",
        "verdict": "fail",
        "reason": "The whole interval lies above 0.1.",
        "evidence": ("sections/made/items.parquet",),
        "estimate": 0.9,
        "low": measured.low,
        "high": measured.high,
        "level": 0.95,
        "n": 20,
        "method": measured.method,
    }


def test_a_check_without_a_threshold_is_not_judged() -> None:
    with pytest.raises(InputError, match="X-1 has no threshold; state its verdict"):
        judge(check(threshold=None), estimate(0, 1))


def test_a_stated_verdict_has_no_numbers() -> None:
    finding = state(check(threshold=None), "skipped", "Nothing was asked.")
    assert (finding.verdict, finding.reason) == ("skipped", "Nothing was asked.")
    assert (finding.estimate, finding.low, finding.n, finding.method) == (None, None, None, "")


def test_an_error_can_keep_what_was_measured() -> None:
    finding = state(check(), "error", "Some are not numbers.", estimate=estimate(0.0, 0.2))
    assert (finding.verdict, finding.estimate, finding.high) == ("error", 0.1, 0.2)


def test_findings_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    findings = Findings(findings=(judge(check(), estimate(0.2, 0.3)),))
    findings.write(tmp_path / "findings.json")
    assert Findings.read(tmp_path / "findings.json") == findings
    content = json.loads((tmp_path / "findings.json").read_text())
    assert content["schema"] == 1
    assert set(content["findings"][0]) == set(Finding.model_fields)


def test_a_verdict_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "findings.json"
    finding = state(check(), "pass", "").model_dump(mode="json") | {"verdict": "maybe"}
    path.write_text(json.dumps({"schema": 1, "findings": [finding]}))
    with pytest.raises(InputError, match=r"findings\.0\.verdict"):
        Findings.read(path)
