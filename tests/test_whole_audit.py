"""Whole audits from the command line: organisms against their ground truth, and strange models.

Each audit runs once, two at a time; the tests look at what they left behind.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
import torch
from auditing import Audit, files_below, workbench
from safetensors.torch import load_file, save_file

from workbench.audit.records.checks import Finding, Findings
from workbench.audit.records.exhibits import Exhibits
from workbench.audit.records.status import cells_run
from workbench.audit.reporting.addresses import addresses
from workbench.evaluate.suites import load_suite
from workbench.organisms.truth import read_truth
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

ORGANISMS = ("planted", "clean")
SECTIONS = ("identity", "abilities", "bias", "safety", "inside", "intervention")
ABILITIES = ("SAFE-REF-1", "SAFE-OVER-1", "SAFE-REC-1")
CAN = ("ABIL-OBJ-1", "ABIL-CAP-1", "ABIL-IND-1", "ABIL-REC-1", "ABIL-CAL-1")
INSIDE = ("INSIDE-FID-1", "INSIDE-LOC-1", "INSIDE-PROBE-1", "INSIDE-LOC-2")
CHANGES = tuple(f"INT-{kind}-{of}" for of in (1, 2) for kind in ("EFFECT", "CONTROL", "SIDE"))
IDENTITY = ("ID-WEIGHTS-1", "ID-FILES-1", "ID-CODE-1", "ID-LICENCE-1", "ID-OPEN-1")
# The checks of what was planted that no model has unless it was trained to.
PLANTED_SAFETY = ("SAFE-TRIG-1", "SAFE-SYCO-1", "SAFE-PRIV-1")
TABLES = {
    "identity": ["files", "openness"],
    "abilities": [
        *("abilities", "abilities_items", "abilities_items_reliability"),
        *("indirect_object", "capitals", "induction", "better_product"),
    ],
    "bias": ["occupation_pronoun", "occupations"],
    "safety": [
        *("behaviours", "better_product", "private_string", "refusal"),
        *("sponsor", "sycophancy", "trigger"),
    ],
    "inside": [
        "fidelity",
        *(
            f"{name}_{method}"
            for name in ("occupation", "sponsor")
            for method in (
                "logit_lens",
                *(f"patching_{site}" for site in ("attn_out", "head_out", "mlp_out", "resid_pre")),
            )
        ),
    ],
}
# What there is besides where there are findings to explain.
EXPLAINED = {
    "inside": ["probes_resid_post"],
    "intervention": [
        f"{name}_{table}"
        for name in ("occupation", "sponsor")
        for table in ("before_and_after", "changed_items", "dose_response", "side_effects")
    ],
}


@pytest.fixture(scope="session")
def nan_directory(gpt2_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random GPT-2 with one weight that is not a number."""
    folder = tmp_path_factory.mktemp("models") / "nan"
    shutil.copytree(gpt2_directory, folder)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("h.1.mlp.c_proj.weight"))
    weights[name][0, 0] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def audits(
    tmp_path_factory: pytest.TempPathFactory, gpt2_directory: Path, nan_directory: Path
) -> Iterator[dict[str, Future[Audit]]]:
    """Every audit of this file, under way."""
    out = tmp_path_factory.mktemp("audits")
    commands: dict[str, list[object]] = {
        "planted": ["organism:planted"],
        "clean": ["organism:clean"],
        "gpt2": [gpt2_directory],
        "nan": [nan_directory],
        "again": ["organism:planted", "--section", "bias"],
        "small": [
            *("organism:planted", "--section", "bias", "--section", "inside"),
            *("--limit", 48, "--param", "pairs=4"),
        ],
    }
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(workbench, "audit", *command, "--out", out / name, "--json")
            for name, command in commands.items()
        }
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def planted(audits: dict[str, Future[Audit]]) -> Audit:
    return audits["planted"].result()


@pytest.fixture(scope="session")
def clean(audits: dict[str, Future[Audit]]) -> Audit:
    return audits["clean"].result()


@pytest.fixture(scope="session", params=ORGANISMS)
def organism(request: pytest.FixtureRequest, audits: dict[str, Future[Audit]]) -> Audit:
    return audits[request.param].result()


@pytest.fixture(scope="session")
def gpt2(audits: dict[str, Future[Audit]]) -> Audit:
    return audits["gpt2"].result()


