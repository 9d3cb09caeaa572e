"""What a run folder holds, read for the report: what is missing or broken is said, never fatal."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from workbench.audit.records.checks import Check, Finding
from workbench.audit.records.exhibits import Exhibit
from workbench.audit.records.folder import (
    AUDIT,
    EXHIBITS,
    FINDINGS,
    NOTEBOOK,
    PROVENANCE,
    SCHEMA,
    STATUS,
    section_folder,
)
from workbench.errors import InputError
from workbench.markup import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["STATES", "Evidence", "SectionEvidence", "inside", "read_run"]

STATES = ("complete", "failed", "killed", "timed out", "interrupted", "not started", "running")
UNKNOWN = "unknown"
ENDED = "The audit's own process ended without a word while this section ran."

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MAX_BYTES = 256 << 20

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class SectionEvidence:
    """What one section left behind.

    Attributes:
        state: one of `STATES`, or `unknown` where `status.json` does not say.
        notebook: the executed notebook as JSON; None where there is none.
        problems: what is missing or cannot be read, in sentences.
    """

    name: str
    state: str
    reason: str
    seconds: float | None
    cells_run: int | None
    cells_total: int | None
    findings: tuple[Finding, ...]
    notebook: dict[str, Any] | None
    problems: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether it ran to its end and left everything that it should."""
        return self.state == "complete" and not self.problems


@dataclass(frozen=True)
class Evidence:
    """What a whole run left behind.

    Attributes:
        folder: the run's own.
        definition: the audit as it was asked for, by the names of `Definition`.
        findings: those of the run's own `findings.json`, and what else the sections found.
        exhibits: the tables that show them, of all sections.
        unanswered: planned checks without any finding.
    """

    folder: Path
    run_id: str
    model: str
    created: str
    version: str
    command: tuple[str, ...]
    passed: dict[str, Any]
    defaulted: dict[str, Any]
    definition: dict[str, Any]
    checks: tuple[Check, ...]
    provenance: dict[str, Any]
    state: str
    attempts: tuple[dict[str, Any], ...]
    sections: tuple[SectionEvidence, ...]
    findings: tuple[Finding, ...]
    exhibits: tuple[Exhibit, ...]
    unanswered: tuple[Check, ...]
    problems: tuple[str, ...]
    from_suite: dict[str, Any] = field(default_factory=dict)

    @property
    def suite(self) -> str:
        """Name of the audit's definition."""
        return str(self.definition.get("name", ""))

    @property
    def recorded_model(self) -> dict[str, Any]:
        """What `provenance.json` says of the model; empty where it says nothing."""
        found = self.provenance.get("model")
        return found if isinstance(found, dict) else {}

    @property
    def weights_digest(self) -> str | None:
        """Of the weights that were looked at, as recorded; None where it is not."""
        digest = self.recorded_model.get("weights_digest")
        return digest if isinstance(digest, str) else None

    @property
    def incomplete(self) -> tuple[SectionEvidence, ...]:
        """The sections that did not complete."""
        return tuple(section for section in self.sections if not section.complete)


def read_run(run: Path) -> Evidence:
    """What the run folder holds.

    Raises:
        InputError: where `run` is no run folder (it has neither `audit.json` nor `sections`).
    """
    if not (run / AUDIT).is_file() and not (run / "sections").is_dir():
        raise InputError(
            f"{run}: not a run folder: it holds neither audit.json nor sections. "
            "Give the folder that `workbench audit` made."
        )
    audit = _Object.read(run, AUDIT)
    _refuse_newer(audit)
    definition = audit.part("definition")
    provenance = _Object.read(run, PROVENANCE)
    status = _Object.read(run, STATUS)
    names = [str(name) for name in definition.need("sections", list)]
    provenance.need("model", dict)
    strangers = sorted(path.name for path in run.glob("sections/*/") if path.name not in names)
    audit.problems.extend(
        f"sections/{visible(name)} is in the run folder, but not in audit.json."
        for name in (strangers if names else [])
    )
    sections = tuple(_section(run, name) for name in [*names, *strangers])
    findings = _findings(run, sections, audit.problems)
    checks = tuple(_records(Check, definition.take("checks", list, []), AUDIT, audit.problems))
    shown = [exhibit for name in names for exhibit in _exhibits(run, name, audit.problems)]
    return Evidence(
        folder=run,
        run_id=audit.text("run_id"),
        model=audit.text("model"),
        created=audit.text("created"),
        version=audit.text("workbench_version"),
        command=tuple(map(str, audit.take("command", list, []))),
        passed=audit.take("passed", dict, {}),
        defaulted=audit.take("defaulted", dict, {}),
        from_suite=audit.take("from_suite", dict, {}),
        definition=definition.values,
        checks=checks,
        provenance=provenance.values,
        state=status.text("state"),
        attempts=tuple(
            entry for entry in status.take("attempts", list, []) if isinstance(entry, dict)
        ),
        sections=sections,
        findings=findings,
        exhibits=tuple(shown),
        unanswered=tuple(check for check in checks if not _answered(check, findings)),
        problems=(*audit.problems, *provenance.problems),
    )


