"""A whole audit of the organism by its steps, and the warm engine beside bare papermill."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from workbench.audit.definitions.limits import Limits
from workbench.audit.records.folder import FINDINGS, NOTEBOOK, section_folder
from workbench.audit.reporting.report import build_report
from workbench.audit.running.attempt import outcome_json
from workbench.audit.running.plan import AuditRequest, plan_audit
from workbench.audit.running.progress import Progress
from workbench.audit.running.run import run_audit
from workbench.audit.running.section_run import Tools, load, ready, run_section
from workbench.audit.running.stopping import Stop
from workbench.audit.running.warm import WarmKernel
from workbench.bench.clock import Clock
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.audit.running.attempt import Outcome
    from workbench.audit.running.plan import Plan

__all__ = ["AuditSize", "bench_audit", "bench_engine"]


@dataclass(frozen=True)
class AuditSize:
    """What is measured.

    Attributes:
        model: that is audited.
        suite: of the audit.
        items: of each task; None for all.
        turns: in which bare papermill and the warm engine run the same sections.
        reports: how often the report is built.
    """

    model: str = "organism:planted"
    suite: str = "standard"
    items: int | None = None
    turns: int = 2
    reports: int = 3


def bench_audit(
    size: AuditSize = AuditSize(), *, on_step: Callable[[str], None] = lambda _: None
) -> Result:
    """Seconds of an audit from its request to its report, step by step, and of a report alone.

    Returns:
        One row for each `step`, with its `seconds`; the last two are the `whole audit` and
        `report from the folder`, the median of several.
    """
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as folder:
        outcome, steps, seconds = _audited(size, Path(folder))
        on_step(f"audit: {seconds:.1f} s")
        reports = []
        for _ in range(size.reports):
            clock = Clock()
            with clock.running():
                build_report(outcome.run)
            reports.append(clock.seconds)
        rows = [{"step": step, "seconds": spent} for step, spent in steps.items()]
        rows += [
            {"step": "whole audit", "seconds": seconds},
            {"step": "report from the folder", "seconds": median(reports)},
        ]
        about = outcome_json(outcome)
    provenance = {
        "method": "run_audit in this process, from the request on; build_report from its folder",
        "state": about["state"],
        "findings_digest": about["findings_digest"],
        "suite": size.suite,
    }
    return Result.of("bench_audit", rows, provenance)


def bench_engine(
    size: AuditSize = AuditSize(), *, on_step: Callable[[str], None] = lambda _: None
) -> Result:
    """Seconds of the same section notebooks under bare papermill and on the warm engine, in turns.

    Bare papermill starts a kernel for each notebook, in which the model is loaded anew; the
    engine's time includes the start of its one kernel and the model's one load.

    Returns:
        One row: `sections`, `papermill_seconds`, `engine_seconds` (means), `ratio`, `low` and
        `high` of a single turn, `same_findings` (byte for byte, in every section and turn).
    """
    request = _request(size, Path())
    plan = plan_audit(request)
    bare: list[float] = []
    warm: list[float] = []
    same = True
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as name:
        folder = Path(name)
        outcome, _, _ = _audited(size, folder)
        for turn in range(size.turns):
            runs = [_frozen(outcome, folder / f"{turn}-{who}") for who in ("bare", "warm")]
            clocks = Clock(), Clock()
            with clocks[0].running():
                _bare_papermill(plan, runs[0])
            with clocks[1].running():
                _engine(plan, runs[1])
            bare.append(clocks[0].seconds)
            warm.append(clocks[1].seconds)
            for section in plan.sections:
                found = [section_folder(run, section) / FINDINGS for run in (outcome.run, *runs)]
                same &= len({path.read_bytes() for path in found}) == 1
            on_step(f"engine, turn {turn}: {bare[-1]:.1f} s against {warm[-1]:.1f} s")
    ratios = [one / other for one, other in zip(bare, warm, strict=True)]
    row = {
        "sections": len(plan.sections),
        "papermill_seconds": sum(bare) / len(bare),
        "engine_seconds": sum(warm) / len(warm),
        "ratio": sum(bare) / sum(warm),
        "low": min(ratios),
        "high": max(ratios),
        "same_findings": same,
    }
    provenance = {
        "method": "papermill.execute_notebook for each section against one WarmKernel, in turns",
        "suite": size.suite,
    }
    return Result.of("bench_engine", [row], provenance)


def _request(size: AuditSize, out: Path) -> AuditRequest:
    limits = Limits(items=size.items)
    return AuditRequest(model=size.model, suite=size.suite, limits=limits, out=out)


def _audited(size: AuditSize, folder: Path) -> tuple[Outcome, dict[str, float], float]:
    """An audit, the seconds of its steps, and of the whole."""
    progress, clock = Progress(), Clock()
    with clock.running():
        outcome = run_audit(_request(size, folder), progress)
    return outcome, progress.seconds, clock.seconds


def _frozen(outcome: Outcome, run: Path) -> Path:
    """A run folder that holds what was asked, and nothing that was measured."""
    run.mkdir()
    shutil.copy(outcome.run / "audit.json", run)
    return run


def _bare_papermill(plan: Plan, run: Path) -> None:
    """The sections as papermill alone runs them."""
    import papermill

    for section, notebook in plan.sections.items():
        output = section_folder(run, section) / NOTEBOOK
        output.parent.mkdir(parents=True)
        papermill.execute_notebook(
            str(notebook),
            str(output),
            parameters={**plan.parameters[section], "run": str(run)},
            kernel_name="python3",
            progress_bar=False,
        )


def _engine(plan: Plan, run: Path) -> None:
    """The same on one warm kernel."""
    with ExitStack() as stack:
        tools = Tools(stack.enter_context(WarmKernel()), Progress(), Stop())
        tools.kernel.launch()
        load(plan, tools)
        for section in plan.sections:
            ready(plan, tools)
            section_folder(run, section).mkdir(parents=True)
            run_section(run, section, plan, tools)
