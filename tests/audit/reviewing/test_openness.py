from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from small_run import small_run

from workbench.audit.records.evidence import read_run
from workbench.audit.reviewing.openness import MOF, Openness, Release, assess, components

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("README.md", "config.json", "model-1.safetensors", "model-2.safetensors")


def release(
    *there: str, licence: str | None = "apache-2.0", files: tuple[str, ...] = FILES
) -> Release:
    stated = "\n".join(f"{name}: in the repository" for name in there)
    return Release(files, "LlamaForCausalLM", licence, {"openness": stated} if there else {})


def answers(found: Release) -> dict[str, str]:
    return {component.name: component.answer for component in components(found)}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def assessed(run: Path, statements: dict[str, Any] | None = None, **model: Any) -> Openness:
    """The run's openness after a change of its model's record and of the statements."""
    files = [{"name": name, "bytes": 1, "sha256": "ab" * 32} for name in FILES]
    record = json.loads((run / "provenance.json").read_text())
    record["model"] = {**record["model"], "files": files, **model}
    (run / "provenance.json").write_text(json.dumps(record))
    audit = json.loads((run / "audit.json").read_text())
    audit["definition"]["statements"] = statements or {}
    (run / "audit.json").write_text(json.dumps(audit))
    return assess(read_run(run))


def freedoms(found: Openness) -> dict[str, str]:
    return {freedom.name: freedom.answer for freedom in found.freedoms}


# The components.


def test_there_are_the_frameworks_seventeen_components() -> None:
    """Required by class as in lfai/model_openness_tool, `mof.settings.yml`; three are optional."""
    assert [len(names) for names in MOF.values()] == [6, 4, 4]
    assert len(answers(release())) == 17


def test_files_answer_for_weights_architecture_and_card_alone() -> None:
    found = answers(release())
    present = {name for name, answer in found.items() if answer == "present"}
    assert present == {
        "final model parameters",
        "model architecture",
        "inference code",
        "model card",
    }
    assert {answer for name, answer in found.items() if name not in present} == {"not assessed"}


def test_a_card_that_is_not_there_is_not_found() -> None:
    assert answers(release(files=FILES[1:]))["model card"] == "none found"


def test_without_files_nothing_is_known() -> None:
    assert set(answers(Release((), None, None, {})).values()) == {"not assessed"}


def test_a_component_is_stated_line_by_line() -> None:
    statement = "Trained openly.\n- Training code: github\n* DATA CARD : there\nmodel card:\n"
    found = {
        component.name: component
        for component in components(Release(FILES, None, None, {"openness": statement}))
    }
    assert found["training code"].answer == "stated by the auditor"
    assert found["training code"].evidence == "github"
    assert found["data card"].answer == "stated by the auditor"
    # What is seen is not downgraded by what is said of it.
    assert found["model card"].answer == "present"


def test_a_card_elsewhere_can_be_stated() -> None:
    found = answers(release("model card", files=FILES[1:]))
    assert found["model card"] == "stated by the auditor"


# The class.


@pytest.mark.parametrize(
    ("levels", "reached"), [(["III"], "III"), (["III", "II"], "II"), (["III", "II", "I"], "I")]
)
def test_a_class_needs_all_its_components_and_those_before(
    run: Path, levels: list[str], reached: str
) -> None:
    names = [name for level in levels for name in MOF[level]]
    stated = "\n".join(f"{name}: there" for name in names)
    found = assessed(run, {"openness": stated})
    assert found.mof == reached
    assert "It rests on what the auditor states of: technical report" in found.reason
    for missing in MOF[reached]:
        without = stated.replace(f"{missing}: there", "")
        lower = assessed(run, {"openness": without}).mof
        seen = missing in {
            "model architecture",
            "final model parameters",
            "model card",
            "inference code",
        }
        assert (lower == reached) == seen, missing


def test_what_is_missing_is_said(run: Path) -> None:
    found = assessed(run)
    assert found.mof == "not classified"
    assert found.reason == (
        "Class III also asks for: technical report, evaluation results, data card."
    )


@pytest.mark.parametrize("licence", [None, "llama3", "cc-by-nc-4.0", "found, not recognised"])
def test_no_class_without_an_open_licence(run: Path, licence: str | None) -> None:
    stated = {"openness": "\n".join(f"{name}: there" for names in MOF.values() for name in names)}
    found = assessed(run, stated, licence=licence)
    assert found.mof == "not classified"
    assert found.reason.startswith("No open licence was found.")


# The freedoms.


def test_an_approved_licence_grants_use_and_sharing(run: Path) -> None:
    found = assessed(run, licence="MIT")
    assert freedoms(found) == {
        "use": "granted",
        "study": "in part",
        "modify": "in part",
        "share": "granted",
    }
    assert "this is not assessed: data information, code" in found.freedoms[1].reason


def test_with_data_information_and_code_all_are_granted(run: Path) -> None:
    stated = {"training_data": "Listed in the paper.", "openness": "training code: github"}
    found = assessed(run, stated)
    assert set(freedoms(found).values()) == {"granted"}
    assert "It rests on what the auditor states." in found.freedoms[1].reason
    assert [part.answer for part in found.preferred_form] == [
        "stated by the auditor",
        "stated by the auditor",
        "present",
    ]


@pytest.mark.parametrize(
    ("licence", "why"),
    [
        ("cc-by-nc-4.0", "not for commercial use"),
        ("llama3.1", "excludes? some uses and some users"),
        ("gemma", "its terms exclude some uses"),
        ("openrail", "its terms exclude some uses"),
    ],
)
def test_a_licence_that_keeps_something_back_is_not_free(run: Path, licence: str, why: str) -> None:
    found = assessed(run, licence=licence)
    assert freedoms(found) == {
        "use": "not granted",
        "study": "not granted",
        "modify": "not granted",
        "share": "in part",
    }
    assert why.replace("excludes?", "its terms exclude") in found.freedoms[0].reason


@pytest.mark.parametrize("licence", [None, "cc-by-4.0", "found, not recognised"])
def test_an_unknown_licence_is_not_assessed(run: Path, licence: str | None) -> None:
    assert set(freedoms(assessed(run, licence=licence)).values()) == {"not assessed"}


def test_a_run_without_provenance_is_not_assessed(run: Path) -> None:
    (run / "provenance.json").unlink()
    found = assess(read_run(run))
    assert set(freedoms(found).values()) == {"not assessed"}
    assert {component.answer for component in found.components} == {"not assessed"}
    assert found.mof == "not classified"
