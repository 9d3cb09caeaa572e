"""The plan of an audit: everything that can be wrong is found before anything is written."""

from __future__ import annotations

import ast
import math
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import resources
from workbench.audit.definition import (
    DEFAULT_DEFINITION,
    NO_LIMITS,
    Definition,
    Limits,
    load_definition,
)
from workbench.checkpoint import check_fits, resolve, survey
from workbench.errors import InputError, StorageError, did_you_mean
from workbench.provenance import storage_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.audit.definition import Definition, Limits
from workbench.checkpoint import Checkpoint

__all__ = ["AuditRequest", "Plan", "plan_audit"]

NEEDED_BYTES = 32 << 20
"""Free space that a run must find: its notebooks, tables and report take a few megabytes."""

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


@dataclass(frozen=True)
class AuditRequest:
    """What was asked for, unchecked.

    Attributes:
        model: a local directory, `org/name[@revision]` or `organism:NAME`.
        suite: name of a suite that ships, or a TOML file.
        sections: names; all of the suite's where it is empty.
        parameters: parameters of the notebooks by name.
        limits: those that were given; the definition's hold where one is None.
        out: folder that the run's own folder is made in.
        device, dtype: as `workbench.load` takes them.
        allow_pickle, offline: as `workbench.load` takes them.
        command: the command line, for the record.
        given: names of the fields that somebody passed; the others are defaults.
    """

    model: str
    suite: str = DEFAULT_DEFINITION
    sections: tuple[str, ...] = ()
    parameters: Mapping[str, Any] | None = None
    limits: Limits = NO_LIMITS
    out: Path = Path("runs")
    device: str | None = None
    dtype: str | None = None
    allow_pickle: bool = False
    offline: bool = False
    command: tuple[str, ...] = ()
    given: frozenset[str] = frozenset({"model"})


@dataclass(frozen=True)
class Plan:
    """A request that was checked against the model, the suite and the notebooks.

    Attributes:
        checkpoint: the model's folder on this machine.
        definition: with all that was asked for; its thresholds are fixed from here on.
        sections: section -> its notebook, in order.
        parameters: section -> the parameters that its notebook is given.
        passed: what somebody gave, `defaulted` everything else, by name.
        load_arguments: what the kernel calls `workbench.load` with.
    """

    request: AuditRequest
    checkpoint: Checkpoint
    definition: Definition
    sections: Mapping[str, Path]
    parameters: Mapping[str, Mapping[str, Any]]
    passed: Mapping[str, Any]
    defaulted: Mapping[str, Any]
    load_arguments: Mapping[str, Any]


def plan_audit(request: AuditRequest) -> Plan:
    """The checked plan.

    Raises:
        InputError: for an unknown suite, section or parameter (with the closest name).
        ModelError: for a model that is not there, incomplete, unsafe or larger than memory.
        StorageError: for an output folder that cannot be written, or too full a disk.
    """
    definition = _asked(load_definition(request.suite), request)
    folder = resources.notebooks()
    sections = {name: folder / f"{name}.ipynb" for name in definition.sections}
    defaults = {name: _defaults(path) for name, path in sections.items()}
    given = _checked_parameters(definition.parameters, defaults)
    _check_storage(request.out)
    checkpoint = resolve(request.model, offline=request.offline, allow_pickle=request.allow_pickle)
    found = survey(checkpoint, allow_pickle=request.allow_pickle)
    check_fits(found, request.dtype or found.memory_dtype, request.device or "this machine")
    # The kernel has no network: what the hub has is in the cache by now, and read from there.
    local = checkpoint.kind == "local"
    arguments = {
        "model": str(checkpoint.directory) if local else request.model,
        "device": request.device,
        "dtype": request.dtype,
        "allow_pickle": request.allow_pickle,
        "offline": True,
    }
    own = {"suite": request.suite, "limit": definition.limits.items, **arguments}
    parameters = {
        name: {key: value for key, value in {**own, **given}.items() if key in known}
        for name, known in defaults.items()
    }
    passed, defaulted = _origins(request, definition, defaults)
    return Plan(request, checkpoint, definition, sections, parameters, passed, defaulted, arguments)


def _asked(definition: Definition, request: AuditRequest) -> Definition:
    """The definition with what was asked for besides."""
    for name in request.sections:
        if name not in definition.sections:
            raise InputError(
                f'The suite "{definition.name}" has no section "{name}". '
                f"{did_you_mean(name, definition.sections)}"
            )
    given = request.limits.model_dump(exclude_none=True)
    return definition.model_copy(
        update={
            "sections": tuple(
                name
                for name in definition.sections
                if not request.sections or name in request.sections
            ),
            "parameters": {**definition.parameters, **(request.parameters or {})},
            "limits": definition.limits.model_copy(update=given),
        }
    )


def _origins(
    request: AuditRequest, definition: Definition, defaults: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What somebody passed, and what was left at its default."""
    own = {
        "model": request.model,
        "suite": request.suite,
        "section": list(request.sections),
        "limit": definition.limits.items,
        "section_seconds": definition.limits.section_seconds,
        "memory_bytes": definition.limits.memory_bytes,
        "device": request.device,
        "dtype": request.dtype,
        "allow_pickle": request.allow_pickle,
        "offline": request.offline,
    }
    known = {key: value for section in defaults.values() for key, value in section.items()}
    passed = {key: value for key, value in own.items() if key in request.given}
    rest = {key: value for key, value in own.items() if key not in request.given}
    notebooks = {
        key: value
        for key, value in known.items()
        if key not in definition.parameters and key not in OWN_PARAMETERS
    }
    return {**passed, **definition.parameters}, {**rest, **notebooks}


def _defaults(notebook: Path) -> dict[str, Any]:
    """The notebook's parameters with their defaults, as papermill finds them."""
    import papermill

    found = papermill.inspect_notebook(str(notebook))
    return {name: ast.literal_eval(entry["default"]) for name, entry in found.items()}


def _checked_parameters(
    given: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    known = {key: value for section in defaults.values() for key, value in section.items()}
    for name, value in given.items():
        if name in OWN_PARAMETERS:
            raise InputError(f'The parameter "{name}" is set by {OWN_PARAMETERS[name]}.')
        if name not in known:
            open_to_all = [key for key in known if key not in OWN_PARAMETERS]
            raise InputError(
                f'No section has a parameter "{name}". {did_you_mean(name, open_to_all)}'
            )
        expected = type(known[name])
        if known[name] is not None and not _is_a(value, expected):
            raise InputError(
                f'The parameter "{name}" is {value!r}; expected {expected.__name__}, as its '
                f"default {known[name]!r}."
            )
    return dict(given)


def _is_a(value: Any, expected: type) -> bool:
    if isinstance(value, bool):  # which Python counts among the integers
        return expected is bool
    if expected is float:
        return isinstance(value, (int, float)) and math.isfinite(value)
    return isinstance(value, expected)


def _check_storage(out: Path) -> None:
    """Raise where a run could not be written below `out`; create nothing."""
    existing = next(
        folder for folder in (out.absolute(), *out.absolute().parents) if os.path.lexists(folder)
    )
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".workbench-"):
            pass
        free = shutil.disk_usage(existing).free
    except OSError as error:
        raise storage_error(out, error) from error
    if free < NEEDED_BYTES:
        raise StorageError(
            f"{out}: only {free >> 20} MiB are free and a run needs {NEEDED_BYTES >> 20} MiB. "
            "Free some space or choose another folder with --out."
        )
