from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from make_run import make_run, other_findings

from workbench.audit.records.evidence import read_run
from workbench.audit.records.exhibits import Exhibit
from workbench.audit.reporting import displays
from workbench.audit.reporting.dossiers import Dossiers, dossiers, family
from workbench.audit.reporting.headline import attempts, chains, model_facts
from workbench.audit.reporting.verdicts import rows
from workbench.marks import ranked
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.records.checks import Finding

INSIDE = "inside"


def finding(code: str, **more: Any) -> Finding:
    given = {"code": code, "section": "bias", "verdict": "fail", "reason": f"Of {code}.", **more}
    return other_findings()[0].model_copy(update=given)


def exhibit(*codes: str, kind: str = "items", path: str = "t.parquet", **how: Any) -> Exhibit:
    return Exhibit(codes=codes, kind=kind, path=path, title=f"{kind} of {path}", **how)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    table = [{"p": place / 10, "arm": "ab"[place % 2]} for place in range(10)]
    Result.of("t", table).save(tmp_path)
    Result.of("u", table).save(tmp_path)
    options = {"x": "p", "y": "p"}
    Result.of("drawn", table, chart=Chart(kind="lines", options=options)).save(tmp_path)
    return tmp_path


def sets(found: Dossiers) -> list[tuple[tuple[int, ...], list[str]]]:
    return [(one.findings, [chapter.kind for chapter in one.chapters]) for one in found.dossiers]


def test_a_family_stands_together_and_kinds_in_their_order(run: Path) -> None:
    findings = [finding("A-1"), finding("B-1"), finding("A-2"), finding("C-1")]
    exhibits = [
        exhibit("A-1", kind="intervention"),
        exhibit("A-*", kind="items"),
        exhibit("B-1", "A-1", kind="mechanism"),
        exhibit("Z-9", kind="groups"),
    ]
    assert sets(dossiers(run, exhibits, findings)) == [
        ((0, 2), ["items", "mechanism", "intervention"]),
        ((1,), ["mechanism"]),
        ((), ["groups"]),
    ]
    assert family("BIAS-OCC-NURSE") == "BIAS-OCC"
    assert family("ALONE") == "ALONE"


def test_rows_of_one_table_share_a_display_and_its_data(run: Path) -> None:
    exhibits = [
        exhibit("A-1", worst="p"),
        exhibit("A-1", worst="p", where={"arm": "a"}),
        exhibit("A-2", worst="p", where={"arm": "b"}),
        exhibit("A-2", path="u.parquet"),
    ]
    found = dossiers(run, exhibits, [finding("A-1"), finding("A-2")])
    both, other = found.dossiers[0].chapters[0].displays
    assert [part.label for part in both.parts] == ["all rows", "arm: a", "arm: b"]
    assert [part.findings for part in both.parts] == [(0,), (0,), (1,)]
    assert both.parts[2].rows == (9, 7, 5, 3, 1)
    assert both.worst == "highest p"
    assert other.parts[0].rule == "All 10 rows."
    assert list(found.data) == [both.source, other.source]


def test_a_chart_is_drawn_of_the_rows_that_are_shown(run: Path) -> None:
    exhibits = [exhibit("A-1", kind="groups", path="drawn.parquet", where={"arm": "a"})]
    (display,) = dossiers(run, exhibits, [finding("A-1")]).dossiers[0].chapters[0].displays
    assert display.figure is not None
    assert "5 values" in display.figure.alt
    assert display.problem == ""


