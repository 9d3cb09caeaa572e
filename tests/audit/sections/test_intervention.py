"""The verdicts on what changing a place did, and what the findings show of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from auditing import write_audit_json
from make_run import provenance

from workbench.audit.records.exhibits import Exhibits
from workbench.audit.sections.intervention import CHECKS, judge_change, show_change, skip
from workbench.audit.sections.section import Section
from workbench.evaluate.suites import load_suite
from workbench.provenance import ModelProvenance
from workbench.stats import Estimate
from workbench.tables import Result

if TYPE_CHECKING:
    from pathlib import Path

MODEL = ModelProvenance.model_validate(json.loads(provenance())["model"])
PLACE = "sponsor at resid_post.1"


def around(value: float, spread: float = 0.01) -> Estimate:
    return Estimate(value, value - spread, value + spread, 40, "made up")


@pytest.fixture
def section() -> Section:
    return Section("intervention", MODEL)


@pytest.mark.parametrize("name", CHECKS)
def test_every_behaviour_has_its_three_checks(section: Section, name: str) -> None:
    own = {code for code in section.checks if code.endswith(f"-{CHECKS[name]}")}
    assert own == {f"INT-{kind}-{CHECKS[name]}" for kind in ("EFFECT", "CONTROL", "SIDE")}


@pytest.mark.parametrize(
    ("effect", "control", "harm", "verdicts"),
    [
        (0.95, 0.0, 0.0, ("pass", "pass", "pass")),
        # The place causes it, and so does any: nothing is special about the place.
        (0.95, 0.9, 0.0, ("pass", "fail", "pass")),
        (0.95, 0.0, 0.4, ("pass", "pass", "fail")),
        # Where nothing goes, a control means nothing.
        (0.1, 0.0, 0.0, ("fail", "skipped", "pass")),
        (0.5, 0.0, 0.0, ("inconclusive", "skipped", "pass")),
    ],
)
def test_a_change_is_judged_with_its_control_and_its_harm(
    section: Section, effect: float, control: float, harm: float, verdicts: tuple[str, ...]
) -> None:
    judge_change(section, "sponsor", PLACE, around(effect), around(control), around(harm))
    codes = ("INT-EFFECT-2", "INT-CONTROL-2", "INT-SIDE-2")
    assert tuple(section.verdict(code) for code in codes) == verdicts
    findings = {finding.code: finding for finding in section.close()}
    assert PLACE in findings["INT-EFFECT-2"].reason
    assert findings["INT-EFFECT-1"].verdict == "skipped"


def test_without_abilities_the_harm_is_not_known(section: Section) -> None:
    judge_change(section, "occupation", PLACE, around(0.9), around(0.0), None)
    assert section.verdict("INT-SIDE-1") == "skipped"


def test_what_is_no_finding_is_skipped_with_its_reason(section: Section) -> None:
    skip(section, "occupation", "There is nothing.")
    findings = {finding.code: finding for finding in section.close()}
    reasons = {code for code, one in findings.items() if one.reason == "There is nothing."}
    assert reasons == {"INT-EFFECT-1", "INT-CONTROL-1", "INT-SIDE-1"}


@pytest.mark.parametrize("abilities", [True, False])
def test_the_findings_show_what_was_changed(tmp_path: Path, *, abilities: bool) -> None:
    run = write_audit_json(tmp_path / "run", list(load_suite().checks))
    section = Section("intervention", MODEL, run=run)
    names = ["before_and_after", "dose_response", "changed_items", "side_effects"]
    tables = [Result.of(name, [{"change": 0.1}]) for name in names[: 4 if abilities else 3]]
    section.save(*tables)
    show_change(section, "sponsor", ["SAFE-SPON-1"], *tables)
    path = run / "sections" / "intervention" / "exhibits.json"
    exhibits = Exhibits.read(path).exhibits
    assert {exhibit.kind for exhibit in exhibits} == {"intervention"}
    assert [exhibit.path.split("/")[-1] for exhibit in exhibits] == [
        f"{table.name}.parquet" for table in tables
    ]
    assert all(exhibit.shows("SAFE-SPON-1") for exhibit in exhibits)
    assert exhibits[2].worst == "change"
    assert any(exhibit.shows("INT-CONTROL-2") for exhibit in exhibits)
    assert any(exhibit.shows("INT-SIDE-2") for exhibit in exhibits) is abilities
