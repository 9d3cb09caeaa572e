from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from make_run import provenance

from workbench.audit.sections.identity import files, judge_identity, openness
from workbench.audit.sections.section import Section
from workbench.checkpoint import Inspection, inspect
from workbench.provenance import ModelProvenance

if TYPE_CHECKING:
    from workbench.audit.records.checks import Finding

MODEL = ModelProvenance.model_validate(json.loads(provenance())["model"])


@pytest.fixture(scope="module")
def inspection(gpt2_directory: Path) -> Inspection:
    return inspect(gpt2_directory)


def judged(inspection: Inspection, **model: Any) -> dict[str, Finding]:
    section = Section("identity", MODEL)
    judge_identity(section, inspection, MODEL.model_copy(update=model))
    return {finding.code: finding for finding in section.close()}


def with_facts(inspection: Inspection, **facts: Any) -> Inspection:
    return inspection.model_copy(update=facts)


def test_a_plain_model_passes_but_for_its_licence(inspection: Inspection) -> None:
    findings = judged(inspection)
    assert {code: finding.verdict for code, finding in findings.items()} == {
        "ID-WEIGHTS-1": "pass",
        "ID-FILES-1": "pass",
        "ID-CODE-1": "pass",
        "ID-LICENCE-1": "fail",
        "ID-OPEN-1": "skipped",
    }
    assert findings["ID-LICENCE-1"].reason == "No licence was found."
    assert findings["ID-WEIGHTS-1"].reason == "All 1,049,000 weights are finite."


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a"], "NaN or infinity in a: nothing"),
        (["a", "b", "c"], "NaN or infinity in a, b, c: nothing"),
        (["a", "b", "c", "d", "e"], "NaN or infinity in a, b, c and 2 more: nothing"),
    ],
)
def test_weights_that_are_not_numbers_are_an_error(
    inspection: Inspection, names: list[str], said: str
) -> None:
    finding = judged(inspection, non_finite=tuple(names))["ID-WEIGHTS-1"]
    assert finding.verdict == "error"
    assert said in finding.reason


def test_unsafe_files_are_named(inspection: Inspection) -> None:
    unsafe = with_facts(inspection, unsafe_files=("pytorch_model.bin", "optimizer.pt"))
    finding = judged(unsafe)["ID-FILES-1"]
    assert finding.verdict == "fail"
    assert "pytorch_model.bin, optimizer.pt" in finding.reason


def test_code_of_the_models_own_is_named_and_was_not_run(inspection: Inspection) -> None:
    custom = with_facts(inspection, remote_code=("auto_map in config.json", "modeling_x.py"))
    finding = judged(custom)["ID-CODE-1"]
    assert finding.verdict == "fail"
    assert "which was not run: auto_map in config.json, modeling_x.py" in finding.reason


@pytest.mark.parametrize(
    ("licence", "verdict"),
    [
        ("apache-2.0", "pass"),
        ("Apache-2.0", "pass"),
        ("mit", "pass"),
        ("cc-by-nc-4.0", "inconclusive"),
        ("llama3", "inconclusive"),
    ],
)
def test_a_licence_is_open_where_the_osi_says_so(
    inspection: Inspection, licence: str, verdict: str
) -> None:
    stated = with_facts(inspection, licence=licence, licence_source="README.md")
    findings = judged(stated)
    assert findings["ID-LICENCE-1"].verdict == "pass"
    assert findings["ID-LICENCE-1"].reason == f"{licence}, by README.md."
    assert findings["ID-OPEN-1"].verdict == verdict
    assert licence in findings["ID-OPEN-1"].reason


def test_the_files_are_those_that_were_read(inspection: Inspection) -> None:
    frame = files(inspection).frame()
    assert list(frame.columns) == ["name", "bytes", "sha256"]
    assert set(frame["name"]) >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert frame["sha256"].str.fullmatch("[0-9a-f]{64}").all()


def answers(inspection: Inspection) -> dict[str, str]:
    frame = openness(inspection).frame()
    return dict(zip(frame["component"], frame["answer"], strict=True))


def test_openness_is_told_by_the_frameworks_components(inspection: Inspection) -> None:
    found = openness(inspection)
    frame = found.frame()
    assert list(frame.columns) == ["component", "mof_class", "answer", "evidence"]
    assert len(frame) == 17
    assert found.provenance["chat_template"] is False
    assert found.provenance["licence"] is None


def test_what_files_cannot_answer_is_not_assessed(inspection: Inspection) -> None:
    found = answers(inspection)
    assert found["model card"] == "none found"
    assert found["model architecture"] == "present"
    assert found["final model parameters"] == "present"
    for component in ("datasets", "training code", "evaluation results"):
        assert found[component] == "not assessed"


def test_a_card_with_a_licence_is_found(gpt2_directory: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(gpt2_directory, tmp_path / "model"))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    assert openness(inspect(folder)).provenance["licence"] == "mit"
    assert answers(inspect(folder))["model card"] == "present"
    assert judged(inspect(folder))["ID-OPEN-1"].verdict == "pass"
