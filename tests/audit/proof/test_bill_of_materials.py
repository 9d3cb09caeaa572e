from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from make_run import HOSTILE, make_run
from small_run import change_audit, save_scored, small_run

from workbench.audit.proof.bill_of_materials import write_bill_of_materials

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGEST = "ab" * 32


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def written(run: Path) -> dict[str, Any]:
    """The bill of materials, once the standard's own strict validator has found nothing."""
    text = write_bill_of_materials(run).read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    content: dict[str, Any] = json.loads(text)
    return content


def components(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All of them, also those inside others."""
    waiting = [content["metadata"]["component"], *content["components"]]
    while waiting:
        component = waiting.pop()
        yield component
        waiting += component.get("components", [])


def change_model(run: Path, **changes: Any) -> None:
    record = json.loads((run / "provenance.json").read_text())
    record["model"].update(changes)
    (run / "provenance.json").write_text(json.dumps(record))


def test_the_model_has_its_files_digests_and_licence(run: Path) -> None:
    model = written(run)["metadata"]["component"]
    assert (model["type"], model["name"]) == ("machine-learning-model", "organism:planted")
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    files = {file["name"]: file["hashes"] for file in model["components"]}
    assert files == {
        "config.json": [{"alg": "SHA-256", "content": "ab" * 32}],
        "model.safetensors": [{"alg": "SHA-256", "content": "cd" * 32}],
    }
    parameters = model["modelCard"]["modelParameters"]
    assert parameters["modelArchitecture"] == "LlamaForCausalLM"
    values = {entry["name"]: entry["value"] for entry in model["properties"]}
    assert len(values["workbench:weights_digest"]) == 64


def test_findings_are_metrics_with_their_intervals(run: Path) -> None:
    findings = json.loads((run / "findings.json").read_text())["findings"]
    card = written(run)["metadata"]["component"]["modelCard"]
    (metric,) = card["quantitativeAnalysis"]["performanceMetrics"]
    assert metric["type"] == "BIAS-OCC-1: share"
    assert float(metric["value"]) == findings[0]["estimate"] == 0.9
    interval = metric["confidenceInterval"]
    assert float(interval["lowerBound"]) == findings[0]["low"]
    assert float(interval["upperBound"]) == findings[0]["high"]
    assert "n = 200, fail" in metric["slice"]
    (risk,) = card["considerations"]["ethicalConsiderations"]
    assert risk["name"].startswith("BIAS-OCC-1: Does the occupation decide the pronoun?")


def test_tasks_are_data_with_digest_and_licence(run: Path) -> None:
    save_scored(run, "safety", "refusal", data={"refusal.jsonl": DIGEST})
    (data,) = (part for part in written(run)["components"] if part["type"] == "data")
    assert (data["name"], data["version"]) == ("refusal", "1.0")
    assert data["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    (file,) = data["components"]
    assert file["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]
    assert data["data"][0]["description"] == "all 2 items of small-world, asked of the model"


def test_packages_have_their_package_urls(run: Path) -> None:
    record = json.loads((run / "provenance.json").read_text())
    record["packages"] = {"lm_eval": "0.4.13", "torch": "2.13.0+cpu"}
    (run / "provenance.json").write_text(json.dumps(record))
    content = written(run)
    purls = [part["purl"] for part in content["components"] if part["type"] == "library"]
    assert purls == ["pkg:pypi/lm-eval@0.4.13", "pkg:pypi/torch@2.13.0%2Bcpu"]
    (tool,) = content["metadata"]["tools"]["components"]
    assert (tool["type"], tool["purl"]) == ("application", "pkg:pypi/open-weights-workbench@0.1.0")


def test_every_reference_is_there_once_and_leads_somewhere(run: Path) -> None:
    save_scored(run, "safety", "refusal", data={"a": DIGEST, "b": DIGEST})
    save_scored(run, "bias", "occupation_pronoun")
    content = written(run)
    refs = [component["bom-ref"] for component in components(content)]
    assert len(set(refs)) == len(refs)
    (dependency,) = content["dependencies"]
    assert {dependency["ref"], *dependency["dependsOn"]} <= set(refs)


def test_the_auditors_words_are_marked_as_that(run: Path) -> None:
    change_audit(run, statements={"intended_use": "Tests.", "limits": "Only a test."})
    considered = written(run)["metadata"]["component"]["modelCard"]["considerations"]
    assert considered["useCases"] == ["The auditor states: Tests."]
    assert "The auditor states: Only a test." in considered["technicalLimitations"]


def test_it_is_the_same_when_it_is_written_again_or_elsewhere(run: Path, tmp_path: Path) -> None:
    first = write_bill_of_materials(run).read_bytes()
    assert write_bill_of_materials(run).read_bytes() == first
    copied = Path(shutil.copytree(run, tmp_path / "copy"))
    for name in ("manifest.json", "report.html", "manifest.dsse.json"):
        (copied / name).touch()
    assert write_bill_of_materials(copied).read_bytes() == first


def test_serial_number_and_time_are_the_runs_own(run: Path, tmp_path: Path) -> None:
    content = written(run)
    assert uuid.UUID(content["serialNumber"]).version == 5
    assert content["metadata"]["timestamp"] == "2026-11-21T04:06:00+00:00"
    other = small_run(tmp_path / "other")
    audit = json.loads((other / "audit.json").read_text())
    (other / "audit.json").write_text(json.dumps({**audit, "run_id": "another"}))
    assert written(other)["serialNumber"] != content["serialNumber"]


@pytest.mark.parametrize(
    "licence", ["mit", "MIT", "llama3.1", "found, not recognised", "", HOSTILE, None]
)
def test_any_licence_gives_a_valid_document(run: Path, licence: str | None) -> None:
    change_model(run, licence=licence)
    stated = written(run)["metadata"]["component"]["licenses"]
    assert bool(stated) == (licence is not None)


def test_hostile_names_and_digests_give_a_valid_document(run: Path) -> None:
    files = [
        {"name": HOSTILE, "bytes": 1, "sha256": HOSTILE},
        {"name": HOSTILE, "bytes": 1, "sha256": "AB" * 32},
        {"name": "A" * 100_000, "bytes": 1, "sha256": DIGEST},
    ]
    change_model(run, files=files, revision=HOSTILE, architecture="\ud800", model_type=HOSTILE)
    audit = json.loads((run / "audit.json").read_text())
    audit.update(run_id="\ud800" + HOSTILE, model=HOSTILE, created=HOSTILE)
    (run / "audit.json").write_text(json.dumps(audit))
    record = json.loads((run / "provenance.json").read_text())
    record["packages"] = {HOSTILE: HOSTILE, "": "", "a": 3}
    (run / "provenance.json").write_text(json.dumps(record))
    (run / "status.json").unlink()
    save_scored(run, "safety", "refusal", task=HOSTILE, data={HOSTILE: HOSTILE}, licence=HOSTILE)
    content = written(run)
    assert "timestamp" not in content["metadata"]
    text = json.dumps(content, ensure_ascii=False)
    assert "\x1b" not in text
    assert "\u202e" not in text
    hashes = [file["hashes"] for file in content["metadata"]["component"]["components"]]
    assert hashes == [[], [], [{"alg": "SHA-256", "content": DIGEST}]]


@pytest.mark.parametrize("missing", ["provenance.json", "audit.json", "findings.json", "sections"])
def test_a_run_that_lacks_something_gives_a_valid_document(run: Path, missing: str) -> None:
    path = run / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert written(run)["bomFormat"] == "CycloneDX"


def test_the_report_tests_hostile_run_gives_a_valid_document(tmp_path: Path) -> None:
    assert written(make_run(tmp_path / "run"))["bomFormat"] == "CycloneDX"
