"""A definition as a TOML file that says everything: what was stated, and every default beside it.

The text is a definition itself: read again, it gives the same one.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from workbench.audit.definitions.checks_of_toml import BENCHMARKS, BY_CHOICE
from workbench.audit.definitions.definition import definition_digest
from workbench.audit.definitions.parameters import OWN_PARAMETERS, section_parameters
from workbench.markup import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workbench.audit.definitions.definition import Definition, DefinitionFile
    from workbench.audit.definitions.parameters import Parameter
    from workbench.evaluate.suites import Check

__all__ = ["definition_text", "open_parameters", "toml_value"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_DEFAULT = "default"


def definition_text(file: DefinitionFile) -> str:
    """The definition as TOML; a comment marks each default."""
    return "\n".join(_lines(file)) + "\n"


def open_parameters(definition: Definition) -> dict[str, Parameter]:
    """The parameters of its sections' notebooks that a definition may set."""
    known = section_parameters(definition.sections)
    return {name: one for name, one in known.items() if name not in OWN_PARAMETERS}


def toml_value(value: Any) -> str:
    """A JSON value as TOML writes it, in ASCII and whatever else is plainly seen.

    >>> toml_value({"a": [1, True, "b"]})
    '{ a = [1, true, "b"] }'
    """
    if isinstance(value, str):
        return '"' + "".join(map(_character, value)) + '"'
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(key)} = {toml_value(one)}" for key, one in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\u{code:04X}" if code < 1 << 16 else f"\\U{code:08X}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else toml_value(key)


def _lines(file: DefinitionFile) -> Iterator[str]:
    definition = file.definition
    yield f"# The suite {toml_value(definition.name)}, with every default."
    yield f"# SHA-256 of the definition: {definition_digest(definition)}"
    yield ""
    values = definition.model_dump(mode="json")
    for key in ("title", "version", "description", "questions", "model", "sections"):
        yield _line(key, values[key] or None, key in file.stated)
    yield from _table("tasks", values["tasks"], file)
    limits = {
        "memory" if key == "memory_bytes" else key: one for key, one in values["limits"].items()
    }
    yield from _table("limits", limits, file)
    yield from _parameters(file)
    for check in definition.checks:
        yield from _own_check(check) if check.section == BENCHMARKS else _usual_check(check)
    if definition.statements:
        yield from _table("statements", definition.statements, file)


def _table(name: str, values: Mapping[str, Any], file: DefinitionFile) -> Iterator[str]:
    yield from ("", f"[{name}]")
    for key, value in values.items():
        yield _line(key, value, f"{name}.{key}" in file.stated)


def _line(key: str, value: Any, stated: bool, note: str = "") -> str:  # noqa: FBT001 - read with its name
    """`key = value  # default`; what has no value is a comment."""
    notes = "; ".join(filter(None, ("" if stated else _DEFAULT, visible(note, None))))
    line = f"# {_key(key)} is not set" if value is None else f"{_key(key)} = {toml_value(value)}"
    return f"{line}  # {notes}" if notes else line


def _parameters(file: DefinitionFile) -> Iterator[str]:
    yield from ("", "[parameters]")
    stated = file.definition.parameters
    for name, parameter in open_parameters(file.definition).items():
        if name in stated:
            yield _line(name, stated[name], True, parameter.help)
        else:
            default = "None" if parameter.default is None else toml_value(parameter.default)
            yield f"# {_key(name)} = {default}  # {_DEFAULT}; {visible(parameter.help, None)}"


def _usual_check(check: Check) -> Iterator[str]:
    yield from ("", f"[checks.{_key(check.code)}]  # {visible(check.question, None)}")
    for key, value in (("threshold", check.threshold), ("severity", check.severity)):
        if value is None:
            continue
        side = f"fails {check.direction}, {check.unit}" if key == "threshold" else ""
        usual = f"usually {toml_value(check.usual[key])}" if key in check.usual else ""
        yield _line(key, value, key in check.usual, "; ".join(filter(None, (usual, side))))
    yield from _left_out(check)


def _own_check(check: Check) -> Iterator[str]:
    yield from ("", "[[check]]")
    shown = ("code", "question", "task", "metric", "group", "threshold", "direction", "severity")
    for key in (*shown, "unit", "rests_on"):
        value = getattr(check, key)
        if value not in {None, ""}:
            yield _line(key, value, True)
    yield from _left_out(check)


def _left_out(check: Check) -> Iterator[str]:
    if check.left_out == BY_CHOICE:
        yield "enabled = false"
    elif check.left_out is not None:
        yield f"# left out: {visible(check.left_out, None)}"
