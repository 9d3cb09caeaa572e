from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from auditing import write_audit_json
from make_run import HOSTILE, status
from small_run import BIASED, SETUP, change_audit, save_scored, small_run

from workbench.audit.records.evidence import read_run
from workbench.audit.records.folder import CRATE, MANIFEST, SIGNATURE
from workbench.audit.reviewing.checklist import KEYS, LINES, NOTHING, STATEMENT, Answer, answers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def answered(run: Path) -> dict[str, Answer]:
    return {answer.key: answer for answer in answers(read_run(run))}


def state_in(run: Path, **statements: str) -> None:
    change_audit(run, statements=statements)


def test_there_are_33_lines_with_keys_of_their_own() -> None:
    assert [line.number for line in LINES] == list(range(1, 34))
    assert len(set(KEYS)) == 33
    assert all(line.question.endswith("?") for line in LINES)
    assert (KEYS[0], KEYS[-1]) == ("report", "provenance")


def test_every_line_is_answered_or_says_that_it_is_not(run: Path) -> None:
    found = answers(read_run(run))
    assert [answer.key for answer in found] == list(KEYS)
    assert all(answer.text for answer in found)
    for answer in found:
        assert (answer.state == "not assessed") == (answer.text == NOTHING)


def test_every_link_leads_somewhere(run: Path) -> None:
    """To a file of the run, one that is written after the report, or a finding."""
    save_scored(run, "safety", "refusal")
    codes = {finding.code for finding in read_run(run).findings}
    later = {MANIFEST, "bom.cdx.json", "model-card.md", "findings.json"}
    for answer in answers(read_run(run)):
        for link in answer.links:
            assert link in codes | later or (run / link).is_file(), (answer.key, link)


def test_what_only_the_auditor_knows_is_stated_as_that(run: Path) -> None:
    state_in(run, auditor="A. Nother, paid by the maker.", intended_use="None.")
    found = answered(run)
    assert found["intended_use"].state == "stated by the auditor"
    assert found["intended_use"].text == "None."
    # Beside what the run shows, it is still told apart.
    assert found["auditor"].state == "partly"
    assert found["auditor"].text.endswith(f"{STATEMENT}A. Nother, paid by the maker.")


def test_a_statement_does_not_turn_a_partial_answer_into_a_whole_one(run: Path) -> None:
    before = answered(run)
    state_in(run, **dict.fromkeys(KEYS, "All is well."))
    after = answered(run)
    for key in KEYS:
        stated = before[key].state == "not assessed"
        assert after[key].state == ("stated by the auditor" if stated else before[key].state)


@pytest.mark.parametrize(
    "statements", [None, [], "text", 3, {"auditor": 3, "misuse": None, "unknown": "x"}]
)
def test_statements_of_a_wrong_type_are_none(run: Path, statements: Any) -> None:
    before = answers(read_run(run))
    change_audit(run, statements=statements)
    assert answers(read_run(run)) == before


def test_lines_do_not_rest_on_what_is_written_after_the_report(run: Path) -> None:
    before = answers(read_run(run))
    for name in (MANIFEST, SIGNATURE, CRATE, "report.html"):
        (run / name).write_text("{}")
    assert answers(read_run(run)) == before


# What is read from the run.


def test_the_model_is_told_exactly(run: Path) -> None:
    found = answered(run)
    assert "organism:planted (organism, no revision: not from the hub)" in found["model"].text
    assert "1,049,000 parameters, context length 128 tokens" in found["architecture"].text
    assert found["architecture"].state == "partly"
    assert "Whether it has a chat template" in found["architecture"].text
    assert "Apache-2.0, stated by README.md." in found["licence"].text
    assert "No acceptable-use terms" in found["licence"].text


@pytest.mark.parametrize(("template", "said"), [(True, "; a chat"), (False, "; no chat")])
def test_a_chat_template_is_told_where_identity_saw_it(
    run: Path,
    template: bool,  # noqa: FBT001
    said: str,
) -> None:
    save_scored(run, "bias", "openness", [{"component": "x"}], chat_template=template)
    found = answered(run)["architecture"]
    assert (found.state, said in found.text) == ("answered", True)


def test_tasks_are_named_with_licence_digest_and_rule(run: Path) -> None:
    save_scored(run, "safety", "refusal", data={"refusal.jsonl": "ab" * 32})
    found = answered(run)
    assert found["benchmarks"].state == "answered"
    assert found["benchmarks"].text == (
        f"refusal of small-world 1.0, Apache-2.0, refusal.jsonl sha256 {'ab' * 32}."
    )
    assert found["items"].text.startswith("refusal: all 2 items (choices).")
    assert found["prompting"].text.startswith("Choices are asked as plain text, seed 0.")
    assert found["scoring"].text.endswith("No judge was asked.")
    save_scored(run, "safety", "trigger")
    assert answered(run)["benchmarks"].state == "partly"


def test_a_judge_is_named_and_its_validation_is_missed(run: Path) -> None:
    setup = {**SETUP, "judge": {"judge": "rules", "version": 1}}
    rows = [{"item": "a", "completion": "Sorry."}]
    save_scored(run, "safety", "xstest", rows, benchmark="xstest", setup=setup)
    found = answered(run)
    assert found["scoring"].state == "partly"
    assert "Judges: rules. How far a judge is right is not in the run." in found["scoring"].text
    assert "What the model writes is asked in its chat template" in found["prompting"].text


