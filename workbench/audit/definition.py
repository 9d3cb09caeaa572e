"""What an audit does, as data: an `audit.toml` chooses sections, tasks, limits and thresholds.

It stands on a set of questions in `evals/` (tasks, and checks with their usual thresholds), and
says what of them is asked, how much of it, and what counts as a failure. Everything that is not
said has a default that the run records.
"""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import Field

from workbench import resources
from workbench.errors import InputError, did_you_mean
from workbench.evaluate.suites import DEFAULT_SUITE, Check, load_suite
from workbench.provenance import Record

__all__ = [
    "DEFAULT_DEFINITION",
    "NO_LIMITS",
    "Definition",
    "Limits",
    "definition_names",
    "load_definition",
]

DEFAULT_DEFINITION = "standard"


class Limits(Record):
    """How much an audit may take.

    Attributes:
        items: of each task, drawn at random in whole clusters; None for all.
        section_seconds: for one section; None for no limit.
        memory_bytes: of the kernel's process; None for no limit.
    """

    items: int | None = Field(None, ge=1)
    section_seconds: float | None = Field(None, gt=0)
    memory_bytes: int | None = Field(None, gt=0)


NO_LIMITS = Limits()


class Definition(Record):
    """An audit, with every default filled in.

    Attributes:
        name: of the suite that ships, or the file's.
        questions: the folder of `evals/` that tasks and checks come from.
        model: to audit where none is named on the command line.
        sections: notebooks, in order.
        tasks: section -> names of the tasks that it asks.
        parameters: of the notebooks, by name.
        checks: with the thresholds and severities that hold.
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


def definition_names() -> list[str]:
    """The suites that ship."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load_definition(name: str | Path = DEFAULT_DEFINITION) -> Definition:
    """The definition of that name, or in that TOML file.

    Raises:
        InputError: for an unknown name or key (with the closest), or a value of the wrong type.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = _folder() / f"{name}.toml"
        if str(name) not in definition_names():
            raise InputError(
                f'There is no suite "{name}". {did_you_mean(str(name), definition_names())} '
                "A file of your own ends in .toml."
            )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as TOML: {error}") from error
    suite = load_suite(content.get("questions", DEFAULT_SUITE))
    changes = content.pop("checks", {})
    sections = tuple(content.pop("sections", suite.sections))
    checks = [
        check.model_copy(
            update={
                key: value
                for pattern, entry in changes.items()
                if fnmatchcase(check.code, pattern)
                for key, value in entry.items()
            }
        )
        for check in suite.checks
        if check.section in sections
    ]
    tasks = {**suite.tasks, **content.pop("tasks", {})}
    return Definition(
        name=path.stem,
        sections=sections,
        checks=tuple(checks),
        tasks=tasks,
        **content,
    )


def _folder() -> Path:
    return resources.evals() / "audits"
