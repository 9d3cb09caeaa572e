"""`import workbench` is light, and each public name is there when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import workbench
from workbench import interpret

HEAVY = {"torch", "transformers", "transformer_lens", "pandas", "numpy", "plotly", "pydantic"}


def test_importing_imports_nothing_heavy() -> None:
    program = "import sys, workbench; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not HEAVY & set(said.stdout.split())


@pytest.mark.parametrize("name", workbench.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(workbench, name).__name__ == name
    assert name in dir(workbench)


@pytest.mark.parametrize("name", interpret.__all__)
def test_each_method_is_there(name: str) -> None:
    assert getattr(interpret, name).__name__ == name
    assert name in dir(interpret)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = workbench.nothing
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = interpret.nothing