@pytest.mark.parametrize(
    "chart",
    [
        Chart(kind="unheard of"),
        Chart(kind="bars", options={"x": "absent", "y": "p"}),
        Chart(kind="bars", options={"x": "arm", "y": "arm"}),
        Chart(kind="heatmap", options={"x": "p", "y": 7, "value": "p"}),
        Chart(kind="intervals", options={"label": ["a"], "value": {}, "low": 1, "high": None}),
        Chart(kind="lines", options={"x": "p", "y": "p", "title": {"text": 1}, "alt": [3]}),
    ],
)
def test_a_chart_that_cannot_be_drawn_leaves_its_table(run: Path, chart: Chart) -> None:
    Result.of("odd", [{"p": 0.5, "arm": "a"}], chart=chart).save(run)
    shown = dossiers(run, [exhibit("A-1", path="odd.parquet")], [finding("A-1")])
    (display,) = shown.dossiers[0].chapters[0].displays
    assert display.figure is not None or display.problem.startswith("The chart ")
    assert display.parts[0].rows == (0,)


def test_a_chart_of_too_many_marks_is_left_out(run: Path) -> None:
    chart = Chart(kind="heatmap", options={"x": "a", "y": "b", "value": "a"})
    Result.of("wide", [{"a": place, "b": place} for place in range(300)], chart=chart).save(run)
    shown = dossiers(run, [exhibit("A-1", path="wide.parquet")], [finding("A-1")])
    (display,) = shown.dossiers[0].chapters[0].displays
    assert "it has 90,000 marks" in display.problem


def test_a_page_has_room_for_so_much(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("long", "longer"):
        Result.of(name, [{"p": place, "text": "x" * 500} for place in range(900)]).save(run)
    exhibits = [exhibit("A-1", path=f"{name}.parquet", worst="p") for name in ("long", "longer")]
    found = dossiers(run, exhibits, [finding("A-1")])
    first = found.dossiers[0].chapters[0].displays[0].parts[0]
    assert first.rule.startswith("500 of 900 rows: the 250 worst (highest p)")
    assert len(first.rows) == 500
    monkeypatch.setattr(displays, "CHARACTERS", 100_000)
    found = dossiers(run, exhibits, [finding("A-1")])
    assert sum(map(len, found.data.values())) <= 100_000
    monkeypatch.setattr(displays, "CHARACTERS", 20_000)
    found = dossiers(run, exhibits, [finding("A-1")])
    assert len(found.data) == 1
    second = found.dossiers[0].chapters[0].displays[1]
    assert second.problem.startswith("The table is not shown: the tables before it")


def test_the_chain_is_told_by_the_findings_that_the_evidence_is_for(run: Path) -> None:
    inside = {"section": INSIDE, "verdict": "pass", "severity": "info"}
    findings = ranked(
        [
            finding("BIAS-1"),
            finding("IN-1", **inside, reason="Head 3 carries it. No part of the interval lies …"),
            finding("INT-1", **inside, reason="Taken away: a direction."),
            finding("INT-CONTROL", **inside, reason="A random one."),
        ]
    )
    exhibits = [
        exhibit("BIAS-1", "IN-1", kind="mechanism"),
        exhibit("BIAS-1", "INT-1", "INT-CONTROL", kind="intervention"),
        exhibit("BIAS-1", "INT-1", kind="intervention", path="u.parquet"),
    ]
    listed = rows(findings, dossiers(run, exhibits, findings))
    (chain,) = chains(listed)
    assert [step.word for step in chain.steps] == ["Behaviour", "Mechanism", "Intervention"]
    assert chain.steps[1].text.startswith("Head 3 carries it. 0.99")
    assert chain.steps[2].text.startswith("Taken away: a direction. 0.99")


def test_without_mechanism_or_intervention_there_is_no_chain(run: Path) -> None:
    findings = [finding("A-1")]
    assert chains(rows(findings, dossiers(run, [exhibit("A-1")], findings))) == []


def test_what_is_not_recorded_of_a_model_is_said() -> None:
    assert [value for _, value in model_facts({"model": [3]})] == [
        "no digest recorded",
        "not recorded",
        "not recorded",
        "none found",
    ]
    assert model_facts({"model": {"parameters": 1_500_000_000}})[1][1] == "1.5 billion parameters"


def test_a_single_attempt_is_the_run_itself(tmp_path: Path) -> None:
    assert attempts(read_run(make_run(tmp_path))) == []
