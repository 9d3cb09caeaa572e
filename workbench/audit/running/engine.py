"""A papermill engine: `papermill --engine workbench-warm`, or on an audit's warm kernel.

What the saved notebook says of its cells is what happened, also after a hard death. Nothing of
papermill is imported before it is needed: papermill itself imports this module while it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.running.warm import WarmKernel

__all__ = ["ENGINE", "WarmKernelEngine"]

ENGINE = "workbench-warm"


class WarmKernelEngine:
    """Papermill's own way of running cells, with outputs saved every few seconds and true to life.

    It has the methods that papermill asks an engine for.
    """

    @staticmethod
    def execute_notebook(
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        *,
        kernel: WarmKernel | None = None,
        save_to: Path | None = None,
        **options: Any,
    ) -> Any:
        """Run the notebook's cells; the notebook with its outputs.

        Args:
            nb: the notebook.
            kernel_name: as papermill gives it.
            output_path: where papermill saves to.
            kernel: a warm kernel, ready; without one the notebook gets a kernel of its own.
            save_to: a file to save to instead, always whole.
            **options: `on_cell`, called after each cell, and of papermill's others `progress_bar`,
                `log_output`, `execution_timeout`, `start_timeout`, `stdout_file`, `stderr_file`.

        Raises:
            DeadKernelError: of nbclient, where the kernel died.
        """
        from workbench.audit.running.outputs import Client, Recorder

        recorder = Recorder(
            nb,
            save_to=save_to,
            on_cell=options.get("on_cell"),
            output_path=output_path,
            progress_bar=options.get("progress_bar", True),
            log_output=options.get("log_output", False),
        )
        client = Client(
            recorder,
            km=None if kernel is None else kernel.manager,
            kernel_name=kernel_name,
            timeout=options.get("execution_timeout"),
            startup_timeout=options.get("start_timeout") or 60,
            log_output=options.get("log_output", False),
            stdout_file=options.get("stdout_file"),
            stderr_file=options.get("stderr_file"),
        )
        if kernel is not None:
            client.kc = kernel.client
        recorder.notebook_start()
        try:
            client.execute()
        finally:
            client.let_go()
            recorder.cleanup_pbar()
            recorder.notebook_complete()
        return recorder.nb

    @staticmethod
    def nb_kernel_name(nb: Any, name: str | None = None) -> Any:
        """The name of the notebook's kernel."""
        from papermill.utils import nb_kernel_name

        return nb_kernel_name(nb, name)

    @staticmethod
    def nb_language(nb: Any, language: str | None = None) -> Any:
        """The language of the notebook."""
        from papermill.utils import nb_language

        return nb_language(nb, language)
