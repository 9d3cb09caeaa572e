"""Go on with a run that was cut short: what is complete stays, and the rest is done.

Everything comes from the run's `audit.json`. A resumed audit's findings are those of one that was
never interrupted: the same definition, the same model, the same packages, or it is refused.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from workbench.audit.definitions.limits import NO_LIMITS, Limits
from workbench.audit.records.files import sorted_out
from workbench.audit.records.folder import (
    AUDIT,
    MANIFEST,
    PROVENANCE,
    SIGNATURE,
    STATUS,
    AuditRecord,
    section_folder,
)
from workbench.audit.records.lock import hold
from workbench.audit.records.status import Attempt, RunStatus
from workbench.audit.running.attempt import Outcome, attempt, read_statuses, still_complete
from workbench.audit.running.plan import AuditRequest, Plan, plan_definition
from workbench.audit.running.section_run import Tools, load
from workbench.audit.running.stopping import Stop
from workbench.audit.running.warm import WarmKernel
from workbench.errors import InputError
from workbench.offline import forbid_network
from workbench.provenance import code_version, package_versions, storage_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workbench.audit.running.progress import Progress

__all__ = ["resume_audit"]

NO_WORD = "The audit's own process ended without a word."


def resume_audit(
    run: Path, progress: Progress, *, command: Sequence[str] = (), limits: Limits = NO_LIMITS
) -> Outcome | None:
    """Do what is missing of a run; None where nothing is.

    Args:
        run: the run folder.
        progress: what says how far it is.
        command: the command line, for the record.
        limits: of time and memory, for this attempt; the definition's where one is None.

    Raises:
        InputError: where it is no run of this version and these packages, or is being written.
        ModelError: where the model cannot be loaded, or is another one now.
        StorageError: where the run cannot be written; it stays as it is.
    """
    run = run.absolute()
    record = _record(run)
    with Stop() as stop, hold(run), WarmKernel() as kernel:
        if _finished(run, record):
            return None
        tools = Tools(kernel, progress, stop)
        with progress.step("check the input", silent=True):
            _check_versions(run, record)
            plan = _plan(run, record, tuple(command), limits)
            missing = not all(
                still_complete(run, status)
                for status in read_statuses(run, record.definition).values()
            )
        if missing:
            kernel.launch()
            kernel.digest, kernel.files = _model(run)
            with suppress(KeyboardInterrupt):  # what there is gets its report all the same
                load(plan, tools)
        try:
            earlier = _earlier(run, record)
            for name in (MANIFEST, SIGNATURE):
                # What they state no longer holds.
                (run / name).unlink(missing_ok=True)
            return attempt(run, plan, tools, earlier)
        except OSError as error:
            raise storage_error(run, error) from error


def _record(run: Path) -> AuditRecord:
    if not (run / AUDIT).is_file():
        raise InputError(
            f"{run}: not a run folder: it holds no {AUDIT}. "
            "Give the folder that `workbench audit` made."
        )
    for odd in sorted_out(run)[1]:
        raise InputError(
            f"{run / odd.path}: {odd.what}: {odd.reason}. A run holds plain files alone; "
            "remove it, or start a new audit."
        )
    return AuditRecord.read(run / AUDIT)


def _finished(run: Path, record: AuditRecord) -> bool:
    """Whether every section is complete, and the manifest, which is written last, is there."""
    with suppress(InputError):
        return (
            RunStatus.read(run / STATUS).state == "complete"
            and (run / MANIFEST).is_file()
            and all(
                still_complete(run, status)
                for status in read_statuses(run, record.definition).values()
            )
        )
    return False


def _check_versions(run: Path, record: AuditRecord) -> None:
    """Refuse where a number could come out differently from the way it did.

    Raises:
        InputError: naming both versions.
    """
    known = (run / PROVENANCE).exists()
    then = _provenance(run).get("packages", {}) if known else {}
    now = package_versions() if known else {}
    then |= {"open-weights-workbench": record.workbench_version}
    now |= {"open-weights-workbench": code_version()}
    changed = [
        f"{name} {then.get(name, 'not installed')} then, {now.get(name, 'not installed')} now"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    if changed:
        raise InputError(
            f"{run}: the run began with other packages: {'; '.join(changed)}. "
            "Install those again, or start a new audit."
        )


def _plan(run: Path, record: AuditRecord, command: tuple[str, ...], limits: Limits) -> Plan:
    asked = {**record.defaulted, **record.from_suite, **record.passed}
    definition = record.definition
    now = {key: value for key, value in limits.model_dump().items() if value is not None}
    definition = definition.model_copy(update={"limits": definition.limits.model_copy(update=now)})
    request = AuditRequest(
        model=record.model,
        suite=asked.get("suite", definition.name),
        sections=definition.sections,
        parameters=definition.parameters,
        limits=definition.limits,
        out=run.parent,
        device=asked.get("device"),
        dtype=asked.get("dtype"),
        allow_pickle=bool(asked.get("allow_pickle")),
        offline=bool(asked.get("offline")),
        command=command,
    )
    if request.offline:
        forbid_network()
    origins = (record.passed, record.from_suite, record.defaulted)
    return plan_definition(request, record.model, definition, origins)


def _provenance(run: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((run / PROVENANCE).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{run / PROVENANCE}: cannot be read as JSON. Start a new audit."
        ) from error
    return content


def _model(run: Path) -> tuple[str | None, dict[str, str]]:
    """Weights digest and files of the model that was measured; none before the first section."""
    if not (run / PROVENANCE).exists():
        return None, {}
    try:
        model = _provenance(run)["model"]
        return model["weights_digest"], {file["name"]: file["sha256"] for file in model["files"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{run / PROVENANCE}: names no model. Start a new audit.") from error


def _earlier(run: Path, record: AuditRecord) -> tuple[Attempt, ...]:
    """The attempts so far. What a kill left `running` is `killed` from here on."""
    for name, status in read_statuses(run, record.definition).items():
        if status.state == "running":
            ended = status.model_copy(update={"state": "killed", "reason": NO_WORD})
            ended.write(section_folder(run, name) / STATUS)
    try:
        attempts = RunStatus.read(run / STATUS).attempts
    except InputError:  # it was killed before it said anything
        attempts = (Attempt(started=record.created, command=record.command),)
    return tuple(
        entry
        if entry.state != "running"
        else entry.model_copy(
            update={
                "state": "killed",
                "reason": NO_WORD,
                "sections": {
                    name: status.state
                    for name, status in read_statuses(run, record.definition).items()
                },
            }
        )
        for entry in attempts
    )
