"""The section notebooks as they are committed, and run by hand."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING, Any

import nbformat
import papermill
import pytest

from workbench import resources
from workbench.audit.definitions.definition import definition_names, load_definition
from workbench.audit.definitions.parameters import OWN_PARAMETERS
from workbench.evaluate.suites import load_suite, suite_names

if TYPE_CHECKING:
    from pathlib import Path

NOTEBOOKS = sorted(resources.notebooks().glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_every_section_of_every_suite_has_its_notebook() -> None:
    sections = {name for suite in suite_names() for name in load_suite(suite).sections}
    sections |= {name for audit in definition_names() for name in load_definition(audit).sections}
    assert {path.stem for path in NOTEBOOKS} == sections


@each
def test_it_is_a_valid_notebook(path: Path) -> None:
    nbformat.validate(read(path))


@each
def test_it_is_committed_without_outputs(path: Path) -> None:
    for cell in code(path):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert set(cell.metadata) <= {"tags"}


@each
def test_its_metadata_names_the_kernel_and_nothing_of_a_machine(path: Path) -> None:
    metadata = read(path).metadata
    assert metadata.kernelspec.name == "python3"
    assert set(metadata) <= {"kernelspec", "language_info"}
    assert "papermill" not in path.read_text()


@each
def test_it_begins_with_a_title(path: Path) -> None:
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")


@each
def test_its_parameters_are_found_and_are_literals(path: Path) -> None:
    tagged = [cell for cell in code(path) if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == code(path)[:1]
    found = papermill.inspect_notebook(str(path))
    defaults = {name: ast.literal_eval(entry["default"]) for name, entry in found.items()}
    assert defaults["run"] is None
    assert defaults["model"] == "organism:planted"
    # An audit hands these to every notebook; only the one without tasks has no limit.
    assert set(OWN_PARAMETERS) - set(defaults) <= {"limit"}


@each
def test_a_cell_fits_a_screen(path: Path) -> None:
    assert all(len(cell.source.splitlines()) <= 20 for cell in code(path))


def test_by_hand_it_shows_its_findings_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    output = tmp_path / "output.ipynb"
    papermill.execute_notebook(
        str(resources.notebooks() / "identity.ipynb"),
        str(output),
        kernel_name="python3",
        progress_bar=False,
    )
    assert not os.listdir(here)  # noqa: PTH208 - hidden files, too
    cells = [cell for cell in read(output).cells if cell.cell_type == "code"]
    assert all(cell.metadata.papermill.exception is False for cell in cells)
    assert not any(output.output_type == "stream" for cell in cells for output in cell.outputs)
    for check in load_suite().checks:
        if check.section == "identity":
            assert check.code in cells[-1].outputs[0].data["text/html"]