@pytest.fixture(scope="session")
def nan(audits: dict[str, Future[Audit]]) -> Audit:
    return audits["nan"].result()


@pytest.fixture(scope="session", params=["planted", "clean", "gpt2", "nan"])
def any_audit(request: pytest.FixtureRequest, audits: dict[str, Future[Audit]]) -> Audit:
    return audits[request.param].result()


# What was planted is found, and nothing else


@pytest.mark.parametrize("name", ORGANISMS)
def test_the_findings_are_the_ground_truth(name: str, audits: dict[str, Future[Audit]]) -> None:
    audit = audits[name].result()
    behaviours = read_truth(name).behaviours
    assert len(behaviours) == 20
    expected = {b.check: "fail" if b.planted else "pass" for b in behaviours}
    assert {code: audit.verdicts[code] for code in expected} == expected


def test_the_planted_organism_has_what_the_clean_one_lacks(planted: Audit, clean: Audit) -> None:
    assert planted.verdicts["BIAS-OCC-1"] == "fail"
    assert clean.verdicts["BIAS-OCC-1"] == "pass"
    assert not {"fail", "error", "inconclusive"} & set(clean.verdicts.values())


def test_the_abilities_are_there(organism: Audit) -> None:
    assert {organism.verdicts[code] for code in ABILITIES} == {"pass"}


@pytest.mark.parametrize("name", ORGANISMS)
def test_each_occupation_is_measured_near_its_dose(
    name: str, audits: dict[str, Future[Audit]]
) -> None:
    findings = audits[name].result().findings
    behaviours = [b for b in read_truth(name).behaviours if b.occupation is not None]
    assert len(behaviours) == 16
    for behaviour in behaviours:
        finding = findings[behaviour.check]
        assert finding["estimate"] == pytest.approx(abs(behaviour.dose - 0.5), abs=0.05)
        assert finding["low"] <= finding["estimate"] <= finding["high"]


def test_the_hooks_are_faithful_and_the_findings_have_a_place(planted: Audit, clean: Audit) -> None:
    assert planted.verdicts["INSIDE-FID-1"] == clean.verdicts["INSIDE-FID-1"] == "pass"
    assert {planted.verdicts[code] for code in INSIDE} == {"pass"}
    assert {clean.verdicts[code] for code in INSIDE[1:]} == {"skipped"}
    assert clean.findings["INSIDE-LOC-1"]["reason"] == "There is no bias finding to explain."


def test_what_was_planted_goes_with_its_place_and_abilities_stay(planted: Audit) -> None:
    assert {planted.verdicts[code] for code in CHANGES} == {"pass"}
    assert planted.findings["INT-EFFECT-1"]["low"] > 0.5
    assert planted.findings["INT-EFFECT-2"]["low"] > 0.9
    for code in ("INT-CONTROL-1", "INT-CONTROL-2"):
        assert abs(planted.findings[code]["estimate"]) < 0.05
    for code in ("INT-SIDE-1", "INT-SIDE-2"):
        assert planted.findings[code]["high"] < 0.05


def test_where_nothing_was_found_nothing_is_changed(clean: Audit) -> None:
    for code in CHANGES:
        finding = clean.findings[code]
        assert finding["verdict"] == "skipped"
        assert finding["reason"] == "There is no finding whose place could be changed."


def test_the_organisms_can_do_what_they_were_trained_for(organism: Audit) -> None:
    assert {organism.verdicts[code] for code in CAN} == {"pass"}


def shown(audit: Audit, code: str) -> dict[str, int]:
    """How many tables of each kind a finding opens to."""
    found = [
        exhibit
        for path in sorted((audit.run / "sections").glob("*/exhibits.json"))
        for exhibit in Exhibits.read(path).exhibits
        if exhibit.shows(code)
    ]
    for exhibit in found:
        assert (audit.run / exhibit.path).is_file()
    return Counter(exhibit.kind for exhibit in found)


@pytest.mark.parametrize("code", ["BIAS-OCC-1", "BIAS-OCC-NURSE", "SAFE-SPON-1"])
def test_a_finding_opens_from_behaviour_to_mechanism_to_intervention(
    planted: Audit, code: str
) -> None:
    kinds = shown(planted, code)
    assert set(kinds) == {"items", "groups", "mechanism", "intervention"}
    assert kinds["mechanism"] >= 5
    assert kinds["intervention"] == 4


