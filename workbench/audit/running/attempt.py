"""One attempt at a run: the sections that are missing, one by one, and then the report.

What the run's folder says is true at each moment: a section is `running` before it runs, and stands
as it ended before the next one begins. So a kill, whenever it comes, leaves a run to go on with.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from workbench.audit.records import checks
from workbench.audit.records.checks import Findings
from workbench.audit.records.folder import (
    FINDINGS,
    INPUTS,
    NOTEBOOK,
    STATUS,
    WORK,
    findings_digest,
    section_folder,
)
from workbench.audit.records.status import Attempt, RunStatus, SectionStatus
from workbench.audit.running.finish import finish
from workbench.audit.running.section_run import ready, run_section
from workbench.errors import InputError
from workbench.provenance import dump_json, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from workbench.audit.definitions.definition import Definition
    from workbench.audit.records.checks import Finding
    from workbench.audit.records.status import RunState
    from workbench.audit.running.plan import Plan
    from workbench.audit.running.section_run import Tools

__all__ = ["Outcome", "attempt", "outcome_json", "read_statuses", "still_complete"]


@dataclass(frozen=True)
class Outcome:
    """What an audit left behind.

    Attributes:
        run: the run folder.
        report: its report.
        findings: every check of the suite, also those that did not run.
        findings_digest: the SHA-256 of `findings.json`: equal for equal findings.
        sections: how each section stands.
        status: of the whole run, attempt by attempt.
    """

    run: Path
    report: Path
    findings: tuple[Finding, ...]
    findings_digest: str
    sections: tuple[SectionStatus, ...]
    status: RunStatus

    @property
    def state(self) -> RunState:
        """How the run stands."""
        return self.status.state


def attempt(run: Path, plan: Plan, tools: Tools, earlier: Sequence[Attempt] = ()) -> Outcome:
    """Do what is missing of a run that this process holds, and write its report.

    A section that dies keeps what it had, and the others go on. A wish to stop ends the section
    that runs; the others are not started.

    Raises:
        StorageError: where the run's folder cannot be written.
    """
    statuses = read_statuses(run, plan.definition)
    begun = datetime.now(UTC)

    def keep(state: RunState, reason: str | None = None) -> RunStatus:
        now = datetime.now(UTC)
        this = Attempt(
            started=begun.isoformat(timespec="seconds"),
            ended=None if state == "running" else now.isoformat(timespec="seconds"),
            command=plan.request.command,
            state=state,
            reason=reason,
            sections={name: status.state for name, status in statuses.items()},
            seconds=0.0 if state == "running" else (now - begun).total_seconds(),
        )
        status = RunStatus(schema=1, state=state, attempts=(*earlier, this))
        status.write(run / STATUS)
        return status

    keep("running")
    for each in statuses.values():
        _keep_status(run, each)
    _run_missing(run, plan, tools, statuses)
    tools.kernel.stop()
    _tidy(run, statuses)
    with tools.progress.step("write the report"):
        while True:
            stopped = tools.stop.asked
            status = keep(*_state(statuses, stopped=stopped))
            findings = _gather(run, plan.definition, statuses)
            Findings(findings=findings).write(run / FINDINGS)
            report = finish(run)
            if tools.stop.asked == stopped:
                break
            # Somebody wished to stop meanwhile: the report is to say so.
    return Outcome(run, report, findings, findings_digest(run), tuple(statuses.values()), status)


def read_statuses(run: Path, definition: Definition) -> dict[str, SectionStatus]:
    """How each section of the definition stands: `not started` where nothing is said."""
    statuses = {}
    for name in definition.sections:
        statuses[name] = SectionStatus(section=name, state="not started")
        with suppress(InputError):
            statuses[name] = SectionStatus.read(section_folder(run, name) / STATUS)
    return statuses


def still_complete(run: Path, status: SectionStatus) -> bool:
    """Whether a section ran to its end, and what it took from others is what they have now."""
    folder = section_folder(run, status.section)
    if status.state != "complete" or not (folder / NOTEBOOK).is_file():
        return False
    try:
        Findings.read(folder / FINDINGS)
        taken = json.loads((folder / INPUTS).read_bytes()) if (folder / INPUTS).exists() else {}
    except (InputError, OSError, ValueError):
        return False
    return all(_digest(run / path) == digest for path, digest in taken.items())


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """What `workbench audit --json` prints."""
    return {
        "run": str(outcome.run),
        "report": str(outcome.report),
        "state": outcome.state,
        "complete": outcome.state == "complete",
        "sections": {status.section: status.state for status in outcome.sections},
        "attempts": [entry.model_dump(mode="json") for entry in outcome.status.attempts],
        "findings_digest": outcome.findings_digest,
        "findings": json.loads(
            dump_json([finding.model_dump(mode="json") for finding in outcome.findings])
        ),
    }


def _run_missing(run: Path, plan: Plan, tools: Tools, statuses: dict[str, SectionStatus]) -> None:
    """Run what is not complete; `statuses` and the folder say at each moment how it stands."""

    def stands(status: SectionStatus) -> None:
        statuses[status.section] = status
        _keep_status(run, status)

    broken: str | None = None
    for name in plan.sections:
        if still_complete(run, statuses[name]):
            continue
        if statuses[name].state == "complete":
            # What it stood on has changed, so nothing of it can be kept.
            shutil.rmtree(section_folder(run, name))
            shutil.rmtree(run / WORK / name, ignore_errors=True)
            stands(SectionStatus(section=name, state="not started"))
        if broken is None and not tools.stop.asked:
            broken = ready(plan, tools)
        if tools.stop.asked:
            continue
        if broken is not None:
            if statuses[name].state == "not started":
                stands(SectionStatus(section=name, state="not started", reason=broken))
            continue
        stands(SectionStatus(section=name, state="running"))
        stands(run_section(run, name, plan, tools))
        if statuses[name].state == "timed out":
            tools.kernel.stop()  # what was interrupted may have left something half done


def _state(statuses: Mapping[str, SectionStatus], *, stopped: bool) -> tuple[RunState, str | None]:
    """The state of a run whose sections ended like that, and why it is not complete."""
    missing = [name for name, status in statuses.items() if status.state != "complete"]
    if stopped:
        what = "with every section complete" if not missing else f"without {', '.join(missing)}"
        return "interrupted", f"It was stopped by hand, {what}."
    if missing:
        return "incomplete", f"Not complete: {', '.join(missing)}."
    return "complete", None


def _keep_status(run: Path, status: SectionStatus) -> None:
    status.write(section_folder(run, status.section) / STATUS)


def _tidy(run: Path, statuses: Mapping[str, SectionStatus]) -> None:
    """Remove what a kill left half written, and what only a resumed run would need."""
    for path in run.rglob(".*.part"):
        path.unlink(missing_ok=True)
    if all(status.state == "complete" for status in statuses.values()):
        shutil.rmtree(run / WORK, ignore_errors=True)


def _gather(
    run: Path, definition: Definition, statuses: Mapping[str, SectionStatus]
) -> tuple[Finding, ...]:
    """One finding for each check of the suite, in the suite's order."""
    found: dict[str, Finding] = {}
    for name in definition.sections:
        with suppress(InputError):
            section = Findings.read(section_folder(run, name) / FINDINGS)
            found.update({finding.code: finding for finding in section.findings})
    findings = []
    for check in definition.checks:
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


def _digest(path: Path) -> str | None:
    return sha256(path) if path.is_file() else None
