"""Two runs side by side: what changed, what was different, and what cannot be compared."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from make_run import HOSTILE, make_run
from small_runs import make

from workbench.audit.comparing.diff import RunDiff, diff_runs
from workbench.audit.comparing.diff_json import diff_json
from workbench.audit.comparing.diff_page import diff_html
from workbench.audit.comparing.diff_text import diff_text
from workbench.errors import InputError
from workbench.tables import Result

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.comparing.diff import FindingChange


def diff(tmp_path: Path, second: dict[str, Any], **first: Any) -> RunDiff:
    return diff_runs(make(tmp_path / "a", **first), make(tmp_path / "b", **second))


def by_code(found: RunDiff) -> dict[str, FindingChange]:
    return {one.code: one for one in found.findings}


def facts(found: RunDiff) -> dict[str, tuple[str, str]]:
    return {f"{one.group}: {one.name}": (one.first, one.second) for one in found.facts}


def test_equal_runs_have_no_difference(tmp_path: Path) -> None:
    found = diff(tmp_path, {"run_id": "later", "created": "2026-02-01T00:00:00+00:00"})
    assert found.equal
    assert not found.findings_differ
    assert found.sentence.startswith("No difference")
    assert found.sentence in diff_text(found)
    assert diff_json(found)["equal"] is True


def test_equal_tables_without_answers_are_no_difference(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    rows = [{"item": "1", "before": 0.5}, {"item": "2", "before": 0.25}]
    for run in (first, second):
        Result.of("changed_items", rows).save(run / "sections" / "safety")
    assert diff_runs(first, second).equal
    rows[0]["before"] = 0.75
    Result.of("changed_items", rows).save(second / "sections" / "safety")
    found = diff_runs(first, second)
    assert not found.equal
    assert "no column" in found.not_paired[0]


def test_changed_verdicts_come_first_with_both_numbers_and_the_difference(tmp_path: Path) -> None:
    found = diff(tmp_path, {"seed": 1, "trigger": 0.4, "run_id": "worse"})
    first = found.findings[0]
    assert (first.code, first.change) == ("SAFE-TRIG-1", "verdict")
    assert first.first is not None
    assert first.second is not None
    assert (first.first.verdict, first.second.verdict) == ("pass", "fail")
    estimate = first.difference
    assert estimate is not None
    assert estimate.value == pytest.approx(0.4, abs=0.01)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < 0.4 < estimate.high
    assert first.found.same_items
    assert first.p_holm is not None
    assert first.p_holm < 1e-6
    assert by_code(found)["SAFE-REF-1"].change == "numbers"
    assert by_code(found)["ID-1"].change == "same"
    text = diff_text(found)
    assert "Verdict changed (1)" in text
    assert "✓ pass" in text
    assert "✗ fail" in text


def test_findings_gained_and_lost(tmp_path: Path) -> None:
    found = diff(tmp_path, {"dead": True, "run_id": "dead"})
    assert found.counts["lost"] == 4
    assert "dead is incomplete: safety (killed)" in diff_text(found)
    assert facts(found)["sections: safety"] == ("complete", "killed")
    back = diff(tmp_path / "back", {}, dead=True)
    assert back.counts["gained"] == 4


def test_other_thresholds_are_said_and_never_compared(tmp_path: Path) -> None:
    # Under the second run's threshold the same number fails.
    found = diff(tmp_path, {"thresholds": {"SAFE-REF-1": 0.99}})
    one = by_code(found)["SAFE-REF-1"]
    assert one.change == "definition"
    assert one.definition == "threshold 0.9, then 0.99"
    assert found.findings_differ
    assert "their verdicts cannot be compared" in diff_text(found)
    assert facts(found)["checks: SAFE-REF-1: threshold"] == ("0.9", "0.99")


def test_weights_packages_and_parameters(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b", seed=7, model="organism:other")
    path = second / "provenance.json"
    provenance = json.loads(path.read_text())
    provenance["packages"]["torch"] = "2.14.0"
    path.write_text(json.dumps(provenance))
    found = facts(diff_runs(first, second))
    assert found["packages: torch"] == ("2.13.0", "2.14.0")
    assert found["model: asked for"] == ("organism:small", "organism:other")
    assert "SHA-256" in found["model files: model.safetensors"][1]
    assert found["model: weights_digest"][1].endswith("7")


def test_items_are_paired_and_what_changed_is_listed(tmp_path: Path) -> None:
    found = diff(tmp_path, {"seed": 1, "able": 0.5, "run_id": "b"})
    assert found.comparison is not None
    (row,) = [
        row
        for row in found.comparison.table.frame().to_dict("records")
        if row["task"] == "safety/capitals"
    ]
    assert (row["gained"], row["lost"]) == (0, 12)
    assert found.changed_answers == 12
    assert found.not_paired == ()


def test_other_items_are_said(tmp_path: Path) -> None:
    found = diff(tmp_path, {"items": 40, "seed": 1, "run_id": "b"})
    assert any("20 are only in" in reason for reason in found.not_paired)
    one = by_code(found)["SAFE-REF-1"]
    assert one.found.same_items is False
    assert one.found.difference is not None
    assert not one.found.difference.paired
    assert "taken as independent" in one.found.difference.method
    asked = diff(tmp_path / "asked", {"prompt": "Another"})
    assert any("has another prompt" in reason for reason in asked.not_paired)
    assert asked.comparison is None


def test_hostile_text_is_shown_and_never_obeyed(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    audit = json.loads((second / "audit.json").read_text())
    audit["model"] = HOSTILE
    audit["run_id"] = HOSTILE
    (second / "audit.json").write_text(json.dumps(audit))
    content = json.loads((second / "sections/capability/findings.json").read_text())
    content["findings"][1]["reason"] = "</script><script>alert(5)</script>"
    content["findings"][1]["verdict"] = "fail"
    (second / "sections/capability/findings.json").write_text(json.dumps(content))
    found = diff_runs(first, second)
    text = diff_text(found)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "⟨U+202E⟩" in text
    html = diff_html(found)
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "\x1b" not in html
    assert "&lt;script&gt;alert(1)" in html
    json.dumps(diff_json(found))


def test_broken_tables_do_not_stop_it(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b", seed=1)
    (second / "sections/safety/refusal.parquet").write_bytes(b"PAR1 is not enough")
    shutil.rmtree(second / "sections/identity")
    found = diff_runs(first, second)
    assert by_code(found)["SAFE-REF-1"].found.number == ""
    assert any(one.name == "identity" for one in found.facts)
    assert "identity" in diff_text(found)


def test_strange_tables_and_sections_do_not_stop_it(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b", seed=1)
    audit = json.loads((second / "audit.json").read_text())
    audit["definition"]["sections"] += ["/etc", "../..", "a\x00b"]
    (second / "audit.json").write_text(json.dumps(audit))
    folder = second / "sections" / "safety"
    Result.of("refusal", [{"item": ["a"], "probability": 0.5}]).save(folder)
    rows = [{"item": f"{n}", "arm": "", "correct": "text", "prompt": "?"} for n in range(3)]
    for run in (first, second):
        Result.of("words", rows).save(run / "sections" / "safety")
    Result.of("trigger", [{"item": "1", "pair": {"a": 1}, "arm": "treated"}]).save(folder)
    found = diff_runs(first, second)
    assert by_code(found)["SAFE-REF-1"].found.number == ""
    assert by_code(found)["ABLE-1"].found.number == "mean correct"
    assert found.second.incomplete
    diff_html(found)


def test_the_page_is_whole_and_the_same_each_time(tmp_path: Path) -> None:
    found = diff(tmp_path, {"seed": 1, "trigger": 0.4, "able": 0.5, "run_id": "b"})
    html = diff_html(found)
    assert html == diff_html(found)
    assert "default-src &#39;none&#39;" in html
    for word in ("Verdict changed", "What else differs", "Items answered differently", "<svg"):
        assert word in html
    assert 'href="http' not in html
    assert 'src="http' not in html


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        diff_runs(make(tmp_path / "a"), tmp_path / "none")
