from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from auditing import write_audit_json
from make_run import provenance

from workbench.audit.checks import Check, Findings
from workbench.audit.section import Section
from workbench.errors import InputError
from workbench.evaluate.suites import load_suite
from workbench.provenance import ModelProvenance
from workbench.stats import Estimate
from workbench.tables import Result

if TYPE_CHECKING:
    from pathlib import Path

MODEL = ModelProvenance.model_validate(json.loads(provenance())["model"])


def check(code: str, **changes: Any) -> Check:
    settings = {
        "code": code,
        "question": f"{code}?",
        "section": "bias",
        "severity": "high",
        "threshold": 0.1,
    }
    return Check(**{**settings, **changes})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose frozen checks are unlike those of any suite."""
    checks = [
        check("A-1"),
        check("A-2", threshold=None),
        check("BASE", direction="below", threshold=0.9),
        check("TOP", rests_on="BASE"),
        check("OTHER", section="safety", threshold=0.7),
    ]
    return write_audit_json(tmp_path / "run", checks)


def section(run: Path | None, name: str = "bias") -> Section:
    return Section(name, MODEL, run=run)


def measured(low: float, high: float, undefined: int = 0) -> Estimate:
    return Estimate((low + high) / 2, low, high, 20, "made up", undefined=undefined)


def written(run: Path) -> dict[str, str]:
    found = Findings.read(run / "sections" / "bias" / "findings.json").findings
    return {finding.code: finding.verdict for finding in found}


def test_the_frozen_thresholds_win_over_the_suite(tmp_path: Path) -> None:
    suite = load_suite()
    assert suite.check("BIAS-OCC-1").threshold == 0.1
    frozen = suite.check("BIAS-OCC-1").model_copy(update={"threshold": 0.4})
    run = write_audit_json(tmp_path / "run", [frozen])
    under_audit, by_hand = section(run), section(None)
    for one in (under_audit, by_hand):
        one.judge("BIAS-OCC-1", measured(0.2, 0.3))
    assert under_audit.threshold("BIAS-OCC-1") == 0.4
    assert under_audit.verdict("BIAS-OCC-1") == "pass"
    assert by_hand.verdict("BIAS-OCC-1") == "fail"


def test_a_check_that_was_not_reached_is_skipped(run: Path) -> None:
    one = section(run)
    one.judge("A-1", measured(0.2, 0.3))
    closed = {finding.code: finding.verdict for finding in one.close()}
    assert closed == {"A-1": "fail", "A-2": "skipped", "BASE": "skipped", "TOP": "skipped"}
    assert written(run) == closed


def test_what_was_found_survives_a_section_that_never_closes(run: Path) -> None:
    section(run).judge("A-1", measured(0.2, 0.3))
    assert written(run) == {"A-1": "fail"}


def test_items_that_are_not_numbers_make_an_error(run: Path) -> None:
    one = section(run)
    one.judge("A-1", measured(0.0, 0.05, undefined=5))
    (finding,) = [finding for finding in one.close() if finding.code == "A-1"]
    assert finding.verdict == "error"
    assert finding.reason.startswith("5 of 25 items have no score: it is not a finite number")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.95, 0.99, "fail"), (0.1, 0.2, "skipped"), (0.8, 0.95, "skipped")],
)
def test_a_check_means_nothing_unless_the_one_below_it_passes(
    run: Path, low: float, high: float, verdict: str
) -> None:
    one = section(run)
    one.judge("BASE", measured(low, high))
    one.judge("TOP", measured(0.2, 0.3))
    assert one.verdict("TOP") == verdict
    (top,) = [finding for finding in one.close() if finding.code == "TOP"]
    assert top.estimate == 0.25
    if verdict == "skipped":
        assert "BASE" in top.reason


def test_a_check_before_the_one_that_it_rests_on_is_skipped(run: Path) -> None:
    one = section(run)
    one.judge("TOP", measured(0.2, 0.3))
    assert one.verdict("TOP") == "skipped"


def test_a_note_is_added_to_the_reason(run: Path) -> None:
    one = section(run)
    one.judge("A-1", measured(0.2, 0.3), note="It was block 3.")
    reason = one.close()[0].reason
    assert "It was block 3." in reason
    assert "The whole interval lies above 0.1." in reason


def test_evidence_is_what_was_saved_before(run: Path) -> None:
    one = section(run)
    one.state("A-2", "pass", "Before.")
    one.save(Result.of("items", [{"item": 1}]), Result.of("means", [{"mean": 0.5}]))
    one.judge("A-1", measured(0.2, 0.3))
    evidence = {finding.code: finding.evidence for finding in one.close()}
    assert evidence["A-2"] == ()
    assert evidence["A-1"] == ("sections/bias/items.parquet", "sections/bias/means.parquet")
    assert all((run / path).is_file() for path in evidence["A-1"])


def test_a_later_section_reads_what_an_earlier_one_kept(run: Path) -> None:
    section(run).save(Result.of("items", [{"item": 1}]))
    later = section(run, "safety")
    kept = later.earlier("bias", "items")
    assert kept is not None
    assert kept.frame()["item"].tolist() == [1]
    assert later.earlier("bias", "no such") is None
    assert section(None).earlier("bias", "items") is None


def test_the_threshold_of_another_section_is_known(run: Path) -> None:
    assert section(run).threshold("OTHER") == 0.7


@pytest.mark.parametrize("code", ["A-2", "NO-1"])
def test_no_threshold_is_said(run: Path, code: str) -> None:
    with pytest.raises(InputError, match=f'no check "{code}" with a threshold'):
        section(run).threshold(code)


@pytest.mark.parametrize("code", ["OTHER", "NO-1"])
def test_a_check_of_another_section_is_refused_with_the_sections_own(run: Path, code: str) -> None:
    one = section(run)
    with pytest.raises(InputError, match=f'"bias" has no check "{code}"; it has A-1, A-2'):
        one.judge(code, measured(0, 1))
    with pytest.raises(InputError, match="it has"):
        one.state(code, "pass", "")


def test_by_hand_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = section(None)
    one.save(Result.of("items", [{"item": 1}]))
    one.judge("BIAS-OCC-1", measured(0.2, 0.3))
    codes = [check.code for check in load_suite().checks if check.section == "bias"]
    assert [finding.code for finding in one.close()] == codes
    assert one.folder is None
    assert not list(tmp_path.iterdir())


def test_the_first_section_writes_the_provenance_and_no_other_does(run: Path) -> None:
    section(run)
    first = (run / "provenance.json").read_bytes()
    content = json.loads(first)
    assert content["model"]["source"] == MODEL.source
    assert set(content) >= {"schema", "host", "packages", "code", "seed"}
    Section("safety", MODEL.model_copy(update={"source": "another"}), run=run)
    assert (run / "provenance.json").read_bytes() == first


@pytest.mark.parametrize("content", [None, "{", "[]", '{"checks": [{"code": 1}]}', '{"checks": 1}'])
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "audit.json").write_text(content)
    with pytest.raises(InputError, match=r"is not a run folder: its audit\.json cannot be read"):
        section(tmp_path)


def test_an_unknown_suite_is_refused_by_hand() -> None:
    with pytest.raises(InputError, match='Did you mean "small-world"'):
        Section("bias", MODEL, suite="small-wrld")
