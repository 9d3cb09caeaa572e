"""An audit from its plan to its report: one warm kernel, one notebook a section, one run folder."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from workbench.audit import checks
from workbench.audit.checks import Findings
from workbench.audit.engine import WarmKernel, WarmKernelEngine
from workbench.audit.finish import finish
from workbench.audit.folder import (
    AUDIT,
    FINDINGS,
    NOTEBOOK,
    SCHEMA,
    STATUS,
    AuditRecord,
    section_folder,
)
from workbench.audit.status import SectionStatus, cells_run, death
from workbench.errors import InputError, StorageError
from workbench.provenance import code_version, dump_json, storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.audit.checks import Finding
    from workbench.audit.plan import Plan
    from workbench.audit.progress import Progress

__all__ = ["Outcome", "run_audit"]

ENGINE = "workbench-warm"


@dataclass(frozen=True)
class Outcome:
    """What an audit left behind.

    Attributes:
        run: the run folder.
        report: its report.
        findings: every check of the suite, also those that did not run.
        statuses: how each section ended.
        interrupted: whether it was stopped by hand.
    """

    run: Path
    report: Path
    findings: tuple[Finding, ...]
    statuses: tuple[SectionStatus, ...]
    interrupted: bool

    @property
    def complete(self) -> bool:
        """Whether every section ran to its end."""
        return all(status.state == "complete" for status in self.statuses)


def run_audit(plan: Plan, progress: Progress) -> Outcome:
    """Run every section of the plan and build the report.

    A section that dies keeps what it had, and the others go on. Ctrl+C and SIGTERM end the section
    that runs; the others are not started.

    Raises:
        ModelError: where the model cannot be loaded; nothing was written.
        StorageError: where the disk is full or cannot be written; nothing is left behind.
    """
    with _stopped_by_sigterm(), WarmKernel(dict(plan.load_arguments)) as kernel:
        with progress.step("load the model"):
            kernel.start()
        out_is_ours = not plan.request.out.exists()
        run = _run_folder(plan)
        try:
            return _run_in(run, plan, kernel, progress)
        except OSError as error:
            shutil.rmtree(run, ignore_errors=True)
            with suppress(OSError):  # a folder that holds other runs stays
                run.parent.rmdir()
                if out_is_ours:
                    run.parent.parent.rmdir()
            if isinstance(error, StorageError):
                raise
            raise storage_error(run, error) from error


def _run_in(run: Path, plan: Plan, kernel: WarmKernel, progress: Progress) -> Outcome:
    _write_audit(run, plan)
    statuses = {name: SectionStatus(section=name, state="not started") for name in plan.sections}
    interrupted = False
    for name in plan.sections:
        statuses[name] = _run_section(run, name, plan, kernel, progress)
        interrupted = statuses[name].state == "interrupted"
        if interrupted:
            break
    for name, status in statuses.items():
        status.write(section_folder(run, name) / STATUS)
    with progress.step("write the report"):
        findings = _gather(run, plan, statuses)
        Findings(findings=findings).write(run / FINDINGS)
        report = finish(run)
    return Outcome(run, report, findings, tuple(statuses.values()), interrupted)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM, as schedulers and pipelines send it, interrupts the audit as Ctrl+C does."""
    if threading.current_thread() is not threading.main_thread():  # handlers are the main thread's
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_folder(plan: Plan) -> Path:
    created = datetime.now(UTC)
    name = f"{created:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    run = plan.request.out.absolute() / plan.checkpoint.name / name
    try:
        run.mkdir(parents=True)
    except OSError as error:
        raise storage_error(run, error) from error
    return run


def _write_audit(run: Path, plan: Plan) -> None:
    AuditRecord(
        schema=SCHEMA,
        run_id=run.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=plan.request.model,
        definition=plan.definition,
        passed=dict(plan.passed),
        defaulted=dict(plan.defaulted),
        command=plan.request.command,
        workbench_version=code_version(),
    ).write(run / AUDIT)


def _run_section(
    run: Path, name: str, plan: Plan, kernel: WarmKernel, progress: Progress
) -> SectionStatus:
    """Run one notebook; how it really ended."""
    import nbformat
    import papermill
    from papermill.engines import papermill_engines
    from papermill.exceptions import PapermillExecutionError

    papermill_engines.register(ENGINE, WarmKernelEngine)
    output = section_folder(run, name) / NOTEBOOK
    output.parent.mkdir(parents=True, exist_ok=True)
    source = nbformat.read(plan.sections[name], as_version=4)
    total = sum(cell["cell_type"] == "code" for cell in source["cells"])
    start = time.monotonic()
    state, reason = "complete", None
    with progress.step(name, len(source["cells"])) as on_cell:
        try:
            papermill.execute_notebook(
                str(plan.sections[name]),
                str(output),
                parameters={**plan.parameters[name], "run": str(run)},
                engine_name=ENGINE,
                kernel_name="python3",
                progress_bar=False,
                autosave_cell_every=3,
                kernel=kernel,
                on_cell=on_cell,
            )
        except PapermillExecutionError as error:
            if error.ename == "StorageError":
                raise StorageError(error.evalue) from error
            state, reason = "failed", f"{error.ename}: {error.evalue}"
        except KeyboardInterrupt:
            state, reason = "interrupted", "It was stopped by hand."
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever ended it is what is reported
            state, reason = "failed", f"{type(error).__name__}: {error}"
    if state != "interrupted" and not kernel.alive:
        state, reason = "killed", f"{death(kernel.exit_status())}."
    if output.exists():  # papermill has added a cell with the parameters
        done, total = cells_run(nbformat.read(output, as_version=4))
    else:
        done = 0
    if state == "complete" and done < total:
        state, reason = "failed", f"Only {done} of {total} code cells ran."
    return SectionStatus(
        section=name,
        state=state,
        reason=reason,
        seconds=time.monotonic() - start,
        cells_run=done,
        cells_total=total,
    )


def _gather(run: Path, plan: Plan, statuses: dict[str, SectionStatus]) -> tuple[Finding, ...]:
    """One finding for each check of the suite, in the suite's order."""
    found: dict[str, Finding] = {}
    for name in plan.sections:
        with suppress(InputError):
            section = Findings.read(section_folder(run, name) / FINDINGS)
            found.update({finding.code: finding for finding in section.findings})
    findings = []
    for check in plan.definition.checks:
        status = statuses.get(check.section)
        if check.code in found:
            findings.append(found[check.code])
        elif status is None:
            reason = f'The section "{check.section}" was not asked for.'
            findings.append(checks.state(check, "skipped", reason))
        elif status.state == "not started":
            reason = f'The section "{check.section}" was not started.'
            findings.append(checks.state(check, "skipped", reason))
        else:
            reason = f'The section "{check.section}" ended as {status.state}: {status.reason}'
            findings.append(checks.state(check, "error", reason))
    return tuple(findings)


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """What `workbench audit --json` prints."""
    return {
        "run": str(outcome.run),
        "report": str(outcome.report),
        "complete": outcome.complete,
        "sections": {status.section: status.state for status in outcome.statuses},
        "findings": json.loads(
            dump_json([finding.model_dump(mode="json") for finding in outcome.findings])
        ),
    }
