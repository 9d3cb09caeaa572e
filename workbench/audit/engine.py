"""A papermill engine whose kernel stays warm: the sections of an audit share one process.

The model is loaded once. The namespace is cleared between sections, and a kernel that died is
replaced for the next one.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop, run_sync
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine

from workbench.errors import ModelError, WorkbenchError
from workbench.offline import HUB_SWITCHES

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["WarmKernel", "WarmKernelEngine"]

KERNEL_NAME = "python3"
_START_TIMEOUT = 120
_STEP_TIMEOUT = 1800
_SOCKET_PATH = 90
"""Characters that a socket's path may have; the system's limit is little above 100."""

# Runs in the kernel. What goes wrong comes back as text, not as a traceback.
_LOAD = """
import json as _json
from workbench import offline as _offline
from workbench.errors import WorkbenchError as _WorkbenchError
_offline.forbid_network()
try:
    import workbench as _workbench
    _workbench.load(**_json.loads({arguments!r}))
    _answer = ""
except _WorkbenchError as _error:
    _answer = str(_error)
"""
_RESET = "get_ipython().run_line_magic('reset', '-f')"


class WarmKernel:
    """A kernel that loads a model once and then runs one notebook after another.

    Args:
        arguments: what `workbench.load` is called with, in the kernel.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._folder = tempfile.TemporaryDirectory(prefix="workbench-", ignore_cleanup_errors=True)
        self.manager: AsyncKernelManager | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._folder.cleanup()

    @property
    def alive(self) -> bool:
        """Whether the kernel's process is there."""
        return self.manager is not None and run_sync(self.manager.is_alive)()

    def exit_status(self) -> int | None:
        """The process's own exit status (negative: the signal); None while it lives."""
        process = getattr(getattr(self.manager, "provisioner", None), "process", None)
        return None if process is None else process.poll()

    def start(self) -> None:
        """Start the kernel and load the model in it.

        Raises:
            ModelError: where the model cannot be loaded, or the kernel dies of it.
        """
        self.stop()
        connection = str(Path(self._folder.name) / f"{secrets.token_hex(4)}.json")
        # Sockets in a folder of our own, where there are such: nobody else can listen.
        sockets = os.name != "nt" and len(connection) < _SOCKET_PATH
        self.manager = AsyncKernelManager(
            kernel_name=KERNEL_NAME,
            transport="ipc" if sockets else "tcp",
            connection_file=connection,
        )
        run_sync(self.manager.start_kernel)(env=self._environment(), cwd=str(Path.cwd()))
        answer = self._run(_LOAD.format(arguments=json.dumps(self._arguments)), "_answer")
        if answer:
            raise ModelError(answer)
        self._run(_RESET)

    def ready(self) -> None:
        """A living kernel with an empty namespace and the model loaded."""
        if self.alive:
            self._run(_RESET)
        else:
            self.start()

    def stop(self) -> None:
        """End the kernel's process, where there is one."""
        if self.manager is not None:
            if self.alive:
                run_sync(self.manager.shutdown_kernel)(now=True)
            run_sync(self.manager.cleanup_resources)()
            self.manager = None

    def _environment(self) -> dict[str, str]:
        """No network, figures as data, and nothing read from or written to the user's folders."""
        return {
            **os.environ,
            **HUB_SWITCHES,
            "PLOTLY_RENDERER": "plotly_mimetype",
            "IPYTHONDIR": self._folder.name,
            "HF_DATASETS_CACHE": self._folder.name,
            "TOKENIZERS_PARALLELISM": "false",
            "TQDM_DISABLE": "1",
        }

    def _run(self, code: str, wanted: str | None = None) -> str:
        """Run code in the kernel; the text of the variable that is wanted.

        Raises:
            ModelError: where the kernel dies.
            WorkbenchError: where the code fails.
        """
        assert self.manager is not None
        client = self.manager.client()
        client.start_channels()
        try:
            run_sync(client.wait_for_ready)(timeout=_START_TIMEOUT)
            expressions = {} if wanted is None else {"wanted": wanted}
            reply = run_sync(client.execute_interactive)(
                code,
                silent=False,
                store_history=False,
                user_expressions=expressions,
                output_hook=lambda _: None,
                timeout=_STEP_TIMEOUT,
            )
        except (RuntimeError, TimeoutError) as error:
            status = self.exit_status()
            raise ModelError(
                f"The kernel ended while the model was being loaded (exit status {status}). "
                "Most often there was too little memory: try a smaller dtype or a smaller model."
            ) from error
        finally:
            client.stop_channels()
        content = reply["content"]
        if content["status"] != "ok":
            raise WorkbenchError(f"{content.get('ename')}: {content.get('evalue')}")
        if wanted is None:
            return ""
        text: str = content["user_expressions"]["wanted"]["data"]["text/plain"]
        # The text is the variable's repr.
        import ast

        return str(ast.literal_eval(text))


class WarmKernelEngine(Engine):  # type: ignore[misc] # papermill has no types
    """Papermill's own way of running cells, on a kernel that is handed in as `kernel`."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        kernel: WarmKernel,
        on_cell: Callable[[], None] = lambda: None,
        execution_timeout: float | None = None,
        **_: Any,
    ) -> Any:
        """Run the notebook's cells.

        Args:
            nb_man: papermill's manager of the notebook.
            kernel_name: as papermill gives it.
            kernel: the warm kernel.
            on_cell: called after each cell.
            execution_timeout: seconds for one cell; None for no limit.
        """
        kernel.ready()
        complete = nb_man.cell_complete

        def cell_complete(*arguments: Any, **keywords: Any) -> None:
            complete(*arguments, **keywords)
            on_cell()

        nb_man.cell_complete = cell_complete
        client = PapermillNotebookClient(
            nb_man, km=kernel.manager, timeout=execution_timeout, kernel_name=kernel_name
        )
        try:
            return client.execute()
        finally:
            _drop_tasks()
            if client.kc is not None:
                client.kc.stop_channels()


def _drop_tasks() -> None:
    """End what an interrupt has left waiting for the kernel: it would complain of its death."""
    loop = ensure_event_loop()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
