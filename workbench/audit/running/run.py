"""A new audit, from what was asked to its report: one warm kernel, one notebook a section."""

from __future__ import annotations

import secrets
import shutil
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from workbench.audit.records.folder import AUDIT, SCHEMA, AuditRecord
from workbench.audit.records.lock import hold
from workbench.audit.running.attempt import Outcome, attempt
from workbench.audit.running.plan import plan_audit
from workbench.audit.running.section_run import Tools, load
from workbench.audit.running.stopping import Stop
from workbench.audit.running.warm import WarmKernel
from workbench.errors import StorageError
from workbench.provenance import code_version, storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.audit.running.plan import AuditRequest, Plan
    from workbench.audit.running.progress import Progress

__all__ = ["run_audit"]

_TRIES = 10


def run_audit(request: AuditRequest, progress: Progress) -> Outcome:
    """Run every section that was asked for and build the report.

    Raises:
        InputError: where the request cannot be carried out; nothing was written.
        ModelError: where the model cannot be loaded; nothing was written.
        StorageError: where the disk is full or cannot be written; nothing is left behind.
        KeyboardInterrupt: where it was to stop before its first section; nothing was written.
    """
    with Stop() as stop, WarmKernel() as kernel:
        with progress.step("check the input", silent=True):
            kernel.launch()  # it comes up meanwhile
            with stop.at_once():
                plan = plan_audit(request)
        tools = Tools(kernel, progress, stop)
        load(plan, tools)
        with _new_run(plan) as run:
            return attempt(run, plan, tools)


@contextmanager
def _new_run(plan: Plan) -> Iterator[Path]:
    """A run folder that this process holds; gone again where it cannot be written."""
    out = plan.request.out.absolute()
    folder = out / plan.checkpoint.name
    out_is_ours = not out.exists()
    made: list[Path] = []
    try:
        draft = _draft(folder)
        made.append(draft)
        with hold(draft):
            run = _freeze(draft, plan)
            made.append(run)
            yield run
    except OSError as error:
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):  # a folder that holds other runs stays
            folder.rmdir()
            if out_is_ours:
                out.rmdir()
        if isinstance(error, StorageError):
            raise
        raise storage_error(made[-1] if made else folder, error) from error


def _draft(folder: Path) -> Path:
    """A new folder that nobody takes for a run yet, and nobody else has made."""
    for tries_left in reversed(range(_TRIES)):
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        draft = folder / f".{name}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            draft.mkdir()
        except (FileExistsError, FileNotFoundError):
            # Another audit has drawn the same name, or removed a folder that it found empty.
            if not tries_left:
                raise
        else:
            break
    return draft


def _freeze(draft: Path, plan: Plan) -> Path:
    """Write what was asked, before anything is measured; from here on it is a run."""
    run = draft.with_name(draft.name.removeprefix(".").removesuffix(".part"))
    AuditRecord(
        schema=SCHEMA,
        run_id=run.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=plan.model,
        definition=plan.definition,
        passed=dict(plan.passed),
        from_suite=dict(plan.from_suite),
        defaulted=dict(plan.defaulted),
        command=plan.request.command,
        workbench_version=code_version(),
    ).write(draft / AUDIT)
    return draft.rename(run)
