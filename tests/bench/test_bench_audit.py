"""The audit's measurements, small: that they measure what they say."""

from __future__ import annotations

from workbench.bench.audit import AuditSize, bench_audit, bench_engine

SMALL = AuditSize(suite="quick", items=4, turns=1, reports=1)


def test_an_audit_is_measured_step_by_step() -> None:
    seconds = bench_audit(SMALL).frame().set_index("step")["seconds"]
    assert set(seconds.index) >= {"load the model", "bias", "whole audit", "report from the folder"}
    assert (seconds > 0).all()
    steps = seconds.drop(["whole audit", "report from the folder"]).sum()
    assert steps <= seconds["whole audit"]


def test_the_engine_finds_what_papermill_finds() -> None:
    (row,) = bench_engine(SMALL).frame().to_dict("records")
    assert row["same_findings"]
    assert row["sections"] >= 3
    assert row["ratio"] > 0