def test_results_are_counted_and_never_called_complete_where_they_are_not(run: Path) -> None:
    found = answered(run)
    assert found["results"].state == "partly"
    assert found["results"].text.startswith("2 findings: 1 fail, 1 skipped. 1 of them")
    assert "SAFE-REF-1: skipped (No items.)" in found["not_run"].text
    assert "section safety: failed (RuntimeError: no answer)" in found["not_run"].text
    assert "FID-1: no finding" in found["not_run"].text
    assert "200 items were to be drawn, in whole clusters" in found["not_run"].text


def test_a_complete_run_says_so(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    change_audit(run, sections=["bias"], checks=[BIASED.model_dump()], limits={"items": None})
    shutil.rmtree(run / "sections" / "safety")
    findings = json.loads((run / "findings.json").read_text())
    del findings["findings"][1:]
    (run / "findings.json").write_text(json.dumps(findings))
    found = answered(run)
    assert found["not_run"].text == (
        "All that was planned ran to its end and was judged. Planned were the sections bias."
    )
    assert found["results"].state == "answered"


def test_a_run_that_never_began_says_nothing_of_what_did_not_run(tmp_path: Path) -> None:
    run = write_audit_json(tmp_path / "run", [])
    assert answered(run)["not_run"].state == "not assessed"


def test_earlier_attempts_are_counted(run: Path) -> None:
    attempts = [{"seconds": 12.0}, {"seconds": 30.5}]
    (run / "status.json").write_text(json.dumps({"state": "complete", "attempts": attempts}))
    found = answered(run)
    assert "It took 2 attempts." in found["report"].text
    assert "for 42 seconds" in found["auditor"].text
    assert "Attempts that ended before it was done: 1." in found["not_run"].text


def test_hazards_and_risks_are_named_one_by_one(run: Path) -> None:
    save_scored(run, "bias", "occupation_pronoun")
    found = answered(run)
    assert found["hazards"].text.startswith("0 of 12 have items that were asked. Not tested: viol")
    assert found["nist_risks"].text.startswith(
        "1 of 12 have items that were asked (harmful bias and homogenisation: occupation_pronoun "
        "(2 items of small-world)). Not tested: CBRN information"
    )
    for answer in (found["hazards"], found["nist_risks"]):
        named = answer.text.partition("Not tested: ")[2]
        assert "none" not in named


def test_safeguards_are_not_called_robust_without_an_attack(run: Path) -> None:
    found = answered(run)["safeguards"]
    assert found.state == "partly"
    assert "No published jailbreak was tried: robustness is not shown." in found.text
    assert found.links == ("SAFE-REF-1",)
    save_scored(run, "safety", "jailbreaks", benchmark="jailbreaks")
    found = answered(run)["safeguards"]
    assert (found.state, "Attacks that were tried: jailbreaks." in found.text) == ("answered", True)


def test_groups_and_the_inside_are_those_that_are_shown(run: Path) -> None:
    assert answered(run)["groups"].state == "not assessed"
    assert answered(run)["inside"].state == "not assessed"
    path = "sections/bias/occupation_pronoun.parquet"
    save_scored(run, "bias", "occupation_pronoun")
    exhibits = [
        {"codes": ["BIAS-*"], "kind": kind, "path": path, "title": f"The {kind}"}
        for kind in ("groups", "mechanism")
    ]
    content = json.dumps({"schema": 1, "exhibits": exhibits})
    (run / "sections" / "bias" / "exhibits.json").write_text(content)
    found = answered(run)
    assert (found["groups"].state, found["groups"].links) == ("partly", (path,))
    assert found["inside"].text.startswith("Shown: The mechanism. It holds for these prompts")


def test_baselines_are_those_that_findings_speak_of(run: Path) -> None:
    assert answered(run)["baselines"].state == "not assessed"
    content = json.loads((run / "findings.json").read_text())
    content["findings"][0]["unit"] = "accuracy, from 0 at chance to 1"
    content["findings"][1]["unit"] = "accuracy above the better control"
    (run / "findings.json").write_text(json.dumps(content))
    found = answered(run)["baselines"]
    assert (found.state, found.links) == ("partly", ("BIAS-OCC-1", "SAFE-REF-1"))
    assert found.text == (
        "Measured against chance: BIAS-OCC-1; control: SAFE-REF-1. No other model was asked in "
        "this run."
    )


@pytest.mark.parametrize("missing", ["provenance.json", "audit.json", "sections"])
def test_a_run_that_lacks_something_is_still_answered(run: Path, missing: str) -> None:
    path = run / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = answered(run)
    assert len(found) == 33
    if missing == "provenance.json":
        for key in ("model", "architecture", "licence", "openness", "environment"):
            assert found[key].state == "not assessed"


def test_hostile_names_stay_text(run: Path) -> None:
    audit = json.loads((run / "audit.json").read_text())
    audit["run_id"] = HOSTILE
    audit["command"] = ["workbench", HOSTILE]
    (run / "audit.json").write_text(json.dumps(audit))
    end = json.loads(status("bias", "failed", HOSTILE))
    (run / "sections" / "bias" / "status.json").write_text(json.dumps(end))
    found = answered(run)
    assert HOSTILE in found["report"].text
    assert HOSTILE in found["not_run"].text
