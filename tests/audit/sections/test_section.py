from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from auditing import write_audit_json
from make_run import provenance

from workbench.audit.records.checks import Check, Findings
from workbench.audit.records.exhibits import Exhibits
from workbench.audit.sections.section import Section
from workbench.errors import InputError
from workbench.evaluate.suites import load_suite
from workbench.provenance import ModelProvenance, sha256
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


def test_a_check_whose_task_was_not_chosen_says_so(tmp_path: Path) -> None:
    checks = [check("A-1", task="asked"), check("A-2", task="other"), check("A-3")]
    one = section(write_audit_json(tmp_path / "run", checks, tasks={"bias": ("asked",)}))
    reasons = {finding.code: finding.reason for finding in one.close()}
    assert one.tasks == ("asked",)
    assert reasons == {
        "A-1": "The section did not come to this check.",
        "A-2": 'The task "other" was not chosen.',
        "A-3": "The section did not come to this check.",
    }


def test_what_a_model_does_not_allow_skips_its_checks_with_the_reason(run: Path) -> None:
    one = section(run)

    def refuse() -> int:
        raise InputError("its sites are not known.")

    assert one.attempt(["A-*", "TOP"], refuse) is None
    findings = {finding.code: finding for finding in one.close()}
    assert [code for code, finding in findings.items() if "not known" in finding.reason] == [
        *("A-1", "A-2", "TOP")
    ]
    assert one.attempt("A-*", lambda: 3) == 3


def test_an_error_that_is_no_refusal_is_not_hidden(run: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        section(run).attempt("A-*", lambda: 1 // 0)


def test_what_was_kept_is_not_computed_again(run: Path) -> None:
    calls = []

    def compute() -> Result:
        calls.append(1)
        return Result.of("slow", [{"value": 0.1}])

    first = section(run).kept("slow", compute)
    again = section(run)
    second = again.kept("slow", compute)
    assert calls == [1]
    assert second.frame().equals(first.frame())
    again.state("A-2", "pass", "It is evidence either way.")
    (found,) = [finding for finding in again.close() if finding.code == "A-2"]
    assert found.evidence == ("sections/bias/slow.parquet",)


def test_a_kept_result_has_the_name_that_it_is_asked_for_by(run: Path) -> None:
    with pytest.raises(InputError, match='is named "other"; expected "slow"'):
        section(run).kept("slow", lambda: Result.of("other", []))


def test_by_hand_nothing_is_kept() -> None:
    values = iter([1, 2])
    one = section(None)
    for expected in (1, 2):
        found = one.kept("slow", lambda: Result.of("slow", [{"value": next(values)}]))
        assert found.frame()["value"].tolist() == [expected]


def test_exhibits_are_written_as_they_are_shown(run: Path) -> None:
    one = section(run)
    items = Result.of("items", [{"occupation": "nurse"}])
    one.save(items)
    one.show("A-1", "items", items, "Its items", where={"occupation": "nurse"}, worst="p")
    one.show(["A-1", "BASE*"], "groups", items, "By group", note="How to read it.")
    found = Exhibits.read(run / "sections" / "bias" / "exhibits.json").exhibits
    assert [exhibit.kind for exhibit in found] == ["items", "groups"]
    assert {exhibit.path for exhibit in found} == {"sections/bias/items.parquet"}
    assert (run / found[0].path).is_file()
    assert found[0].where == {"occupation": "nurse"}
    assert found[1].shows("BASE")
    assert not found[1].shows("TOP")


def test_each_section_has_a_cache_of_its_own(run: Path) -> None:
    caches = {section(run, name).cache for name in ("bias", "safety")}
    assert caches == {run / ".work" / name / "scores.sqlite" for name in ("bias", "safety")}
    assert section(None).cache is None


def test_what_was_read_of_other_sections_is_recorded(run: Path) -> None:
    section(run).save(Result.of("items", [{"item": 1}]))
    later = section(run, "safety")
    later.earlier("bias", "items")
    again = later.earlier("inside", "maps", lambda: Result.of("maps", [{"item": 2}]))
    assert again.frame()["item"].tolist() == [2]
    inputs = json.loads((run / "sections" / "safety" / "inputs.json").read_text())
    path = run / "sections" / "bias" / "items.parquet"
    assert inputs == {
        "sections/bias/items.parquet": sha256(path),
        "sections/inside/maps.parquet": None,
    }


def test_by_hand_what_another_section_has_is_worked_out_again() -> None:
    made = Result.of("maps", [{"item": 2}])
    assert section(None).earlier("inside", "maps", lambda: made) is made


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


def test_a_threshold_of_a_section_that_is_left_out_is_the_questions_own(run: Path) -> None:
    assert section(run).threshold("SAFE-SPON-1") == load_suite().check("SAFE-SPON-1").threshold


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
    with pytest.raises(InputError, match='Did you mean "standard"'):
        Section("bias", MODEL, suite="standart")
