"""What an audit does, as data: an `audit.toml` chooses sections, tasks, limits and thresholds.

It stands on a set of questions in `evals/` (tasks, and checks with their usual thresholds), and
says what of them is asked, how much of it, and what counts as a failure. Everything that is not
said has a default that the run records.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from workbench import resources
from workbench.audit.definitions.definition_of_toml import fields_of
from workbench.audit.definitions.limits import NO_LIMITS, Limits
from workbench.audit.definitions.parameters import refusals, section_parameters
from workbench.audit.definitions.tables_of_toml import TomlTable, read_toml
from workbench.errors import InputError, InputErrors, did_you_mean
from workbench.evaluate.suites import DEFAULT_SUITE, Check, load_suite
from workbench.markup import visible
from workbench.provenance import Record, dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEFAULT_DEFINITION",
    "NO_LIMITS",
    "Definition",
    "DefinitionFile",
    "Limits",
    "definition_digest",
    "definition_names",
    "load_definition",
    "read_definition",
]

DEFAULT_DEFINITION = "standard"


class Definition(Record):
    """An audit, with every default filled in.

    Attributes:
        name: of the suite that ships, or the file's.
        questions: the folder of `evals/` that tasks and checks come from.
        model: to audit where none is named on the command line.
        sections: notebooks, in the order in which they run.
        tasks: section -> names of the tasks that it asks.
        parameters: of the notebooks, by name.
        checks: of these sections, with the thresholds and severities that hold.
        statements: what the auditor states of what no run can measure, by line of the checklist.
    """

    name: str
    title: str
    version: str
    description: str = ""
    questions: str = DEFAULT_SUITE
    model: str | None = None
    sections: tuple[str, ...]
    tasks: dict[str, tuple[str, ...]]
    parameters: dict[str, Any] = Field(default_factory=dict)
    limits: Limits = NO_LIMITS
    checks: tuple[Check, ...]
    statements: dict[str, str] = Field(default_factory=dict)

    def frozen(self) -> Definition:
        """The same as a run's `audit.json` holds it: numbers to ten digits, lists for tuples."""
        return Definition.model_validate_json(dump_json(self.model_dump(mode="json")))


@dataclass(frozen=True)
class DefinitionFile:
    """A definition, and what of it the file states.

    Attributes:
        stated: its keys, with those inside tables as `limits.items`; the rest are defaults.
    """

    path: Path
    definition: Definition
    stated: frozenset[str]


def definition_names() -> list[str]:
    """The suites that ship."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load_definition(name: str | Path = DEFAULT_DEFINITION) -> Definition:
    """The definition of that name, or in that TOML file.

    Raises:
        InputError: as `read_definition`.
    """
    return read_definition(name).definition


def definition_digest(definition: Definition | Mapping[str, Any]) -> str:
    """The SHA-256 of the frozen definition as JSON, which audits with equal definitions share.

    Args:
        definition: a record, or what a run's `audit.json` holds of it.
    """
    values = (
        definition.model_dump(mode="json") if isinstance(definition, Definition) else definition
    )
    return hashlib.sha256(dump_json(values).encode()).hexdigest()


def read_definition(name: str | Path = DEFAULT_DEFINITION) -> DefinitionFile:
    """The definition of that name, in that TOML file or a run's audit.json, and what it states.

    Raises:
        InputError: with everything that is wrong: unknown names and keys (with the closest), values
            of the wrong type, checks that nothing could answer.
    """
    path = Path(name)
    if path.suffix == ".json":
        return _of_run(path)
    if path.suffix != ".toml":
        path = _folder() / f"{name}.toml"
        if str(name) not in definition_names():
            raise InputError(
                f'There is no suite "{visible(str(name), 80)}". '
                f"{did_you_mean(str(name), definition_names())} A file of your own ends in .toml. "
                "A run's audit.json asks the same again."
            )
    content = read_toml(path)
    problems: list[str] = []
    fields = fields_of(TomlTable(content, problems))
    if fields is None or problems:
        raise _refusal(path, problems)
    # A file's name may hold bytes that are no text.
    definition = Definition(name=visible(path.stem, 100), **fields)
    stated = {
        f"{key}.{inner}" for key, table in content.items() if key in _TABLES for inner in table
    }
    return DefinitionFile(path, definition.frozen(), frozenset({*content, *stated}))


def _of_run(path: Path) -> DefinitionFile:
    """The definition that a run was frozen with, all of it stated."""
    try:
        content = json.loads(path.read_bytes())
        definition = Definition.model_validate_json(dump_json(content["definition"]))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not the audit.json of a run of this version.") from error
    load_suite(definition.questions)
    if problems := refusals(definition.parameters, section_parameters(definition.sections)):
        raise _refusal(path, [f'The parameter "{key}" {what}' for key, what in problems.items()])
    values = definition.model_dump()
    stated = {f"{table}.{key}" for table in _TABLES if table != "checks" for key in values[table]}
    return DefinitionFile(path, definition.frozen(), frozenset({*values, *stated}))


_TABLES = ("tasks", "limits", "parameters", "checks", "statements")


def _refusal(path: Path, problems: list[str]) -> InputError:
    if len(problems) == 1:
        return InputError(f"{path}: {problems[0]}")
    return InputErrors([f"{path}: {len(problems)} problems", *problems])


def _folder() -> Path:
    return resources.evals() / "audits"
