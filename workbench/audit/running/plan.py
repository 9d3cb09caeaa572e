"""The plan of an audit: everything that can be wrong is found before anything is written."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit.definitions.definition import DEFAULT_DEFINITION, read_definition
from workbench.audit.definitions.limits import NO_LIMITS, Limits
from workbench.audit.definitions.parameters import (
    OWN_PARAMETERS,
    notebook_parameters,
    refusals,
    section_notebook,
)
from workbench.checkpoint import check_fits, resolve, survey
from workbench.errors import InputError, InputErrors, StorageError, did_you_mean
from workbench.markup import visible
from workbench.provenance import storage_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.audit.definitions.definition import Definition, DefinitionFile
    from workbench.audit.definitions.parameters import Parameter
    from workbench.checkpoint import Checkpoint

__all__ = [
    "DEFAULT_MODEL",
    "AuditRequest",
    "Origins",
    "Plan",
    "plan_audit",
    "plan_definition",
]

Origins = tuple["Mapping[str, Any]", "Mapping[str, Any]", "Mapping[str, Any]"]
"""Parameters by name: what somebody passed, what the suite's file states, and the defaults."""

DEFAULT_MODEL = "organism:planted"

NEEDED_BYTES = 32 << 20
"""Free space that a run must find: its notebooks, tables and report take a few megabytes."""


@dataclass(frozen=True)
class AuditRequest:
    """What was asked for, unchecked.

    Attributes:
        model: a local directory, `org/name[@revision]` or `organism:NAME`; the definition's, or
            else the planted organism, where it is None.
        suite: name of a suite that ships, or a TOML file.
        sections: names; all of the suite's where it is empty.
        parameters: parameters of the notebooks by name.
        limits: those that were given; the definition's hold where one is None.
        out: folder that the run's own folder is made in.
        device, dtype: as `workbench.load` takes them.
        allow_pickle, offline: as `workbench.load` takes them.
        command: the command line, for the record.
        given: names of the fields that somebody passed although they are the defaults.
    """

    model: str | None = None
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
    given: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """A request that was checked against the model, the suite and the notebooks.

    Attributes:
        model: that is audited, as it was typed.
        checkpoint: the model's folder on this machine.
        definition: with all that was asked for; its thresholds are fixed from here on.
        sections: section -> its notebook, in order.
        parameters: section -> the parameters that its notebook is given.
        passed: what somebody gave, `from_suite` what the suite's file states, and `defaulted`
            everything else, by name.
        load_arguments: what the kernel calls `workbench.load` with.
    """

    request: AuditRequest
    model: str
    checkpoint: Checkpoint
    definition: Definition
    sections: Mapping[str, Path]
    parameters: Mapping[str, Mapping[str, Any]]
    passed: Mapping[str, Any]
    from_suite: Mapping[str, Any]
    defaulted: Mapping[str, Any]
    load_arguments: Mapping[str, Any]


def plan_audit(request: AuditRequest) -> Plan:
    """The checked plan.

    Raises:
        InputError: for an unknown suite, section or parameter (with the closest name).
        ModelError: for a model that is not there, incomplete, unsafe or larger than memory.
        StorageError: for an output folder that cannot be written, or too full a disk.
    """
    file = read_definition(request.suite)
    definition = _asked(file.definition, request)
    known = {key: one for section in _known(definition).values() for key, one in section.items()}
    if problems := refusals(request.parameters or {}, known):
        raise InputErrors(
            f'The parameter "{visible(key, 80)}" {what}' for key, what in problems.items()
        )
    model = request.model or definition.model or DEFAULT_MODEL
    holding = _holding(request, definition, model)
    return plan_definition(request, model, definition, _origins(request, file, holding))


def plan_definition(
    request: AuditRequest, model: str, definition: Definition, origins: Origins
) -> Plan:
    """The plan of a definition that is settled: what is left is the model and the place.

    Raises:
        ModelError: for a model that is not there, incomplete, unsafe or larger than memory.
        StorageError: for an output folder that cannot be written, or too full a disk.
    """
    _check_storage(request.out)
    checkpoint = resolve(model, offline=request.offline, allow_pickle=request.allow_pickle)
    found = survey(checkpoint, allow_pickle=request.allow_pickle)
    check_fits(found, request.dtype or found.memory_dtype, request.device or "this machine")
    # The kernel has no network: what the hub has is in the cache by now, and read from there.
    local = checkpoint.kind == "local"
    arguments = {
        "model": str(checkpoint.directory) if local else model,
        "device": request.device,
        "dtype": request.dtype,
        "allow_pickle": request.allow_pickle,
        "offline": True,
    }
    handed = {
        "suite": request.suite,
        "limit": definition.limits.items,
        **arguments,
        **definition.parameters,
    }
    passed, from_suite, defaulted = origins
    return Plan(
        request=request,
        model=model,
        checkpoint=checkpoint,
        definition=definition,
        sections={name: section_notebook(name) for name in definition.sections},
        parameters={
            name: {key: value for key, value in handed.items() if key in own}
            for name, own in _known(definition).items()
        },
        passed=passed,
        from_suite=from_suite,
        defaulted=defaulted,
        load_arguments=arguments,
    )


def _known(definition: Definition) -> dict[str, dict[str, Parameter]]:
    return {name: notebook_parameters(section_notebook(name)) for name in definition.sections}


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
    ).frozen()


def _holding(request: AuditRequest, definition: Definition, model: str) -> dict[str, Any]:
    """Every value of this audit by its name: options, and the parameters of its notebooks."""
    defaults = {
        key: parameter.default
        for section in _known(definition).values()
        for key, parameter in section.items()
        if key not in OWN_PARAMETERS
    }
    limits = definition.limits.model_dump()
    return {
        "model": model,
        "suite": request.suite,
        "sections": list(definition.sections),
        **{option: limits[name] for name, option in _LIMITS.items()},
        "device": request.device,
        "dtype": request.dtype,
        "allow_pickle": request.allow_pickle,
        "offline": request.offline,
        **{key: definition.parameters.get(key, value) for key, value in defaults.items()},
    }


def _origins(request: AuditRequest, file: DefinitionFile, holding: Mapping[str, Any]) -> Origins:
    """The values that hold, by where each comes from."""
    plain = AuditRequest()
    passed = {
        *(name for name in holding if getattr(request, name, None) != getattr(plain, name, None)),
        *(_LIMITS[name] for name in request.limits.model_dump(exclude_none=True)),
        *(request.parameters or {}),
        *request.given,
    }
    stated = {
        *(_LIMITS[name] for name in file.definition.limits.model_dump(exclude_none=True)),
        *file.definition.parameters,
        *file.stated,
    }
    parts: tuple[dict[str, Any], ...] = ({}, {}, {})
    for name, value in holding.items():
        parts[0 if name in passed else 1 if name in stated else 2][name] = value
    return parts[0], parts[1], parts[2]


# A limit's name -> that of its option.
_LIMITS = {"items": "limit", "section_seconds": "section_timeout", "memory_bytes": "memory_limit"}


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
