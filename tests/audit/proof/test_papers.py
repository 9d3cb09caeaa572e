"""The papers of a run: each follows from the folder, and the manifest covers all the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st
from make_run import make_run
from small_run import save_scored, small_run

from workbench.audit.proof.bill_of_materials import write_bill_of_materials
from workbench.audit.proof.crate import write_crate
from workbench.audit.proof.manifest import verify_run, write_manifest
from workbench.audit.proof.model_card import write_model_card
from workbench.audit.records.evidence import read_run
from workbench.audit.records.folder import BOM, CARD, CRATE, MANIFEST, REPORT, SUMMARY
from workbench.audit.reviewing.checklist import answers
from workbench.audit.reviewing.openness import assess
from workbench.audit.running.finish import finish

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def contents(run: Path) -> dict[str, bytes]:
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("make", [small_run, make_run])
def test_they_are_written_again_byte_for_byte(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    run = make(tmp_path / "run")
    save_scored(run, "safety", "refusal")
    finish(run)
    before = contents(run)
    assert {SUMMARY, BOM, CARD, REPORT, CRATE, MANIFEST} <= set(before)
    finish(run)
    assert contents(run) == before


@pytest.mark.parametrize("make", [small_run, make_run])
def test_the_manifest_covers_all_others(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    run = make(tmp_path / "run")
    finish(run)
    assert verify_run(run) == []
    listed = {s["name"] for s in json.loads((run / MANIFEST).read_text())["subject"]}
    assert listed == set(contents(run)) - {MANIFEST}
    for name in (SUMMARY, BOM, CARD, REPORT, CRATE):
        path = run / name
        kept = path.read_bytes()
        path.write_bytes(kept + b" ")
        assert [(found.path, found.what) for found in verify_run(run)] == [(name, "changed")]
        path.write_bytes(kept)


@pytest.fixture(scope="module")
def altered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = small_run(tmp_path_factory.mktemp("altered") / "run")
    save_scored(run, "safety", "refusal", data={"refusal.jsonl": "ab" * 32})
    return run


RECORDS = (
    *("audit.json", "provenance.json", "status.json", "findings.json"),
    *("sections/bias/findings.json", "sections/bias/status.json"),
)
TEXT = st.text(st.characters(codec=None), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def with_another_value(draw: st.DataObject, content: Any) -> Any:
    """The content with any value in it replaced by any other."""
    places = list(content) if isinstance(content, dict) else range(len(content))
    if not places or draw.draw(st.booleans()):
        return draw.draw(VALUES)
    place = draw.draw(st.sampled_from(places))
    inner = content[place]
    changed = (
        with_another_value(draw, inner) if isinstance(inner, dict | list) else draw.draw(VALUES)
    )
    if isinstance(content, dict):
        return {**content, place: changed}
    return [*content[:place], changed, *content[place + 1 :]]


@settings(max_examples=100, deadline=None, database=None)
@given(data=st.data())
def test_whatever_a_record_says_every_paper_is_written_and_valid(
    altered: Path, data: st.DataObject
) -> None:
    path = altered / data.draw(st.sampled_from(RECORDS))
    before = path.read_bytes()
    content = json.loads(before)
    if path.name == "audit.json" and data.draw(st.booleans()):
        content["definition"] = with_another_value(data, content["definition"])
    else:
        content = with_another_value(data, content)
    if isinstance(content, dict) and isinstance(content.get("schema"), int | float):
        content["schema"] = 1  # a newer one is refused, and tested elsewhere
    path.write_text(json.dumps(content))
    try:
        evidence = read_run(altered)
        assert len(answers(evidence)) == 33
        assert assess(evidence).mof
        text = write_bill_of_materials(altered).read_text("utf-8")
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
        ModelCard.load(write_model_card(altered))
        json.loads(write_crate(altered).read_text("utf-8"))
        write_manifest(altered)
        assert verify_run(altered) == []
    finally:
        path.write_bytes(before)
