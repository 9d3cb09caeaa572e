"""The parameters of the section notebooks: their names, types and defaults, and what fits them."""

from __future__ import annotations

import ast
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench import resources
from workbench.errors import InputError, did_you_mean
from workbench.markup import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = [
    "OWN_PARAMETERS",
    "Parameter",
    "notebook_parameters",
    "refusals",
    "section_names",
    "section_notebook",
    "section_parameters",
]

# What the audit itself hands to every notebook: these have options of their own.
OWN_PARAMETERS = {
    "model": "the argument MODEL",
    "suite": "--suite",
    "run": "--out",
    "limit": "--limit",
    "device": "--device",
    "dtype": "--dtype",
    "allow_pickle": "--allow-pickle",
    "offline": "--offline",
}

# As papermill reads them: `few_shot = None  # type: int examples before each item`.
_COMMENT = re.compile(r"\s*#\s*(?:type:\s*(?P<type>\w+)[;,]?\s*)?(?P<help>.*)")
_LARGEST = 2**63
_TYPES = {kind.__name__: kind for kind in (bool, int, float, str, list, dict)}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a notebook.

    Attributes:
        default: as the notebook has it.
        type: that a value must have; None where any will do.
        help: the comment beside it.
    """

    name: str
    default: Any
    type: type | None
    help: str


def section_names() -> list[str]:
    """The sections that there are: each is a notebook."""
    return sorted(path.stem for path in resources.notebooks().glob("*.ipynb"))


def section_notebook(section: str) -> Path:
    """The notebook of a section. No other file is ever run, whatever a definition names.

    Raises:
        InputError: for an unknown section, with the closest name.
    """
    known = section_names()
    if section not in known:
        raise InputError(
            f'There is no section "{visible(section, 80)}". {did_you_mean(section, known)}'
        )
    return resources.notebooks() / f"{section}.ipynb"


def section_parameters(sections: Iterable[str]) -> dict[str, Parameter]:
    """The parameters of the sections' notebooks, by name.

    Raises:
        InputError: for an unknown section, or a notebook that cannot be read.
    """
    known: dict[str, Parameter] = {}
    for section in sections:
        known |= notebook_parameters(section_notebook(section))
    return known


def notebook_parameters(path: Path) -> dict[str, Parameter]:
    """The parameters in the notebook's cell tagged `parameters`, by name.

    Raises:
        InputError: for a notebook that cannot be read, or parameters that are not literals.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
        source = "".join(tagged[0]["source"]) if tagged else ""
        return {one.name: one for one in _assigned(source)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        raise InputError(f"{path}: its parameters cannot be read ({error}).") from error


def _assigned(source: str) -> Iterable[Parameter]:
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        rest = lines[(node.end_lineno or 1) - 1].encode()[node.end_col_offset :].decode()
        comment = _COMMENT.match(rest)
        stated, text = (comment["type"], comment["help"]) if comment else (None, "")
        default = ast.literal_eval(node.value)
        kind = _TYPES.get(stated or "") if default is None else type(default)
        yield Parameter(node.targets[0].id, default, kind, text.strip())


def refusals(given: Mapping[str, Any], known: Mapping[str, Parameter]) -> dict[str, str]:
    """Name -> what is wrong with it (`is set by --limit.`), of those that cannot be given so."""
    found = {name: _refused(name, value, known) for name, value in given.items()}
    return {name: reason for name, reason in found.items() if reason is not None}


def _refused(name: str, value: Any, known: Mapping[str, Parameter]) -> str | None:
    if name in OWN_PARAMETERS:
        return f"is set by {OWN_PARAMETERS[name]}."
    if name not in known:
        open_to_all = [key for key in known if key not in OWN_PARAMETERS]
        return f"is known to no section. {did_you_mean(name, open_to_all)}"
    parameter = known[name]
    if value is None and parameter.default is None:
        return None
    if parameter.type is None:
        expected, fits = "a finite number, text, true, false, list or table", _is_json(value)
    else:
        expected, fits = parameter.type.__name__, _is_a(value, parameter.type) and _is_json(value)
    said = visible(repr(value), 80)
    return (
        None if fits else f"is {said}; expected {expected}, as its default {parameter.default!r}."
    )


def _is_json(value: Any) -> bool:
    """Whether JSON can hold it, also for readers that count in 64 bits."""
    if isinstance(value, dict | list):
        return all(map(_is_json, value.values() if isinstance(value, dict) else value))
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | bool) or (isinstance(value, int) and abs(value) < _LARGEST)


def _is_a(value: Any, expected: type) -> bool:
    if isinstance(value, bool):  # which Python counts among the integers
        return expected is bool
    if expected is float:
        return isinstance(value, (int, float)) and math.isfinite(value)
    return isinstance(value, expected)