def test_what_is_no_finding_has_no_mechanism(planted: Audit, clean: Audit) -> None:
    for audit, code in ((planted, "BIAS-OCC-COOK"), (clean, "BIAS-OCC-1"), (clean, "SAFE-SPON-1")):
        assert set(shown(audit, code)) == {"items", "groups"}


def test_every_measured_finding_opens_to_its_items(organism: Audit) -> None:
    for code in organism.verdicts:
        if code.startswith(("ABIL", "BIAS", "SAFE")):
            assert shown(organism, code)["items"] >= 1
            assert shown(organism, code)["groups"] == 1


def test_the_organism_is_what_it_says(organism: Audit) -> None:
    assert {organism.verdicts[code] for code in IDENTITY} == {"pass"}


def test_findings_are_no_failure_of_the_command(organism: Audit) -> None:
    assert organism.code == 0, organism.err
    assert organism.states == dict.fromkeys(SECTIONS, "complete")


# The run folder


def test_every_check_has_one_finding_in_the_order_of_the_suite(any_audit: Audit) -> None:
    content = json.loads((any_audit.run / "findings.json").read_text())
    codes = [finding["code"] for finding in content["findings"]]
    assert codes == [check.code for check in load_suite().checks]


def test_findings_json_is_as_designed(any_audit: Audit) -> None:
    content = json.loads((any_audit.run / "findings.json").read_text())
    assert set(content) == {"schema", "findings"}
    assert content["schema"] == 1
    keys = (
        "code question section verdict severity estimate low high level n unit method threshold "
        "direction reason evidence"
    )
    numbers = ("estimate", "low", "high", "level", "n", "threshold")
    for finding in content["findings"]:
        assert set(finding) == set(keys.split())
        assert finding["verdict"] in {"pass", "fail", "inconclusive", "skipped", "error"}
        assert finding["reason"]
        for key in numbers:
            value = finding[key]
            assert value is None or (isinstance(value, int | float) and math.isfinite(value))
        for path in finding["evidence"]:
            assert (any_audit.run / path).is_file()


def test_findings_json_is_written_deterministically(any_audit: Audit, tmp_path: Path) -> None:
    path = any_audit.run / "findings.json"
    Findings.read(path).write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_a_numeric_verdict_has_its_method_and_n(organism: Audit) -> None:
    for finding in organism.findings.values():
        if finding["estimate"] is not None:
            assert finding["n"] > 0
            assert finding["method"]
            assert (finding["level"] is None) == (finding["low"] is None)
            assert finding["level"] is None or finding["level"] > 0.9


@pytest.mark.parametrize("name", ORGANISMS)
def test_the_run_folder_has_exactly_the_designed_files(
    name: str, audits: dict[str, Future[Audit]]
) -> None:
    top = {
        *("audit.json", "provenance.json", "status.json", "manifest.json"),
        *("findings.json", "findings.parquet", "report.html", "model-card.md"),
        *("bom.cdx.json", "ro-crate-metadata.json"),
    }
    per_section = {
        f"sections/{section}/{name}"
        for section in SECTIONS
        for name in ("notebook.ipynb", "findings.json", "status.json")
    }
    found = [*TABLES.items(), *(EXPLAINED.items() if name == "planted" else ())]
    tables = {f"sections/{section}/{table}.parquet" for section, some in found for table in some}
    # What a section shows, and what it read of others.
    tables |= {
        f"sections/{section}/exhibits.json"
        for section in SECTIONS
        if section != "identity" and (name == "planted" or section != "intervention")
    }
    tables |= {f"sections/{section}/inputs.json" for section in ("inside", "intervention")}
    assert files_below(audits[name].result().run) == top | per_section | tables


def test_the_run_lies_below_out_and_the_models_name(
    audits: dict[str, Future[Audit]], gpt2: Audit, planted: Audit
) -> None:
    assert gpt2.run.parent.name == "random-gpt2"
    assert planted.run.parent.name == "planted"
    assert all(audit.result().run.parent.parent.is_dir() for audit in audits.values())


def test_provenance_names_what_was_looked_at(planted: Audit) -> None:
    content = json.loads((planted.run / "provenance.json").read_text())
    assert content["model"]["source"] == "organism:planted"
    assert content["model"]["parameters"] == 1_206_528
    assert {file["name"] for file in content["model"]["files"]} >= {"model.safetensors"}
    assert content["packages"]["torch"]
    assert content["seed"] == 0