def inside(run: Path, path: Path) -> bool:
    """Whether a path of a run folder stays in it, links followed."""
    try:
        return path.resolve().is_relative_to(run.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL in a name
        return False


def _refuse_newer(audit: _Object) -> None:
    schema = audit.values.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise InputError(
            f"{audit.name}: schema {schema}, and this version reads up to {SCHEMA}: the run was "
            "made by a newer version. Upgrade with `pip install -U open-weights-workbench`."
        )


def _exhibits(run: Path, section: str, problems: list[str]) -> list[Exhibit]:
    """What a section shows of its own and other findings; most show nothing."""
    name = f"sections/{section}/{EXHIBITS}"
    if not _NAME.fullmatch(section) or not os.path.lexists(run / name):
        return []
    listed = _Object.read(run, name)
    found = list(_records(Exhibit, listed.need("exhibits", list), listed.name, listed.problems))
    problems.extend(listed.problems)
    return found


def _findings(
    run: Path, sections: tuple[SectionEvidence, ...], problems: list[str]
) -> tuple[Finding, ...]:
    """The run's findings: it also has one for each check whose section never ran."""
    found = {f.code: f for section in sections for f in section.findings}
    if os.path.lexists(run / FINDINGS):
        whole = _Object.read(run, FINDINGS)
        listed = _records(Finding, whole.need("findings", list), whole.name, whole.problems)
        found.update({finding.code: finding for finding in listed})
        problems.extend(whole.problems)
    return tuple(found.values())


def _answered(check: Check, findings: tuple[Finding, ...]) -> bool:
    """A check is answered under its own code, or item by item under `CODE-…`."""
    codes = [finding.code for finding in findings]
    return any(code == check.code or code.startswith(f"{check.code}-") for code in codes)


def _section(run: Path, name: str) -> SectionEvidence:
    folder = section_folder(run, name)
    if not _NAME.fullmatch(name) or not inside(run, folder):
        problem = "Its name is not one that a section can have, so nothing was read."
        return SectionEvidence(name, UNKNOWN, "", None, None, None, (), None, (problem,))
    if not folder.is_dir():
        problem = f"sections/{name} is missing from the run folder."
        return SectionEvidence(name, UNKNOWN, "", None, None, None, (), None, (problem,))
    status = _Object.read(run, f"sections/{name}/{STATUS}")
    findings = _Object.read(run, f"sections/{name}/{FINDINGS}")
    notebook = _Object.read(run, f"sections/{name}/{NOTEBOOK}")
    state = status.take("state", str, UNKNOWN)
    if state not in STATES and not status.problems:
        status.problems.append(f"status.json: the state {visible(state, 40)!r} is not known.")
    if notebook.values and not isinstance(notebook.values.get("cells"), list):
        notebook.problems.append("notebook.ipynb: holds no cells.")
    known = _records(Finding, findings.need("findings", list), findings.name, findings.problems)
    answers = tuple(known)
    problems = [*status.problems, *findings.problems, *notebook.problems]
    if state == "not started":
        # It has nothing to leave behind; its state says all.
        problems = status.problems
    reason = status.text("reason")
    if state == "running":
        # A report is made of what is on disk: whoever ran this wrote nothing after it.
        state, reason = "killed", ENDED
    return SectionEvidence(
        name=name,
        state=state if state in STATES else UNKNOWN,
        reason=reason,
        seconds=status.take("seconds", float, None),
        cells_run=status.take("cells_run", int, None),
        cells_total=status.take("cells_total", int, None),
        findings=answers,
        notebook=None if notebook.problems else notebook.values,
        problems=tuple(problems),
    )


@dataclass(frozen=True)
class _Object:
    """A JSON object read from a file, and what was wrong with it."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, run: Path, relative: str) -> _Object:
        name = Path(relative).name
        path = run / relative
        try:
            problem = _unreadable(run, path)
            values = None if problem else json.loads(path.read_bytes())
        except FileNotFoundError:
            problem = "missing."
        except OSError as error:
            problem = f"cannot be read ({error.strerror})."
        except (ValueError, RecursionError):
            problem = "not valid JSON."
        if problem:
            return cls(name, problems=[f"{name}: {problem}"])
        if not isinstance(values, dict):
            return cls(name, problems=[f"{name}: not a JSON object."])
        return cls(name, values, _newer(name, values.get("schema")))

    def take(self, key: str, kind: type[_Value], default: _Value | None) -> Any:
        """The value of a field of the kind expected, or the default; a wrong kind is a problem."""
        value = self.values.get(key)
        if kind is float and isinstance(value, int):
            return float(value)
        if value is None or isinstance(value, kind):
            return default if value is None else value
        self.problems.append(f"{self.name}: {key} is not a {kind.__name__}.")
        return default

    def need(self, key: str, kind: type[_Value]) -> Any:
        """The value of a field that must be there, or an empty one of its kind."""
        if key not in self.values and not self.problems:
            self.problems.append(f"{self.name}: {key} is missing.")
        return self.take(key, kind, kind())

    def part(self, key: str) -> _Object:
        """The object under a key; what is wrong with it is wrong with the whole."""
        return _Object(self.name, self.need(key, dict), self.problems)

    def text(self, key: str) -> str:
        return str(self.take(key, str, ""))


def _unreadable(run: Path, path: Path) -> str:
    """Why a file of the run is not opened; empty where it is."""
    if not inside(run, path):
        return "a link out of the run folder; not followed."
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        return "not a file."
    return "larger than 256 MB, so it was not read." if found.st_size > _MAX_BYTES else ""


def _newer(name: str, schema: Any) -> list[str]:
    known = SCHEMA if name == AUDIT else 1
    if not isinstance(schema, int) or schema <= known:
        return []
    return [f"{name}: schema {schema}, of a newer version; this one reads up to {known}."]


def _records(
    kind: type[_Value], values: list[Any], name: str, problems: list[str]
) -> Iterator[_Value]:
    """The records that are valid; how many are not is a problem."""
    invalid = 0
    for value in values:
        try:
            yield kind.model_validate(value)  # type: ignore[attr-defined] # Check or Finding
        except ValidationError:
            invalid += 1
    if invalid:
        problems.append(f"{name}: {invalid} of {len(values)} records cannot be read.")
