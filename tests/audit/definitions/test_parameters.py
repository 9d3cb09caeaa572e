"""The parameters of section notebooks, read without running anything."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import nbformat
import papermill
import pytest

from workbench import resources
from workbench.audit.definitions.parameters import Parameter, notebook_parameters, refusals
from workbench.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

v4: Any = nbformat.v4


def written(path: Path, source: str, *, tags: tuple[str, ...] = ("parameters",)) -> Path:
    cell = v4.new_code_cell(source, metadata={"tags": list(tags)})
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell("# Title"), cell]), path)
    return path


def test_names_defaults_types_and_help_are_read(tmp_path: Path) -> None:
    source = (
        "share = -0.5  # of the whole\n"
        'word = "# no = comment"\n'
        "yes = True\n"
        "few = [1,\n       2]  # in two lines\n"
        "data = None  # type: str folder with files\n"
        "anything = None\n"
        "# a remark\n"
    )
    found = notebook_parameters(written(tmp_path / "one.ipynb", source))
    assert list(found.values()) == [
        Parameter("share", -0.5, float, "of the whole"),
        Parameter("word", "# no = comment", str, ""),
        Parameter("yes", True, bool, ""),
        Parameter("few", [1, 2], list, "in two lines"),
        Parameter("data", None, str, "folder with files"),
        Parameter("anything", None, None, ""),
    ]


@pytest.mark.parametrize("path", sorted(resources.notebooks().glob("*.ipynb")), ids=str)
def test_they_are_those_that_papermill_finds(path: Path) -> None:
    theirs = papermill.inspect_notebook(str(path))
    ours = notebook_parameters(path)
    assert {name: ast.literal_eval(one["default"]) for name, one in theirs.items()} == {
        name: one.default for name, one in ours.items()
    }
    assert {name: one["help"] for name, one in theirs.items()} == {
        name: one.help for name, one in ours.items()
    }


def test_a_notebook_without_such_a_cell_has_none(tmp_path: Path) -> None:
    assert notebook_parameters(written(tmp_path / "one.ipynb", "a = 1", tags=())) == {}


@pytest.mark.parametrize("source", ["a = open('x')", "a = (", "a = b"])
def test_parameters_that_are_no_literals_are_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError, match=r"one\.ipynb: its parameters cannot be read"):
        notebook_parameters(written(tmp_path / "one.ipynb", source))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cells": [3]}', "\xff"])
def test_no_notebook_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "one.ipynb").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match="cannot be read"):
        notebook_parameters(tmp_path / "one.ipynb")


KNOWN = {
    name: Parameter(name, default, kind, "")
    for name, default, kind in (
        ("pairs", 12, int),
        ("share", 0.5, float),
        ("word", "a", str),
        ("yes", True, bool),
        ("words", ["a"], list),
        ("folder", None, str),
        ("anything", None, None),
        ("limit", None, None),
    )
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pairs", 4),
        ("share", 0.25),
        ("share", 1),
        ("word", "b"),
        ("yes", False),
        ("words", []),
        ("folder", None),
        ("folder", "here"),
        ("anything", 3),
        ("anything", {"deep": [1, "two"]}),
        ("anything", None),
    ],
)
def test_a_fitting_value_is_not_refused(name: str, value: object) -> None:
    assert refusals({name: value}, KNOWN) == {}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("pairs", "4", "is '4'; expected int, as its default 12."),
        ("pairs", 4.5, "expected int"),
        ("pairs", True, "expected int"),
        ("pairs", None, "expected int"),
        ("pairs", 1 << 64, "expected int"),
        ("share", "0.5", "expected float"),
        ("share", float("nan"), "expected float"),
        ("share", float("inf"), "expected float"),
        ("share", True, "expected float"),
        ("word", 1, "expected str"),
        ("yes", 1, "expected bool"),
        ("words", "a", "expected list"),
        ("words", [float("nan")], "expected list"),
        ("folder", 3, "expected str, as its default None"),
        ("anything", {1, 2}, "expected a finite number, text"),
        ("anything", [[float("inf")]], "expected a finite number, text"),
        ("limit", 3, "is set by --limit."),
        ("pars", 3, 'is known to no section. Did you mean "pairs"?'),
        ("zzzzzzz", 3, "Known: anything, folder, pairs, share, word, words, yes."),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: object, said: str) -> None:
    assert said in refusals({name: value}, KNOWN)[name]