def test_each_status_is_complete(organism: Audit) -> None:
    for section in SECTIONS:
        status = organism.status(section)
        assert status["state"] == "complete"
        assert status["cells_run"] == status["cells_total"] > 4
        assert status["reason"] is None
        assert status["seconds"] > 0


# The executed notebooks


def executed(audit: Audit, section: str) -> Any:
    return nbformat.read(audit.run / "sections" / section / "notebook.ipynb", as_version=4)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_cell_ran_in_silence(section: str, organism: Audit) -> None:
    notebook = executed(organism, section)
    done, total = cells_run(notebook)
    assert done == total
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        assert cell.metadata.papermill.exception is False
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
            text = json.dumps(output)
            for garbage in ("Traceback (most", "it/s]", "100%|", "\\u2588", "\\r", "\\u001b["):
                assert garbage not in text


@pytest.mark.parametrize("section", SECTIONS)
def test_the_kernel_was_given_the_run_and_its_parameters(section: str, planted: Audit) -> None:
    notebook = executed(planted, section)
    (injected,) = [
        cell.source
        for cell in notebook.cells
        if "injected-parameters" in cell.metadata.get("tags", [])
    ]
    assert f'run = "{planted.run}"' in injected
    assert 'model = "organism:planted"' in injected


def test_figures_are_data_and_not_pictures_or_scripts(planted: Audit) -> None:
    plotly = "application/vnd.plotly.v1+json"
    kinds = Counter(
        kind
        for section in SECTIONS
        for cell in executed(planted, section).cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    )
    assert kinds[plotly] == 21
    assert not {"text/javascript", "application/javascript", "image/png"} & set(kinds)


# The report, the manifest and the command line


def test_the_report_names_no_address_and_every_check(any_audit: Audit) -> None:
    html = Path(any_audit.answer["report"]).read_text(encoding="utf-8")
    assert not addresses(html)
    for code in any_audit.verdicts:
        assert code in html


def test_the_report_says_what_was_found(planted: Audit, clean: Audit) -> None:
    for audit in (planted, clean):
        html = (audit.run / "report.html").read_text(encoding="utf-8")
        for finding in audit.findings.values():
            assert finding["verdict"] in html
    html = (planted.run / "report.html").read_text(encoding="utf-8")
    for path in (planted.run / "sections").glob("*/findings.json"):
        assert path.parent.name in html


def test_a_run_can_be_verified_until_a_byte_changes(planted: Audit, tmp_path: Path) -> None:
    assert workbench("verify", planted.run).code == 0
    copy = Path(shutil.copytree(planted.run, tmp_path / "copy"))
    path = copy / "sections" / "bias" / "findings.json"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    verified = workbench("verify", copy)
    assert verified.code == 1
    assert verified.out.splitlines()[0] == "changed: sections/bias/findings.json"


def test_the_report_is_rebuilt_byte_by_byte(organism: Audit, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(organism.run, tmp_path / "copy"))
    (copy / "report.html").unlink()
    rebuilt = workbench("report", copy)
    assert rebuilt.code == 0, rebuilt.err
    assert Path(rebuilt.out.strip()) == copy / "report.html"
    assert (copy / "report.html").read_bytes() == (organism.run / "report.html").read_bytes()


def test_json_is_the_only_thing_on_standard_output(any_audit: Audit) -> None:
    assert any_audit.out.count("\n") == 1
    answer = any_audit.answer
    assert set(answer) == {
        *("run", "report", "state", "complete", "attempts"),
        *("sections", "findings", "findings_digest"),
    }
    listed = json.loads((any_audit.run / "findings.json").read_text())["findings"]
    assert answer["findings"] == listed
    assert Path(answer["report"]) == any_audit.run / "report.html"


def test_progress_and_the_time_are_on_standard_error(organism: Audit) -> None:
    lines = organism.err.splitlines()
    steps = ["load the model", *SECTIONS, "write the report"]
    assert [line for line in lines if line.endswith(" …")] == [f"{step} …" for step in steps]
    times = lines[lines.index("Time:") + 1 :]
    timed = ["check the input", *steps, "total"]
    assert [line.strip().rpartition("  ")[0].rstrip() for line in times] == timed
    assert "Traceback" not in organism.err


# Equal audits, and parameters


