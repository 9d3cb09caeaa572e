"""One section of an audit: its notebook run on the warm kernel, and how that really ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit.records.folder import NOTEBOOK, section_folder
from workbench.audit.records.status import SectionStatus, cells_run, death, failed_cell
from workbench.audit.running.engine import ENGINE, WarmKernelEngine
from workbench.audit.running.watch import Watch
from workbench.errors import InputError, ModelError, StorageError, WorkbenchError
from workbench.memory import out_of_memory_kills

if TYPE_CHECKING:
    from workbench.audit.records.status import State
    from workbench.audit.running.plan import Plan
    from workbench.audit.running.progress import Progress
    from workbench.audit.running.stopping import Stop
    from workbench.audit.running.warm import WarmKernel

__all__ = ["Tools", "load", "ready", "run_section"]


@dataclass(frozen=True)
class Tools:
    """What an audit works with: its kernel, its progress, and the wish to stop."""

    kernel: WarmKernel
    progress: Progress
    stop: Stop


def load(plan: Plan, tools: Tools) -> None:
    """Load the plan's model in the kernel.

    Raises:
        ModelError: where it cannot be loaded.
        InputError: where it takes more memory than it may.
        KeyboardInterrupt: where the audit is to stop.
    """
    with tools.progress.step("load the model"), _watch(plan, tools) as watch:
        import papermill  # noqa: F401 - it takes a second, and the kernel comes up meanwhile

        try:
            tools.kernel.load(plan.load_arguments)
        except ModelError as error:
            tools.stop.check()
            if watch.ending is None:
                raise
            raise InputError(f"While the model was loaded: {watch.ending.reason}") from error
    tools.stop.check()


def ready(plan: Plan, tools: Tools) -> str | None:
    """Make the kernel ready for a section; where it cannot be, why."""
    with _watch(plan, tools) as watch:
        try:
            tools.kernel.ready()
        except WorkbenchError as error:
            why = str(error) if watch.ending is None else watch.ending.reason
            return f"The kernel could not be started again: {why}"
    return None


def run_section(run: Path, name: str, plan: Plan, tools: Tools) -> SectionStatus:
    """Run one notebook on the kernel, which is ready.

    Raises:
        StorageError: where the run's folder cannot be written.
    """
    import nbformat

    source = nbformat.read(plan.sections[name], as_version=4)
    output = section_folder(run, name) / NOTEBOOK
    output.unlink(missing_ok=True)
    killed_before = out_of_memory_kills()
    start = time.monotonic()
    with (
        tools.progress.step(name, len(source["cells"])) as on_cell,
        Watch(tools.kernel, plan.definition.limits, tools.stop) as watch,
    ):
        error = _execute(
            plan.sections[name],
            parameters={**plan.parameters[name], "run": _from_here(run)},
            kernel=tools.kernel,
            save_to=output,
            on_cell=on_cell,
        )
    seconds = time.monotonic() - start
    saved = nbformat.read(output, as_version=4) if output.exists() else source
    done, total = cells_run(saved)
    state: State = "complete"
    reason: str | None = None
    if error is not None or done < total:
        if watch.ending is not None:
            state, reason = watch.ending.state, watch.ending.reason
        elif not tools.kernel.alive:
            status = tools.kernel.exit_status
            state = "killed" if status is None or status < 0 else "failed"
            reason = f"{death(status, out_of_memory=_rose(killed_before))}."
        else:
            state = "failed"
            reason = error or f"Only {done} of {total} code cells ran."
        place = failed_cell(saved)
        if place is not None:
            reason = f"Code cell {place} of {total}: {reason}"
    return SectionStatus(
        section=name,
        state=state,
        reason=reason,
        seconds=seconds,
        cells_run=done,
        cells_total=total,
    )


def _from_here(path: Path) -> str:
    """A path as a person here would write it: a report need not say where a home folder lies."""
    here = Path.cwd()  # the kernel's, too
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _execute(notebook: Path, *, parameters: dict[str, Any], **options: Any) -> str | None:
    """Run the notebook; the error that ended it, in words."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.engines import papermill_engines
    from papermill.exceptions import PapermillExecutionError

    # An installation has it as an entry point; a folder on the path has only this.
    papermill_engines.register(ENGINE, WarmKernelEngine)
    try:
        papermill.execute_notebook(
            # Papermill fills in what stands in braces, which a path may have of its own.
            str(notebook).replace("{", "{{").replace("}", "}}"),
            None,
            parameters=parameters,
            engine_name=ENGINE,
            kernel_name="python3",
            progress_bar=False,
            **options,
        )
    except PapermillExecutionError as error:
        if error.ename == "StorageError":
            raise StorageError(error.evalue) from error
        return f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        return "The kernel died."
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever ended it is what is reported
        return f"{type(error).__name__}: {error}"
    return None


def _watch(plan: Plan, tools: Tools) -> Watch:
    """Of a kernel that loads a model: a section's time does not run yet."""
    limits = plan.definition.limits.model_copy(update={"section_seconds": None})
    return Watch(tools.kernel, limits, tools.stop, grace=0)


def _rose(before: int | None) -> bool | None:
    """Whether the system killed for want of memory since; None where it does not say."""
    now = out_of_memory_kills()
    return None if before is None or now is None else now > before
