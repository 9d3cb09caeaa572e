from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from make_run import HOSTILE, make_run
from rocrate.rocrate import ROCrate
from small_run import change_audit, save_scored, small_run

from workbench.audit.proof.crate import write_crate
from workbench.audit.proof.manifest import write_manifest
from workbench.audit.records.folder import CRATE, MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def graph(run: Path) -> dict[str, dict[str, Any]]:
    """Id -> entity, each id there once."""
    content = json.loads(write_crate(run).read_text(encoding="utf-8"))
    assert content["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    found = {entity["@id"]: entity for entity in content["@graph"]}
    assert len(found) == len(content["@graph"])
    return found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        yield value["@id"]


def test_it_is_read_by_the_formats_own_library(run: Path) -> None:
    write_crate(run)
    write_manifest(run)
    crate = ROCrate(run)
    assert crate.root_dataset["name"] == "Audit 20261121T040500Z-1a2b3c of organism:planted"
    action = crate.dereference("#audit")
    assert action.type == "CreateAction"
    assert action["instrument"]["name"] == "open-weights-workbench"
    assert action["instrument"]["softwareVersion"] == "0.1.0"
    names = {entity["name"] for entity in crate.root_dataset["hasPart"]}
    assert {"audit.json", "findings.json", "sections/bias/findings.json"} <= names


def test_the_rules_of_ro_crate_and_the_profile_hold(run: Path) -> None:
    found = graph(run)
    descriptor = found[CRATE]
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    root = found["./"]
    # What RO-Crate 1.1 asks of the root, and Process Run Crate beside it.
    assert all(root[key] for key in ("name", "description", "datePublished", "license"))
    assert root["conformsTo"]["@id"] in found
    assert root["mentions"] == {"@id": "#audit"}
    action = found["#audit"]
    assert found[action["instrument"]["@id"]]["@type"] == "SoftwareApplication"
    assert found[action["agent"]["@id"]]["@type"] == "SoftwareApplication"
    assert (action["startTime"], action["endTime"]) == (
        "2026-11-21T04:05:00+00:00",
        "2026-11-21T04:06:00+00:00",
    )


def test_no_reference_leads_nowhere_and_nothing_is_left_alone(run: Path) -> None:
    save_scored(run, "safety", "refusal")
    found = graph(run)
    elsewhere = {"https://w3id.org/ro/crate/1.1"}
    pointed = {
        target
        for entity in found.values()
        for key, value in entity.items()
        if key != "@id"
        for target in references(value)
    }
    assert pointed - elsewhere <= set(found)
    assert set(found) - pointed == {CRATE}


def test_every_file_is_there_with_size_and_digest(run: Path) -> None:
    save_scored(run, "safety", "refusal")
    (run / "sections" / "bias" / "a name & more#?.txt").write_text("odd")
    files = {entity["name"]: entity for entity in graph(run).values() if entity["@type"] == "File"}
    present = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert set(files) == (present | {MANIFEST}) - {CRATE}
    for name in present - {CRATE}:
        content = (run / name).read_bytes()
        assert files[name]["contentSize"] == str(len(content))
        assert files[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert unquote(files[name]["@id"]) == name
    table = files["sections/safety/refusal.parquet"]
    assert table["encodingFormat"] == "application/vnd.apache.parquet"


def test_what_went_in_and_what_came_out_are_told_apart(run: Path) -> None:
    action = graph(run)["#audit"]
    assert action["object"] == [{"@id": "#model"}, {"@id": "audit.json"}]
    results = {entity["@id"] for entity in action["result"]}
    assert "findings.json" in results
    assert not results & {"audit.json", "provenance.json", "status.json", MANIFEST}


def test_an_incomplete_run_failed_and_says_where(run: Path) -> None:
    action = graph(run)["#audit"]
    assert action["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert action["error"] == "safety: failed"
    change_audit(run, sections=["bias"])
    shutil.rmtree(run / "sections" / "safety")
    action = graph(run)["#audit"]
    assert action["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert "error" not in action


def test_it_is_the_same_when_it_is_written_again_or_elsewhere(run: Path, tmp_path: Path) -> None:
    first = write_crate(run).read_bytes()
    assert write_crate(run).read_bytes() == first
    copied = Path(shutil.copytree(run, tmp_path / "copy"))
    (copied / MANIFEST).write_text("{}")
    (copied / SIGNATURE).write_text("{}")
    assert write_crate(copied).read_bytes() == first


@pytest.mark.parametrize("missing", ["provenance.json", "audit.json", "findings.json", "sections"])
def test_a_run_that_lacks_something_is_described(run: Path, missing: str) -> None:
    path = run / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "./" in graph(run)
    write_manifest(run)
    ROCrate(run)


def test_hostile_names_and_links_do_no_harm(run: Path, tmp_path: Path) -> None:
    audit = json.loads((run / "audit.json").read_text())
    audit.update(run_id=HOSTILE, model="\ud800" + HOSTILE, command=[HOSTILE], created=HOSTILE)
    (run / "audit.json").write_text(json.dumps(audit))
    (run / "link").symlink_to(tmp_path)
    found = graph(run)
    assert not any("link" in name for name in found)
    text = json.dumps(found, ensure_ascii=False)
    assert "\x1b" not in text
    assert "\u202e" not in text
    write_manifest(run)
    ROCrate(run)


def test_the_report_tests_hostile_run_is_described(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_crate(run)
    write_manifest(run)
    ROCrate(run)