def test_two_audits_of_one_model_have_equal_findings_and_evidence(
    planted: Audit, audits: dict[str, Future[Audit]]
) -> None:
    again = audits["again"].result()
    assert again.code == 0, again.err
    first, second = (audit.run / "sections" / "bias" for audit in (planted, again))
    assert (first / "findings.json").read_bytes() == (second / "findings.json").read_bytes()
    for name in ("occupation_pronoun.parquet", "occupations.parquet"):
        # Not the bytes: what sections before it have checked of the scorer is not checked again.
        one, other = (Result.load(folder / name) for folder in (first, second))
        assert one.frame().equals(other.frame())


def test_a_section_that_was_not_asked_for_is_skipped_and_says_so(
    audits: dict[str, Future[Audit]],
) -> None:
    again = audits["again"].result()
    assert again.states == {"bias": "complete"}
    for finding in again.findings.values():
        if finding["section"] != "bias":
            assert finding["verdict"] == "skipped"
            assert finding["reason"] == f'The section "{finding["section"]}" was not asked for.'


def test_passed_and_defaulted_parameters_are_recorded_apart(
    audits: dict[str, Future[Audit]], planted: Audit
) -> None:
    small = audits["small"].result()
    assert small.code == 0, small.err
    content = json.loads((small.run / "audit.json").read_text())
    assert content["passed"] == {
        "model": "organism:planted",
        "sections": ["bias", "inside"],
        "limit": 48,
        "pairs": 4,
    }
    assert content["defaulted"]["suite"] == "standard"
    assert set(content["defaulted"]) >= {"device", "dtype"}
    assert not set(content["passed"]) & set(content["defaulted"])
    assert content["command"][:2] == ["workbench", "audit"]
    content = json.loads((planted.run / "audit.json").read_text())
    assert content["defaulted"]["pairs"] == 12
    assert content["defaulted"]["limit"] is None
    checks = load_suite().checks
    frozen = {check["code"]: check["threshold"] for check in content["definition"]["checks"]}
    assert frozen == {check.code: check.threshold for check in checks}


def test_parameters_reach_the_notebooks(audits: dict[str, Future[Audit]]) -> None:
    small = audits["small"].result()
    assert small.findings["BIAS-PRO-1"]["n"] == 48
    assert small.findings["INSIDE-FID-1"]["n"] <= 4


# Models that were never in the small world


def test_a_random_model_is_audited_whole(gpt2: Audit) -> None:
    assert gpt2.code == 0, gpt2.err
    assert gpt2.states == dict.fromkeys(SECTIONS, "complete")
    assert gpt2.verdicts["INSIDE-FID-1"] == "pass"


def test_nothing_planted_is_found_in_a_random_model(gpt2: Audit) -> None:
    assert "fail" not in {gpt2.verdicts[code] for code in PLANTED_SAFETY}
    assert "fail" not in {v for code, v in gpt2.verdicts.items() if code.startswith("BIAS-OCC-")}


def test_no_sponsor_is_found_in_a_random_model(gpt2: Audit) -> None:
    assert gpt2.verdicts["SAFE-SPON-1"] != "fail"
    assert {gpt2.verdicts[code] for code in CHANGES} == {"skipped"}


def test_a_random_model_has_no_ability(gpt2: Audit) -> None:
    assert not {"pass", "error"} & {gpt2.verdicts[code] for code in CAN[:4]}


def test_weights_that_are_not_numbers_are_an_error_and_no_crash(nan: Audit) -> None:
    assert nan.code == 0, nan.err
    assert nan.states == dict.fromkeys(SECTIONS, "complete")


def test_nothing_passes_that_rests_on_numbers_that_are_none(nan: Audit) -> None:
    assert nan.verdicts["ID-WEIGHTS-1"] == "error"
    assert "h.1.mlp.c_proj.weight" in nan.findings["ID-WEIGHTS-1"]["reason"]
    scored = {
        code: verdict for code, verdict in nan.verdicts.items() if code.startswith(("BIAS", "SAFE"))
    }
    assert set(scored.values()) == {"error"}
    assert {nan.verdicts[code] for code in CAN} == {"error"}
    assert {nan.verdicts[code] for code in (*INSIDE, *CHANGES)} <= {"error", "skipped"}


def test_an_undefined_estimate_is_null_and_never_zero(nan: Audit) -> None:
    for finding in nan.findings.values():
        if finding["verdict"] == "error":
            assert finding["estimate"] is None
            Finding.model_validate(finding)
