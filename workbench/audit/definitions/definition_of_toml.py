"""The fields of an audit's definition, from a TOML file: names that exist, values that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from workbench.audit.definitions.checks_of_toml import BENCHMARKS, checks_of
from workbench.audit.definitions.limits import Limits, in_bytes, in_seconds
from workbench.audit.definitions.parameters import refusals, section_names, section_parameters
from workbench.errors import InputError, did_you_mean
from workbench.evaluate.benchmarks.catalogue import LM_EVAL, NAMES
from workbench.evaluate.suites import DEFAULT_SUITE, load_suite
from workbench.markup import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.audit.definitions.tables_of_toml import TomlTable
    from workbench.evaluate.suites import Suite

__all__ = ["fields_of"]

_Number = TypeVar("_Number", int, float)


def fields_of(file: TomlTable) -> dict[str, Any] | None:
    """The fields of the `Definition` in a file; None where it has no questions to stand on.

    What is wrong goes to the file's problems.
    """
    title, version = file.needed_text("title"), file.needed_text("version")
    description, model = file.text("description") or "", file.text("model")
    questions = file.text("questions") or DEFAULT_SUITE
    try:
        suite = load_suite(questions)
    except InputError as error:
        file.problem("questions", f"cannot be used: {error}")
        return None
    sections = _sections(file, suite)
    tasks = _tasks(file.table("tasks"), sections, suite)
    fields = {
        "title": title,
        "version": version,
        "description": description,
        "questions": questions,
        "model": model,
        "sections": sections,
        "tasks": tasks,
        "parameters": _parameters(file.table("parameters"), sections),
        "limits": _limits(file.table("limits")),
        "checks": checks_of(file, suite, sections, tasks),
        "statements": _statements(file.table("statements")),
    }
    file.close()
    return fields


def _sections(file: TomlTable, suite: Suite) -> tuple[str, ...]:
    """The sections in the order of the questions' own, in which one may build on another."""
    chosen = file.texts("sections")
    if chosen is None:
        return suite.sections
    known = section_names()
    for name in chosen:
        if name not in known:
            file.problem(
                "sections",
                f'names "{visible(name, 80)}", which is none. {did_you_mean(name, known)}',
            )
    chosen = tuple(name for name in chosen if name in known)
    first = [name for name in suite.sections if name in chosen]
    return (*first, *(name for name in chosen if name not in first))


def _tasks(table: TomlTable, sections: tuple[str, ...], suite: Suite) -> dict[str, tuple[str, ...]]:
    """Section -> the tasks that it asks: those listed, or else all that the questions give it."""
    tasks = {name: suite.tasks[name] for name in sections if name in suite.tasks}
    for section in sections:
        known = suite.tasks.get(section, ())
        if section == BENCHMARKS:
            known = (*suite.task_names(), *NAMES)
        elif not known:
            continue
        listed = table.texts(section)
        for name in listed or ():
            bare = name.removeprefix(LM_EVAL)
            if name in known or (section == BENCHMARKS and bare != name and bare not in known):
                continue
            more = f" A task of lm-eval's own is written {LM_EVAL}NAME." * (section == BENCHMARKS)
            table.problem(
                section,
                f'names "{visible(name, 80)}", which is no task of it. '
                f"{did_you_mean(name, known)}{more}",
            )
        if listed is not None:
            tasks[section] = listed
    if BENCHMARKS in sections and BENCHMARKS not in table.values:
        table.problem(BENCHMARKS, "is missing: the section asks what is listed there.")
    table.close()
    return tasks


def _parameters(table: TomlTable, sections: Iterable[str]) -> dict[str, Any]:
    """The parameters, each of which one of the sections' notebooks must have."""
    for name, reason in refusals(table.values, section_parameters(sections)).items():
        table.problem(name, reason)
    return dict(table.values)


def _limits(table: TomlTable) -> Limits:
    items = table.integer("items")
    seconds = _quantity(table, "section_seconds", in_seconds)
    memory = _quantity(table, "memory", in_bytes)
    table.close()
    return Limits(items=items, section_seconds=seconds, memory_bytes=memory)


def _quantity(table: TomlTable, key: str, read: Callable[[str], _Number]) -> _Number | None:
    """A quantity as a number or as a text with its unit."""
    given = table.values.get(key)
    text = table.text(key) if isinstance(given, str) else table.number(key)
    if text is None:
        return None
    try:
        return read(str(text))
    except InputError as error:
        table.problem(key, str(error))
        return None


def _statements(table: TomlTable) -> dict[str, str]:
    from workbench.audit.definitions.checklist_lines import KEYS

    statements = {key: table.text(key) for key in KEYS}
    table.close()
    return {key: text for key, text in statements.items() if text is not None}
