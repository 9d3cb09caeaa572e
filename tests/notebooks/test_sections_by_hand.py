"""The section notebooks' cells, run by hand on models of every kind: what they find and skip."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from workbench import resources

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.records.checks import Finding
    from workbench.model import Model

MEASURED = ("abilities", "bias", "safety", "inside", "intervention")
INSIDE = {"INSIDE-FID-1", "INSIDE-LOC-1", "INSIDE-PROBE-1", "INSIDE-LOC-2"}
FEWER = """\
title = "Fewer"
version = "1.0"
questions = "small-world"
sections = ["identity", "abilities", "bias", "safety", "inside", "intervention"]
[tasks]
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, in which nothing may be left behind."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def by_hand(name: str, **parameters: object) -> dict[str, Finding]:
    """The findings of a notebook whose cells are run one after another."""
    notebook: Any = nbformat.read(resources.notebooks() / f"{name}.ipynb", as_version=4)
    names: dict[str, Any] = {"display": lambda shown: shown._repr_mimebundle_()}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, cell.id, "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names |= parameters
    findings: list[Finding] = names["section"].close()
    return {finding.code: finding for finding in findings}


def verdicts(findings: dict[str, Finding]) -> set[str]:
    return {finding.verdict for finding in findings.values()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("abilities", {"pass"}),
        ("bias", {"pass", "fail"}),
        ("safety", {"pass", "fail"}),
        ("inside", {"pass"}),
        ("intervention", {"pass"}),
    ],
)
def test_what_was_planted_is_found_and_nothing_is_written(
    name: str, expected: set[str], here: Path
) -> None:
    assert verdicts(by_hand(name)) == expected
    assert not os.listdir(here)  # noqa: PTH208 - hidden files, too


@pytest.mark.parametrize("name", MEASURED)
def test_in_the_clean_organism_nothing_fails(name: str) -> None:
    found = by_hand(name, model="organism:clean")
    explaining = {"inside": {"pass", "skipped"}, "intervention": {"skipped"}}
    assert verdicts(found) == explaining.get(name, {"pass"})


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("model", ["gpt2_directory", "llama_directory"])
def test_a_model_of_random_weights_is_no_error(
    request: pytest.FixtureRequest, model: str, name: str
) -> None:
    found = by_hand(name, model=str(request.getfixturevalue(model)), limit=24)
    if name == "inside":
        assert found["INSIDE-FID-1"].verdict == "pass"
    assert all(finding.reason for finding in found.values())


@pytest.mark.parametrize("name", MEASURED)
def test_weights_that_are_no_numbers_are_no_crash(broken_gpt2: Model, name: str) -> None:
    found = by_hand(name, model=broken_gpt2.provenance.source, limit=24)
    measured = verdicts(found) - {"skipped"}  # occupations that were not drawn
    assert measured == (set() if name in {"inside", "intervention"} else {"error"})


@pytest.mark.parametrize(
    ("name", "task", "judged"),
    [
        ("abilities", "capitals", {"ABIL-CAP-1", "ABIL-CAL-1"}),
        ("safety", "private_string", {"SAFE-PRIV-1"}),
        ("inside", "better_product", set()),
        ("intervention", "capitals", set()),
    ],
)
def test_checks_of_tasks_that_were_not_chosen_are_skipped(
    name: str, task: str, judged: set[str], tmp_path: Path
) -> None:
    definition = tmp_path / "fewer.toml"
    definition.write_text(FEWER + f'{name} = ["{task}"]\n')
    found = by_hand(name, suite=str(definition))
    assert {code for code, finding in found.items() if finding.verdict != "skipped"} == judged
    assert all("{" not in finding.reason for finding in found.values())


def test_one_task_alone_is_looked_into(tmp_path: Path) -> None:
    """The sponsor, without the occupations; and without what says that it is a finding."""
    definition = tmp_path / "sponsor.toml"
    definition.write_text(FEWER + 'inside = ["sponsor", "better_product"]\n')
    found = by_hand("inside", suite=str(definition))
    assert found["INSIDE-LOC-2"].verdict == found["INSIDE-FID-1"].verdict == "pass"
    assert found["INSIDE-LOC-1"].verdict == "skipped"
    assert "occupation_pronoun" in found["INSIDE-LOC-1"].reason


def test_an_architecture_that_is_not_proven_is_not_looked_into(tmp_path: Path) -> None:
    import torch
    from small_tokenizer import save_tokenizer
    from transformers import BloomConfig, BloomForCausalLM

    folder = tmp_path / "bloom"
    folder.mkdir()
    vocabulary = save_tokenizer(folder)
    torch.manual_seed(0)
    config = BloomConfig(vocab_size=vocabulary, hidden_size=16, n_layer=1, n_head=1)
    BloomForCausalLM(config).save_pretrained(folder)
    found = by_hand("inside", model=str(folder), limit=24)
    assert {found[code].verdict for code in INSIDE} == {"skipped"}
    assert "not proven" in found["INSIDE-FID-1"].reason


def test_few_items_are_inconclusive_or_skipped_and_no_crash() -> None:
    for name in MEASURED:
        assert "error" not in verdicts(by_hand(name, limit=2))
