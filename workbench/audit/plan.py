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
from workbench.checkpoint import check_fits, resolve, survey
from workbench.errors import InputError, StorageError, did_you_mean
from workbench.evaluate.suites import DEFAULT_SUITE, Suite, load_suite
from workbench.provenance import storage_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        suite: name of a suite.
        sections: names; all of the suite's where it is empty.
        parameters: parameters of the notebooks by name.
        limit: items of each task; None for all.
        out: folder that the run's own folder is made in.
        device, dtype: as `workbench.load` takes them.
        allow_pickle, offline: as `workbench.load` takes them.
        command: the command line, for the record.
        given: names of the fields that somebody passed; the others are defaults.
    """

    model: str
    suite: str = DEFAULT_SUITE
    sections: tuple[str, ...] = ()
    parameters: Mapping[str, Any] | None = None
    limit: int | None = None
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
        suite: with its checks; their thresholds are fixed from here on.
        sections: section -> its notebook, in order.
        parameters: section -> the parameters that its notebook is given.
        defaulted: parameter -> default, for what nobody passed.
        load_arguments: what the kernel calls `workbench.load` with.
    """

    request: AuditRequest
    checkpoint: Checkpoint
    suite: Suite
    sections: Mapping[str, Path]
    parameters: Mapping[str, Mapping[str, Any]]
    defaulted: Mapping[str, Any]
    load_arguments: Mapping[str, Any]


def plan_audit(request: AuditRequest) -> Plan:
    """The checked plan.

    Raises:
        InputError: for an unknown suite, section or parameter (with the closest name).
        ModelError: for a model that is not there, incomplete, unsafe or larger than memory.
        StorageError: for an output folder that cannot be written, or too full a disk.
    """
    suite = load_suite(request.suite)
    sections = _sections(suite, request.sections)
    defaults = {name: _defaults(path) for name, path in sections.items()}
    passed = _checked_parameters(request, defaults)
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
    own = {"suite": request.suite, "limit": request.limit, **arguments}
    parameters = {
        name: {key: value for key, value in {**own, **passed}.items() if key in known}
        for name, known in defaults.items()
    }
    everything = {key: value for known in defaults.values() for key, value in known.items()}
    defaulted = {
        key: value
        for key, value in everything.items()
        if key not in passed and key not in OWN_PARAMETERS
    }
    return Plan(request, checkpoint, suite, sections, parameters, defaulted, arguments)


def _sections(suite: Suite, wanted: Sequence[str]) -> dict[str, Path]:
    for name in wanted:
        if name not in suite.sections:
            raise InputError(
                f'The suite "{suite.name}" has no section "{name}". '
                f"{did_you_mean(name, suite.sections)}"
            )
    folder = resources.notebooks()
    chosen = [name for name in suite.sections if not wanted or name in wanted]
    return {name: folder / f"{name}.ipynb" for name in chosen}


def _defaults(notebook: Path) -> dict[str, Any]:
    """The notebook's parameters with their defaults, as papermill finds them."""
    import papermill

    found = papermill.inspect_notebook(str(notebook))
    return {name: ast.literal_eval(entry["default"]) for name, entry in found.items()}


def _checked_parameters(
    request: AuditRequest, defaults: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    known = {key: value for section in defaults.values() for key, value in section.items()}
    passed = dict(request.parameters or {})
    for name, value in passed.items():
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
    if request.limit is not None and request.limit < 1:
        raise InputError(f"got --limit {request.limit}; expected at least 1.")
    return passed


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
