"""What differs between two runs besides their answers: definition, parameters, model, machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.markup import cell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workbench.audit.records.evidence import Evidence

__all__ = ["FactChange", "changed_checks", "changed_facts"]

ASKED = (
    *("threshold", "direction", "unit", "question", "section"),
    *("task", "metric", "group", "rests_on"),
)
"""Fields of a check that say what is asked, and how it is judged; its severity is neither."""

ABSENT = "absent"
_FILES = ("bytes", "sha256")
_APART = {"checks", "name", "version"}
_SAID = {"model", "suite"}
"""Parameters that stand elsewhere, as what they came to."""


@dataclass(frozen=True)
class FactChange:
    """One thing that differs.

    Attributes:
        group: `checks`, `definition`, `parameters`, `model`, `model files`, `packages`, `machine`,
            `workbench` or `sections`.
        name: of the thing.
        first, second: its values as text, `absent` where a run has none.
    """

    group: str
    name: str
    first: str
    second: str


def changed_checks(first: Evidence, second: Evidence) -> dict[str, str]:
    """What of a check's definition differs, for each check that both runs define; often nothing."""
    before = {check.code: check.model_dump() for check in first.checks}
    return {
        check.code: "; ".join(
            f"{name} {_said(before[check.code].get(name))}, then {_said(after.get(name))}"
            for after in (check.model_dump(),)
            for name in ASKED
            if before[check.code].get(name) != after.get(name)
        )
        for check in second.checks
        if check.code in before
    }


def changed_facts(first: Evidence, second: Evidence) -> Iterator[FactChange]:
    """Everything that differs besides the findings, and what differs in any two runs (time, id)."""
    codes = {check.code for check in first.checks} & {check.code for check in second.checks}
    before, after = _groups(first, codes), _groups(second, codes)
    groups = zip(before.items(), after.values(), strict=True)
    for (group, one), other in groups:
        for name in dict.fromkeys([*one, *other]):
            value, then = one.get(name, ABSENT), other.get(name, ABSENT)
            if value != then:
                yield FactChange(group, name, _text(value), _text(then))


def _groups(run: Evidence, codes: set[str]) -> dict[str, dict[str, Any]]:
    """Group -> name -> value; of the checks those with these codes."""
    model = dict(run.recorded_model)
    files = model.pop("files", None)
    packages = run.provenance.get("packages") or model.get("packages")
    model.pop("packages", None)
    asked = dict(_flat({**run.defaulted, **run.from_suite, **run.passed}))
    model.pop("source", None)
    definition = {key: value for key, value in run.definition.items() if key not in _APART}
    return {
        "checks": {
            f"{check.code}: {name}": value
            for check in run.checks
            if check.code in codes
            for name, value in check.model_dump().items()
            if name in {*ASKED, "severity"} and value is not None
        },
        "definition": {"suite": f"{run.suite} {run.definition.get('version', '')}".strip()}
        | dict(_flat(definition)),
        "parameters": {name: value for name, value in asked.items() if name not in _SAID},
        "model": {"asked for": run.model, **dict(_flat(model))},
        "model files": dict(_file(entry) for entry in files if isinstance(entry, dict))
        if isinstance(files, list)
        else {},
        "packages": dict(_flat(packages)) if isinstance(packages, dict) else {},
        "machine": dict(_flat(run.provenance.get("host"))),
        "workbench": {"version": run.version, **dict(_flat(run.provenance.get("code")))},
        "sections": {section.name: section.state for section in run.sections},
    }


def _file(entry: Mapping[str, Any]) -> tuple[str, str]:
    size, digest = (entry.get(name) for name in _FILES)
    return str(entry.get("name")), f"SHA-256 {digest}, {size} bytes"


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings; lists are leaves."""
    for key, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    return cell(value) if isinstance(value, (bool, float)) else str(value)


def _said(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else f'"{value}"'
